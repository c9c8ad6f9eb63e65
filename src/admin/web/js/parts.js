// parts.js: what more than one page shows: links by kind, facts, headings.

import { path } from './api.js';
import { h, put } from './dom.js';
import * as format from './format.js';

/** A name as somebody chose it: any length, any direction of writing. */
export function name(text, empty = '(no name)') {
    return text === '' ? h('i', {}, empty) : h('bdi', { class: 'name' }, text);
}

export const DEFAULT_EXCHANGE = '(default)';

const linkTo = (kind, ...parts) => `#/${kind}/${path(...parts)}`;

export const queueLink = (vhost, queue) => h('a', { href: linkTo('queues', vhost, queue) }, name(queue));
export const exchangeLink = (vhost, exchange) =>
    h('a', { href: linkTo('exchanges', vhost, exchange || 'amq.default') }, name(exchange, DEFAULT_EXCHANGE));
export const connectionLink = (connection, text) => h('a', { href: linkTo('connections', connection) }, name(text ?? connection));
export const channelLink = (channel) => h('a', { href: linkTo('channels', channel) }, name(channel));
export const userLink = (user) => h('a', { href: linkTo('users', user) }, name(user));
export const vhostLink = (vhost) => h('a', { href: linkTo('vhosts', vhost) }, name(vhost));

/** h1 with what can be done beside it. */
export function heading(kind, title, ...actions) {
    return h('div', { class: 'heading' },
        h('h1', { tabIndex: -1 }, kind, title === undefined ? null : [' ', name(title, DEFAULT_EXCHANGE)]),
        h('div', { class: 'actions' }, actions));
}

export function section(title, ...children) {
    return h('section', {}, h('h2', {}, title), children);
}

export function button(text, onclick, kind) {
    return h('button', { type: 'button', class: kind, onclick }, text);
}

/** Pairs of label and text (or node), with update(pairs); pairs without a value are left out, those with a third part, true, are wide. */
export class Facts {
    constructor() {
        this.element = h('dl', { class: 'facts' });
    }

    update(pairs) {
        const shown = pairs.filter(([, value]) => ![undefined, null, '', format.NOTHING].includes(value));
        const fresh = h('dl', { class: 'facts' }, shown.map(([label, value, isWide]) => h('div', { class: isWide ? 'wide' : null }, h('dt', {}, label), h('dd', {}, value))));
        if (!fresh.isEqualNode(this.element)) // else the focus, or a selection, would be lost
            put(this.element, [...fresh.childNodes]);
    }
}

/** A table of AMQP arguments or properties, as a list of name and value. */
export function argumentList(object, none = 'None.') {
    const entries = Object.entries(object ?? {});
    if (entries.length === 0)
        return h('span', { class: 'quiet' }, none);
    return h('ul', { class: 'arguments' }, entries.map(([key, value]) =>
        h('li', {}, h('bdi', {}, key), h('span', { class: 'quiet' }, ' = '), h('bdi', { class: 'name' }, format.value(value)))));
}

/** A short word with a meaning that not everybody knows. */
export function mark(text, meaning, kind = '') {
    return h('abbr', { class: `mark ${kind}`, title: meaning }, h('bdi', {}, text));
}

// The words of RabbitMQ's page for what is set most often.
const SHORT = {
    'message-ttl': 'TTL', expires: 'Exp', 'max-length': 'Lim', 'max-length-bytes': 'Lim B', overflow: 'Ovfl', 'dead-letter-exchange': 'DLX',
    'dead-letter-routing-key': 'DLK', 'max-priority': 'Pri', 'single-active-consumer': 'SAC', 'delivery-limit': 'DLim',
    'alternate-exchange': 'AE', durable: 'D', 'auto-delete': 'AD', exclusive: 'Excl', internal: 'I', 'queue-mode': 'Args',
};

/** The marks that tell how a queue or exchange was declared: short where there are many, in words where there is room. */
export function marks(object, isShort = false) {
    const word = (text) => (isShort && SHORT[text]) || text;
    const list = [
        object.durable && mark(word('durable'), 'durable: is there again after a restart'),
        object.auto_delete && mark(word('auto-delete'), 'auto-delete: goes with its last user'),
        object.exclusive && mark(word('exclusive'), 'exclusive: belongs to one connection'),
        object.internal && mark(word('internal'), 'internal: only other exchanges publish to it'),
        ...Object.entries(object.arguments ?? {}).filter(([key]) => key !== 'x-queue-type').map(([key, value]) =>
            mark(isShort ? word(key.replace(/^x-/, '')) : `${key} = ${format.value(value)}`, `${key} = ${format.value(value)}`)),
        object.policy && mark(object.policy, 'policy', 'policy'),
        object.operator_policy && mark(object.operator_policy, 'operator policy', 'policy'),
    ].filter(Boolean);
    return h('span', { class: 'marks' }, list);
}

export const shortMarks = (object) => marks(object, true);

export function marksKey(object) {
    return [object.durable, object.auto_delete, object.exclusive, object.internal, JSON.stringify(object.arguments ?? {}),
        object.policy ?? '', object.operator_policy ?? ''].join(' ');
}

/** A state in words, with a dot whose colour says it too. */
export function state(word) {
    const kind = { running: 'good', idle: 'idle', flow: 'warn', blocking: 'warn', blocked: 'bad', down: 'bad', crashed: 'bad' }[word];
    return h('span', { class: `state ${kind ?? 'idle'}` }, word ?? 'unknown');
}

/** The vhosts of this user, for forms that need one. */
export function vhostField(route) {
    return {
        name: 'vhost', label: 'Virtual host', type: 'select', value: route.vhost || '/',
        options: route.vhosts.map((vhost) => [vhost, vhost]),
    };
}
