// exchanges.js: all exchanges.

import { path, putTo } from '../api.js';
import { ask, say } from '../dialog.js';
import { h } from '../dom.js';
import * as format from '../format.js';
import { button, exchangeLink, heading, marksKey, shortMarks, vhostField } from '../parts.js';
import { fromBroker, List } from '../table.js';

const FIELDS = ['vhost', 'name', 'type', 'durable', 'auto_delete', 'internal', 'arguments', 'policy',
    'message_stats.publish_in_details.rate', 'message_stats.publish_out_details.rate'];
const TYPES = ['direct', 'fanout', 'topic', 'headers', 'x-consistent-hash', 'x-modulus-hash', 'x-random'];

const rateColumn = (label, key) => ({
    label, number: true, key: `message_stats.${key}_details.rate`,
    value: (exchange) => format.rate(format.rateOf(exchange.message_stats, key)),
});

function declareExchange(route, done) {
    return ask({
        title: 'Declare an exchange', submit: 'Declare',
        fields: [
            vhostField(route),
            { name: 'name', label: 'Name', required: true, autofocus: true },
            { name: 'type', label: 'Type', value: 'direct', suggestions: TYPES, required: true },
            { name: 'durable', label: 'Durable: is there again after a restart', type: 'checkbox', value: true },
            { name: 'auto_delete', label: 'Auto-delete: goes with its last binding', type: 'checkbox' },
            { name: 'internal', label: 'Internal: only other exchanges publish to it', type: 'checkbox' },
            { name: 'arguments', label: 'Arguments', type: 'arguments', suggestions: { 'alternate-exchange': 'text' } },
        ],
        act: async ({ vhost, name, ...body }) => {
            await putTo(path('exchanges', vhost, name), body);
            say(`Exchange ${name} is declared.`);
            await done();
        },
    });
}

export function exchanges(route) {
    const columns = [
        { label: 'Name', key: 'name', value: (exchange) => `${exchange.vhost} ${exchange.name}`, node: (exchange) => exchangeLink(exchange.vhost, exchange.name) },
        route.vhost === '' && { label: 'Virtual host', key: 'vhost', minor: true, value: (exchange) => exchange.vhost },
        { label: 'Type', key: 'type', value: (exchange) => exchange.type },
        { label: 'Features', minor: true, value: marksKey, node: shortMarks },
        rateColumn('In', 'publish_in'), rateColumn('Out', 'publish_out'),
    ].filter(Boolean);
    const list = new List({
        caption: 'Exchanges', columns, route, empty: 'No exchange here.', id: (exchange) => JSON.stringify([exchange.vhost, exchange.name]),
        source: fromBroker(() => (route.vhost ? path('exchanges', route.vhost) : 'exchanges'), FIELDS),
    });
    return {
        title: 'Exchanges', refresh: () => list.refresh(),
        element: h('div', {}, heading('Exchanges', undefined,
            button('Declare an exchange', () => declareExchange(route, () => list.refresh()), 'main')), list.element),
    };
}
