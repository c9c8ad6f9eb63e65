// queues.js: all queues, however many; the broker sorts, filters and cuts.

import { path, putTo } from '../api.js';
import { ask, say } from '../dialog.js';
import { h } from '../dom.js';
import * as format from '../format.js';
import { button, heading, marksKey, queueLink, shortMarks, state, vhostField } from '../parts.js';
import { fromBroker, List } from '../table.js';

const FIELDS = ['vhost', 'name', 'type', 'durable', 'auto_delete', 'exclusive', 'arguments', 'policy', 'operator_policy', 'state',
    'consumers', 'messages_ready', 'messages_unacknowledged', 'messages', 'message_stats.publish_details.rate',
    'message_stats.deliver_get_details.rate', 'message_stats.ack_details.rate', 'oldest_message_age_ms'];

export const QUEUE_ARGUMENTS = {
    'x-message-ttl': 'number', 'x-expires': 'number', 'x-max-length': 'number', 'x-max-length-bytes': 'number',
    'x-overflow': 'text', 'x-dead-letter-exchange': 'text', 'x-dead-letter-routing-key': 'text',
    'x-single-active-consumer': 'boolean', 'x-max-priority': 'number', 'x-delivery-limit': 'number', 'x-queue-mode': 'text',
};

const rateColumn = (label, key) => ({
    label, number: true, minor: true, key: `message_stats.${key}_details.rate`,
    value: (queue) => format.rate(format.rateOf(queue.message_stats, key)),
});

export function queueColumns(withVhost) {
    return [
        { label: 'Name', key: 'name', value: (queue) => `${queue.vhost} ${queue.name}`, node: (queue) => queueLink(queue.vhost, queue.name) },
        withVhost && { label: 'Virtual host', key: 'vhost', minor: true, value: (queue) => queue.vhost },
        { label: 'Type', key: 'type', minor: true, value: (queue) => queue.type ?? 'classic' },
        { label: 'Features', minor: true, value: marksKey, node: shortMarks },
        { label: 'State', key: 'state', minor: true, value: (queue) => queue.state ?? '', node: (queue) => state(queue.state) },
        { label: 'Ready', key: 'messages_ready', number: true, value: (queue) => format.count(queue.messages_ready ?? 0) },
        { label: 'Unacked', key: 'messages_unacknowledged', number: true, value: (queue) => format.count(queue.messages_unacknowledged ?? 0) },
        { label: 'Total', key: 'messages', number: true, minor: true, value: (queue) => format.count(queue.messages ?? 0) },
        { label: 'Oldest', key: 'oldest_message_age_ms', number: true, minor: true, value: (queue) => format.duration(queue.oldest_message_age_ms) },
        { label: 'Consumers', key: 'consumers', number: true, minor: true, value: (queue) => format.count(queue.consumers ?? 0) },
        rateColumn('In', 'publish'), rateColumn('Out', 'deliver_get'), rateColumn('Acked', 'ack'),
    ].filter(Boolean);
}

function declareQueue(route, done) {
    return ask({
        title: 'Declare a queue', submit: 'Declare',
        fields: [
            vhostField(route),
            { name: 'name', label: 'Name', required: true, autofocus: true },
            { name: 'type', label: 'Type', type: 'select', value: 'classic', options: [['classic', 'classic'], ['quorum', 'quorum']] },
            { name: 'durable', label: 'Durable: is there again after a restart', type: 'checkbox', value: true },
            { name: 'auto_delete', label: 'Auto-delete: goes with its last consumer', type: 'checkbox' },
            { name: 'arguments', label: 'Arguments', type: 'arguments', suggestions: QUEUE_ARGUMENTS },
        ],
        act: async ({ vhost, name, type, durable, auto_delete, arguments: given }) => {
            const all = type === 'classic' ? given : { 'x-queue-type': type, ...given };
            await putTo(path('queues', vhost, name), { durable, auto_delete, arguments: all });
            say(`Queue ${name} is declared.`);
            await done();
        },
    });
}

export function queues(route) {
    const list = new List({
        caption: 'Queues', id: (queue) => JSON.stringify([queue.vhost, queue.name]), columns: queueColumns(route.vhost === ''), route,
        source: fromBroker(() => (route.vhost ? path('queues', route.vhost) : 'queues'), FIELDS), empty: 'No queue here.',
    });
    return {
        title: 'Queues', refresh: () => list.refresh(),
        element: h('div', {}, heading('Queues', undefined, button('Declare a queue', () => declareQueue(route, () => list.refresh()), 'main')),
            list.element),
    };
}
