// exchange.js: one exchange, and a picture of what is bound to it.

import { exchangeName, get, path, post, remove } from '../api.js';
import { Chart, History } from '../chart.js';
import { ask, confirm, say } from '../dialog.js';
import { h, putIf } from '../dom.js';
import * as format from '../format.js';
import { askPublish } from '../messages.js';
import { button, Facts, heading, marks, section, vhostLink } from '../parts.js';
import { flowOf, picture } from '../picture.js';
import { bindingList, pauseFor } from './queue.js';

const AGE = { msg_rates_age: 600, msg_rates_incr: 5 };
const RATES = ['publish_in', 'publish_out'];
const FOLLOWED_MAX = 8; // exchanges behind this one whose bindings are drawn too

function askBind(vhost, name, done) {
    return ask({
        title: `Bind to ${name}`, submit: 'Bind',
        text: 'Messages that match go from this exchange to:',
        fields: [
            { name: 'kind', label: 'What', type: 'select', value: 'q', options: [['q', 'a queue'], ['e', 'an exchange']] },
            { name: 'destination', label: 'Its name', required: true, autofocus: true },
            { name: 'routing_key', label: 'Routing key' },
            { name: 'arguments', label: 'Arguments', type: 'arguments', suggestions: { 'x-match': 'text' } },
        ],
        act: async ({ kind, destination, ...body }) => {
            await post(path('bindings', vhost, 'e', name, kind, destination), body);
            say('It is bound.');
            await done();
        },
    });
}

/** The bindings behind the exchanges that NAME is bound to, one step further. */
async function further(vhost, name, outgoing) {
    const exchanges = [...new Set(outgoing.filter((binding) => binding.destination_type === 'exchange').map((binding) => binding.destination))];
    const lists = await Promise.all(exchanges.filter((other) => other !== name).slice(0, FOLLOWED_MAX)
        .map((other) => get(path('exchanges', vhost, other, 'bindings', 'source')).catch(() => [])));
    return lists.flat();
}

export function exchange(route) {
    const [vhost, given] = route.parts;
    const name = given === 'amq.default' ? '' : given;
    const where = path('exchanges', vhost, exchangeName(name));
    const facts = new Facts();
    const history = new History(...RATES);
    const chart = new Chart({ title: 'Messages per second', history, format: (value) => format.rate(value), lines: [
        { name: 'publish_in', label: 'in', colour: 'c3' }, { name: 'publish_out', label: 'out, to queues', colour: 'c2' }] });
    const drawn = h('div');
    let incoming = [];
    let outgoing = [];
    const from = bindingList('Bindings to this exchange', 'source', async () => incoming, () => refresh());
    const to = bindingList('Bindings from this exchange', 'destination', async () => outgoing, () => refresh());

    const drop = () => confirm(`Delete ${name}?`, 'The exchange goes, with its bindings. Queues stay.', 'Delete', async () => {
        await remove(where);
        say(`Exchange ${name} is deleted.`);
    }).then((was) => {
        if (was)
            location.hash = '#/exchanges';
    });

    async function draw(seen) {
        const behind = await further(vhost, name, outgoing);
        const alternate = seen.arguments?.['alternate-exchange'];
        const self = { kind: 'exchange', vhost, name, type: seen.type };
        const flows = [...incoming, ...outgoing, ...behind].map(flowOf);
        if (alternate)
            flows.push({ from: self, to: { kind: 'exchange', vhost, name: alternate }, key: 'what matches nothing', isDead: true });
        putIf(drawn, JSON.stringify(flows), () => picture(self, flows));
    }

    async function refresh() {
        const seen = await get(where, history.times.length === 0 ? AGE : {});
        const rates = Object.fromEntries(RATES.map((key) => [key, seen.message_stats?.[`${key}_details`]?.samples]));
        history.begin(rates, RATES);
        history.push(Math.floor(Date.now() / 1000), Object.fromEntries(RATES.map((key) => [key, format.rateOf(seen.message_stats, key)])));
        chart.refresh();
        facts.update([['Virtual host', vhostLink(vhost)], ['Type', seen.type], ['Features', marks(seen), true],
            ['Made by', seen.user_who_performed_action]]);
        if (name === '')
            return; // it is bound to each queue by the queue's name, however many there are
        [incoming, outgoing] = await Promise.all(['destination', 'source'].map((end) => get(`${where}/bindings/${end}`)));
        page.pause = pauseFor(incoming.length + outgoing.length);
        await Promise.all([from.refresh(), to.refresh(), draw(seen)]);
    }

    const actions = [button('Publish', () => askPublish(vhost, name).then(() => refresh()), 'main')];
    if (!/^(amq\..*)?$/.test(name))
        actions.push(button('Delete', drop, 'danger'));
    const bindings = name === '' ? section('Bindings', h('p', {}, 'Every queue is bound to this exchange by its name; nothing else can be.'))
        : h('section', {}, h('div', { class: 'heading' }, h('h2', {}, 'Bindings'),
            h('div', { class: 'actions' }, button('Bind', () => askBind(vhost, name, () => refresh())))), drawn,
        h('h3', {}, 'To this exchange'), from.element, h('h3', {}, 'From this exchange'), to.element);
    const page = {
        title: name || 'Default exchange', refresh, leave: () => chart.leave(),
        element: h('div', {}, heading('Exchange', name, ...actions), facts.element, bindings, h('div', { class: 'charts' }, chart.element)),
    };
    return page;
}
