// messages.js: messages as people read them; publish, get, look and move.

import { exchangeName, get, path, post } from './api.js';
import { ask, say } from './dialog.js';
import { h, put } from './dom.js';
import * as format from './format.js';
import { argumentList, Facts, name, DEFAULT_EXCHANGE } from './parts.js';

const MODES = [
    ['ack_requeue_true', 'Give them back (they count as redelivered)'],
    ['ack_requeue_false', 'Take them out of the queue'],
    ['reject_requeue_true', 'Reject and give back'],
    ['reject_requeue_false', 'Reject: they are dropped or dead-lettered'],
];

function deathTable(deaths) {
    const row = (death) => h('tr', {}, h('td', {}, death.reason), h('td', {}, name(death.queue ?? '')),
        h('td', {}, name(death.exchange ?? '', DEFAULT_EXCHANGE)), h('td', {}, name([death['routing-keys'] ?? []].flat().join(', '))),
        h('td', { class: 'number' }, format.count(death.count)),
        h('td', {}, typeof death.time === 'number' ? format.time(death.time * 1000) : format.value(death.time)));
    return h('div', { class: 'across', tabIndex: 0, role: 'region', 'aria-label': 'Deaths of this message' }, h('table', {},
        h('caption', {}, 'Died'),
        h('thead', {}, h('tr', {}, ['Reason', 'In queue', 'Published to', 'Key', 'Times', 'When'].map((label) =>
            h('th', { scope: 'col' }, label)))),
        h('tbody', {}, deaths.map(row))));
}

function payloadText(message) {
    if (message.payload_encoding === 'string' && /json/.test(message.properties?.content_type ?? '')) {
        try {
            return JSON.stringify(JSON.parse(message.payload), null, 2);
        } catch {
            // Not what it says it is; shown as it came.
        }
    }
    return message.payload;
}

function messageView(message, number) {
    const { headers = {}, ...properties } = Array.isArray(message.properties) ? {} : message.properties;
    const { 'x-death': deaths, ...rest } = headers;
    const isEmpty = (object) => Object.keys(object).length === 0;
    const others = Object.fromEntries(Object.entries(rest).filter(([key]) => !deaths || !/^x-(first|last)-death-/.test(key)));
    const facts = new Facts();
    facts.update([
        ['Exchange', name(message.exchange, DEFAULT_EXCHANGE)], ['Routing key', name(message.routing_key, 'empty')],
        ['Redelivered', message.redelivered ? 'yes' : 'no'], ['Size', format.octets(message.payload_bytes)],
        ['Still behind it', format.count(message.message_count)],
        ['Properties', isEmpty(properties) ? null : argumentList(properties)], ['Headers', isEmpty(others) ? null : argumentList(others)],
    ]);
    return h('article', { class: 'message' }, h('h3', {}, `Message ${number}`), facts.element,
        Array.isArray(deaths) && deaths.length > 0 && deathTable(deaths),
        h('pre', { tabIndex: 0, role: 'region', 'aria-label': `Payload of message ${number}` }, payloadText(message)),
        message.payload_encoding === 'base64' && h('p', { class: 'quiet' }, 'Not text; shown in Base64.'),
        message.payload.length > 0 && message.payload_encoding === 'string' && message.payload_bytes > new Blob([message.payload]).size
            && h('p', { class: 'quiet' }, 'Cut; the rest is not shown.'));
}

/** Show MESSAGES in PLACE, and take the reader there. */
export function showMessages(place, messages, what, first = 1) {
    const title = h('h3', { tabIndex: -1 }, messages.length === 0 ? `${what}: no message is ready.` : `${what}: ${messages.length}`);
    put(place, title, messages.map((message, i) => messageView(message, first + i)));
    title.focus();
}

export function askGet(vhost, queue, place) {
    return ask({
        title: 'Get messages', submit: 'Get',
        text: 'As a consumer would get them. To look without any trace, peek.',
        fields: [
            { name: 'count', label: 'How many', type: 'number', value: 1, min: 1, required: true },
            { name: 'ackmode', label: 'Afterwards', type: 'select', value: 'ack_requeue_true', options: MODES },
        ],
        act: ({ count, ackmode }) => post(path('queues', vhost, queue, 'get'), { count, ackmode, encoding: 'auto', truncate: 50000 }),
    }).then((messages) => messages && showMessages(place, messages, 'Got'));
}

export function askPeek(vhost, queue, place) {
    return ask({
        title: 'Peek', submit: 'Look',
        text: 'Shows messages that are ready, oldest first, and leaves them untouched.',
        fields: [
            { name: 'count', label: 'How many', type: 'number', value: 10, min: 1, required: true },
            { name: 'offset', label: 'After leaving out', type: 'number', value: 0, min: 0, required: true },
        ],
        act: async ({ count, offset }) => ({ offset, found: await peek(vhost, queue, count, offset) }),
    }).then((answer) => answer && showMessages(place, answer.found, 'Looked at', answer.offset + 1));
}

export const peek = (vhost, queue, count, offset = 0) => get(path('queues', vhost, queue, 'peek'), { count, offset });

/** Ask for a message and publish it to EXCHANGE; what is given as KEY stands there already. */
export function askPublish(vhost, exchange, key = '') {
    return ask({
        title: exchange === '' ? 'Publish to the queue' : `Publish to ${exchange}`, submit: 'Publish',
        fields: [
            ...(exchange === '' && key !== '' ? [] : [{ name: 'routing_key', label: 'Routing key', value: key, autofocus: true }]),
            { name: 'payload', label: 'Payload', type: 'textarea' },
            { name: 'payload_encoding', label: 'Payload is', type: 'select', value: 'string', options: [['string', 'text'], ['base64', 'Base64']] },
            { name: 'persistent', label: 'Persistent: kept in durable queues over a restart', type: 'checkbox', value: true },
            { name: 'headers', label: 'Headers', type: 'arguments', one: 'a header' },
            { name: 'properties', label: 'Other properties', type: 'arguments', one: 'a property', suggestions: {
                content_type: 'text', content_encoding: 'text', priority: 'number', correlation_id: 'text', reply_to: 'text',
                expiration: 'text', message_id: 'text', timestamp: 'number', type: 'text', user_id: 'text', app_id: 'text' } },
        ],
        act: async ({ routing_key = key, payload, payload_encoding, persistent, headers, properties }) => {
            const answer = await post(path('exchanges', vhost, exchangeName(exchange), 'publish'), {
                routing_key, payload, payload_encoding,
                properties: { delivery_mode: persistent ? 2 : 1, ...properties, ...(Object.keys(headers).length > 0 && { headers }) },
            });
            say(answer.routed ? 'The message was published.' : 'The message was published, but no queue wanted it.');
            return answer;
        },
    });
}

const TARGETS = [
    ['origin', 'Where each was first published to'], ['exchange', 'An exchange'], ['queue', 'A queue'],
];

/** Ask which messages of QUEUE go where, and move them; calls DONE() afterwards. */
export function askMove(vhost, queue, done, target = 'origin') {
    return ask({
        title: `Move messages of ${queue}`, submit: 'Move',
        text: 'Each leaves this queue only when it is safe where it goes. What is left empty does not restrict.',
        fields: [
            { name: 'target', label: 'To', type: 'select', value: target, options: TARGETS },
            { name: 'name', label: 'Name of that exchange or queue' },
            { name: 'key', label: 'Routing key', hint: 'For an exchange; empty: the one that each has.' },
            { name: 'count', label: 'At most', type: 'number', min: 1 },
            { name: 'reason', label: 'Only those that died by', type: 'select', value: '', options: [['', 'any reason'],
                ['expired', 'expiry'], ['rejected', 'rejection'], ['maxlen', 'length limit'], ['delivery_limit', 'delivery limit']] },
            { name: 'original_queue', label: 'Only those that died in queue' },
            { name: 'header', label: 'Only those with header', type: 'arguments', one: 'a header' },
        ],
        act: async (values) => {
            const { moved, skipped } = await post(path('queues', vhost, queue, 'move'), moveRequest(values));
            say(`${format.count(moved)} moved, ${format.count(skipped)} skipped.`);
            return true;
        },
    }).then((was) => was && done());
}

function moveRequest({ target, name: to, key, count, reason, original_queue, header }) {
    if (target !== 'origin' && to === '')
        throw new Error('Name the exchange or queue that they go to.');
    const request = {};
    if (target === 'exchange') {
        request.to_exchange = to;
        if (key !== '')
            request.routing_key = key;
    } else if (target === 'queue') {
        request.to_queue = to;
    }
    for (const [field, value] of Object.entries({ count, reason, original_queue }))
        if (value)
            request[field] = value;
    if (Object.keys(header).length > 0)
        request.header = header;
    return request;
}
