// queue.js: one queue: its figures, who consumes, what is bound to it, its messages.

import { get, path, post, remove } from '../api.js';
import { Chart, History } from '../chart.js';
import { ask, confirm, say } from '../dialog.js';
import { h, putIf } from '../dom.js';
import * as format from '../format.js';
import { askGet, askMove, askPeek, askPublish } from '../messages.js';
import { argumentList, button, channelLink, connectionLink, exchangeLink, Facts, heading, marks, section, state,
    vhostLink } from '../parts.js';
import { flowOf, picture } from '../picture.js';
import { fromHere, List, Table } from '../table.js';

const AGE = { lengths_age: 600, lengths_incr: 5, msg_rates_age: 600, msg_rates_incr: 5 };
const LENGTHS = ['messages_ready', 'messages_unacknowledged'];
const RATES = ['publish', 'deliver_get', 'ack', 'redeliver'];
const UNACKED_SHOWN = 100;
const BINDINGS_MANY = 2000; // which the broker sends whole: not every few seconds

/** The pause between refreshes of a page that shows this many bindings. */
export const pauseFor = (bindings) => (bindings > BINDINGS_MANY ? 60 : 0);

/** Where a queue's dead letters go, or null: { exchange, key }. */
export function deadLetterTarget(queue) {
    const policy = queue.effective_policy_definition ?? {};
    const exchange = queue.arguments?.['x-dead-letter-exchange'] ?? policy['dead-letter-exchange'];
    const key = queue.arguments?.['x-dead-letter-routing-key'] ?? policy['dead-letter-routing-key'];
    return exchange === undefined ? null : { exchange, key };
}

function consumerTable() {
    return new Table({
        caption: 'Consumers', empty: 'Nobody consumes.', id: (consumer) => `${consumer.channel_details?.name} ${consumer.consumer_tag}`,
        columns: [
            { label: 'Tag', value: (consumer) => consumer.consumer_tag },
            { label: 'Channel', value: (consumer) => consumer.channel_details?.name ?? '',
                node: (consumer) => channelLink(consumer.channel_details?.name ?? '') },
            { label: 'Acknowledges', minor: true, value: (consumer) => (consumer.ack_required ? 'yes' : 'no') },
            { label: 'Prefetch', number: true, value: (consumer) => format.count(consumer.prefetch_count) },
            { label: 'Exclusive', minor: true, value: (consumer) => (consumer.exclusive ? 'yes' : 'no') },
            { label: 'Activity', value: (consumer) => consumer.activity_status ?? (consumer.active === false ? 'waiting' : 'up') },
        ],
    });
}

function unackedTable() {
    const holder = ({ connection, channel }) => `${connection} (${channel})`;
    return new Table({
        caption: 'Messages that are not acknowledged', empty: 'None.', id: (delivery) => JSON.stringify([delivery.connection, delivery.channel, delivery.delivery_tag]),
        columns: [
            { label: 'Age', value: (delivery) => format.duration(delivery.age_ms) },
            { label: 'Channel', value: holder, node: (delivery) => channelLink(holder(delivery)) },
            { label: 'Consumer', value: (delivery) => delivery.consumer_tag || format.NOTHING },
            { label: 'Delivery tag', number: true, value: (delivery) => delivery.delivery_tag },
        ],
    });
}

function unbind(binding, done) {
    const kind = binding.destination_type === 'queue' ? 'q' : 'e';
    return confirm('Unbind?', `From ${binding.source} to ${binding.destination}, routing key “${binding.routing_key}”.`, 'Unbind', async () => {
        await remove(path('bindings', binding.vhost, 'e', binding.source, kind, binding.destination, binding.properties_key));
        say('It is unbound.');
        await done();
    });
}

/** A list of bindings, that of the exchange on this side left out; END is 'source' or 'destination'. */
export function bindingList(caption, end, load, done) {
    const other = end === 'source'
        ? { label: 'From exchange', key: 'source', value: (binding) => binding.source, node: (binding) => exchangeLink(binding.vhost, binding.source) }
        : { label: 'To', key: 'destination', value: (binding) => `${binding.destination_type} ${binding.destination}`,
            node: (binding) => [h('span', { class: 'quiet' }, `${binding.destination_type} `), binding.destination_type === 'queue'
                ? h('a', { href: `#/queues/${path(binding.vhost, binding.destination)}` }, h('bdi', { class: 'name' }, binding.destination))
                : exchangeLink(binding.vhost, binding.destination)] };
    const columns = [
        other,
        { label: 'Routing key', key: 'key', value: (binding) => binding.routing_key, node: (binding) => h('bdi', { class: 'name' }, binding.routing_key) },
        { label: 'Arguments', value: (binding) => JSON.stringify(binding.arguments ?? {}), node: (binding) => argumentList(binding.arguments, '') },
        { label: '', value: (binding) => `${binding.source} ${binding.properties_key}`, node: (binding) => (binding.source === '' ? ''
            : h('button', { type: 'button', class: 'slight', 'aria-label': `Unbind ${binding.routing_key} of ${binding.source} and ${binding.destination}`,
                onclick: () => unbind(binding, done) }, 'Unbind')) },
    ];
    return new List({ caption, columns, source: fromHere(load), filterLabel: 'Filter', empty: 'Nothing is bound.',
        id: (binding) => JSON.stringify([binding.source, binding.destination_type, binding.destination, binding.properties_key]) });
}

function askBind(vhost, queue, done) {
    return ask({
        title: `Bind ${queue}`, submit: 'Bind',
        fields: [
            { name: 'source', label: 'From exchange', required: true, autofocus: true },
            { name: 'routing_key', label: 'Routing key' },
            { name: 'arguments', label: 'Arguments', type: 'arguments' },
        ],
        act: async ({ source, ...body }) => {
            await post(path('bindings', vhost, 'e', source, 'q', queue), body);
            say('It is bound.');
            await done();
        },
    });
}

function makeCharts() {
    const lengths = new History(...LENGTHS);
    const rates = new History(...RATES);
    return {
        lengths: new Chart({ title: 'Messages', history: lengths, format: (value) => format.count(value), lines: [
            { name: 'messages_ready', label: 'ready', colour: 'c1' }, { name: 'messages_unacknowledged', label: 'unacknowledged', colour: 'c2' }] }),
        rates: new Chart({ title: 'Messages per second', history: rates, format: (value) => format.rate(value), lines: [
            { name: 'publish', label: 'in', colour: 'c3' }, { name: 'deliver_get', label: 'out', colour: 'c2' },
            { name: 'ack', label: 'acknowledged', colour: 'c4' }, { name: 'redeliver', label: 'redelivered', colour: 'c6' }] }),
    };
}

function pushFigures(charts, queue) {
    const samples = (object, names) => Object.fromEntries(names.map((key) => [key, object?.[`${key}_details`]?.samples]));
    const now = Math.floor(Date.now() / 1000);
    charts.lengths.history.begin(samples(queue, LENGTHS));
    charts.rates.history.begin(samples(queue.message_stats, RATES), RATES);
    charts.lengths.history.push(now, queue);
    charts.rates.history.push(now, Object.fromEntries(RATES.map((key) => [key, format.rateOf(queue.message_stats, key)])));
    Object.values(charts).forEach((chart) => chart.refresh());
}

function deadLettered(counts) {
    const parts = Object.entries(counts ?? {}).filter(([, count]) => count > 0).map(([reason, count]) => `${reason.replace('_', ' ')} ${format.count(count)}`);
    return parts.length > 0 ? parts.join(', ') : null;
}

function factsOf(queue) {
    const target = deadLetterTarget(queue);
    return [
        ['Virtual host', vhostLink(queue.vhost)], ['State', state(queue.state)], ['Type', queue.type ?? 'classic'],
        ['Durability', queue.durability], ['Features', marks(queue), true],
        ['Ready', format.count(queue.messages_ready ?? 0)], ['Unacknowledged', format.count(queue.messages_unacknowledged ?? 0)],
        ['Oldest message', format.duration(queue.oldest_message_age_ms)], ['Oldest unacknowledged', format.duration(queue.oldest_unacked_age_ms)],
        ['Size of messages', format.octets(queue.message_bytes)], ['In memory', format.octets(queue.message_bytes_ram)],
        ['Memory', format.octets(queue.memory)], ['Consumers', format.count(queue.consumers ?? 0)],
        ['Consumer capacity', queue.consumers > 0 && typeof queue.consumer_utilisation === 'number' ? `${Math.round(queue.consumer_utilisation * 100)} %` : null],
        ['Owner', queue.owner_pid_details?.name && connectionLink(queue.owner_pid_details.name)],
        ['Dead letters go to', target && exchangeLink(queue.vhost, target.exchange)], ['Dead-lettered so far', deadLettered(queue.dead_lettered)],
        ['Policy sets', Object.keys(queue.effective_policy_definition ?? {}).length > 0 ? argumentList(queue.effective_policy_definition) : null, true],
    ];
}

function flowsOf(queue, bindings) {
    const self = { kind: 'queue', vhost: queue.vhost, name: queue.name };
    const target = deadLetterTarget(queue);
    const flows = bindings.map(flowOf);
    if (target)
        flows.push({ from: self, to: { kind: 'exchange', vhost: queue.vhost, name: target.exchange }, key: target.key ?? 'dead letters', isDead: true });
    return picture(self, flows);
}

export function queue(route) {
    const [vhost, name] = route.parts;
    const where = path('queues', vhost, name);
    const facts = new Facts();
    const charts = makeCharts();
    const consumers = consumerTable();
    const unacked = unackedTable();
    const unackedSection = section('Not acknowledged', unacked.element);
    const drawn = h('div');
    const found = h('div', { class: 'messages' });
    let bindings = [];
    const list = bindingList('Bindings of this queue', 'source', async () => bindings, () => refresh());
    let canTellUnacked = true;

    const purge = () => confirm(`Purge ${name}?`, 'All messages that are ready are deleted. This cannot be undone.', 'Purge', async () => {
        await remove(path('queues', vhost, name, 'contents'));
        say('The queue is purged.');
        await refresh();
    });
    const drop = () => confirm(`Delete ${name}?`, 'The queue goes, with its bindings and all its messages. This cannot be undone.', 'Delete', async () => {
        await remove(where);
        say(`Queue ${name} is deleted.`);
    }).then((was) => {
        if (was)
            location.hash = '#/queues';
    });

    async function showUnacked(seen) {
        unackedSection.hidden = !canTellUnacked || !(seen.messages_unacknowledged > 0);
        if (unackedSection.hidden)
            return;
        try {
            const deliveries = await get(path('queues', vhost, name, 'unacked'), { count: UNACKED_SHOWN });
            unacked.show(deliveries);
            unackedSection.hidden = deliveries.length === 0;
        } catch {
            canTellUnacked = false; // not this user's to see
            unackedSection.hidden = true;
        }
    }

    async function refresh() {
        const isFirst = charts.lengths.history.times.length === 0;
        const [seen, bound] = await Promise.all([get(where, isFirst ? AGE : {}), get(path('queues', vhost, name, 'bindings'))]);
        bindings = bound;
        page.pause = pauseFor(bound.length);
        facts.update(factsOf(seen));
        pushFigures(charts, seen);
        consumers.show(seen.consumer_details ?? []);
        putIf(drawn, JSON.stringify([bound, deadLetterTarget(seen)]), () => flowsOf(seen, bound));
        await Promise.all([list.refresh(), showUnacked(seen)]);
    }

    const element = h('div', {},
        heading('Queue', name, button('Publish', () => askPublish(vhost, '', name).then(() => refresh()), 'main'),
            button('Peek', () => askPeek(vhost, name, found)), button('Get', () => askGet(vhost, name, found).then(() => refresh())),
            button('Move', () => askMove(vhost, name, () => refresh(), 'queue')), button('Purge', purge, 'danger'), button('Delete', drop, 'danger')),
        facts.element, h('div', { class: 'charts' }, Object.values(charts).map((chart) => chart.element)), found,
        section('Consumers', consumers.element), unackedSection,
        h('section', {}, h('div', { class: 'heading' }, h('h2', {}, 'Bindings'),
            h('div', { class: 'actions' }, button('Bind', () => askBind(vhost, name, () => refresh())))), drawn, list.element));
    const page = { title: name, element, refresh, leave: () => Object.values(charts).forEach((chart) => chart.leave()) };
    return page;
}
