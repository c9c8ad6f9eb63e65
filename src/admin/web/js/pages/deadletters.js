// deadletters.js: the queues in which dead letters gather, where they came from and why, and the way back.
//
// The broker has no list of such queues. They are found as messages are: from each queue with a dead-letter exchange
// through that exchange's bindings to the queues behind it.

import { get, path } from '../api.js';
import { h, put } from '../dom.js';
import * as format from '../format.js';
import { askMove, peek, showMessages } from '../messages.js';
import { argumentList, exchangeLink, heading, queueLink } from '../parts.js';
import { fromHere, List } from '../table.js';
import { deadLetterTarget } from './queue.js';

const FIELDS = 'vhost,name,arguments,effective_policy_definition,dead_lettered,messages_ready';
const FED_SHOWN = 3;
const PEEKED = 20;

const idOf = (vhost, name) => JSON.stringify([vhost, name]);

/** The names of queues behind EXCHANGE for dead letters with KEY (undefined: any), as far as bindings tell. */
async function behind(vhost, exchange, key, bindingsOf) {
    if (exchange === '')
        return key === undefined ? [] : [key];
    const bindings = await bindingsOf(vhost, exchange);
    return bindings.filter((binding) => binding.destination_type === 'queue').map((binding) => binding.destination);
}

/** What is known of each dead-letter queue: { vhost, name, ready, exchanges, sources, reasons }. */
async function findDeadLetterQueues(vhost, tell) {
    tell('Looking at all queues …');
    const queues = await get(vhost ? path('queues', vhost) : 'queues', { columns: FIELDS });
    const known = new Map(queues.map((queue) => [idOf(queue.vhost, queue.name), queue]));
    const asked = new Map();
    const bindingsOf = (inVhost, exchange) => {
        const id = idOf(inVhost, exchange);
        if (!asked.has(id))
            asked.set(id, get(path('exchanges', inVhost, exchange, 'bindings', 'source')).catch(() => []));
        return asked.get(id);
    };
    const found = new Map();
    for (const queue of queues) {
        const target = deadLetterTarget(queue);
        if (!target)
            continue;
        for (const name of await behind(queue.vhost, target.exchange, target.key, bindingsOf)) {
            const id = idOf(queue.vhost, name);
            if (!known.has(id))
                continue;
            if (!found.has(id))
                found.set(id, { vhost: queue.vhost, name, ready: known.get(id).messages_ready ?? 0, exchanges: new Set(), sources: [], reasons: {} });
            const entry = found.get(id);
            entry.exchanges.add(target.exchange);
            entry.sources.push(queue.name);
            for (const [reason, count] of Object.entries(queue.dead_lettered ?? {}))
                entry.reasons[reason] = (entry.reasons[reason] ?? 0) + count;
        }
    }
    tell(`${format.count(queues.length)} queues were looked at.`);
    return [...found.values()];
}

const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);

function columnsFor(look, replay) {
    return [
        { label: 'Dead-letter queue', key: 'name', value: (entry) => entry.name, node: (entry) => queueLink(entry.vhost, entry.name) },
        { label: 'Virtual host', key: 'vhost', minor: true, value: (entry) => entry.vhost },
        { label: 'Ready', key: 'ready', number: true, value: (entry) => entry.ready, node: (entry) => format.count(entry.ready) },
        { label: 'Through', minor: true, value: (entry) => [...entry.exchanges].join(' '), node: (entry) => [...entry.exchanges].map((name) => exchangeLink(entry.vhost, name)) },
        { label: 'From', minor: true, value: (entry) => entry.sources.join(' '), node: (entry) => [
            entry.sources.slice(0, FED_SHOWN).map((name) => [queueLink(entry.vhost, name), ' ']),
            entry.sources.length > FED_SHOWN && h('span', { class: 'quiet' }, `and ${entry.sources.length - FED_SHOWN} more`)] },
        { label: 'Died so far', minor: true, value: (entry) => JSON.stringify(entry.reasons),
            node: (entry) => (sum(entry.reasons) > 0 ? argumentList(Object.fromEntries(Object.entries(entry.reasons).filter(([, count]) => count > 0))) : '') },
        { label: '', value: (entry) => idOf(entry.vhost, entry.name), node: (entry) => h('span', { class: 'actions' },
            h('button', { type: 'button', class: 'slight', 'aria-label': `Look into ${entry.name}`, onclick: () => look(entry) }, 'Look'),
            h('button', { type: 'button', class: 'slight', 'aria-label': `Replay ${entry.name}`, onclick: () => replay(entry) }, 'Replay')) },
    ];
}

export function deadLetters(route) {
    const told = h('p', { class: 'quiet', role: 'status' });
    const found = h('div', { class: 'messages' });
    const trouble = h('p', { class: 'error', role: 'alert' });
    let entries = [];

    const tell = (text) => put(told, text);
    const look = async (entry) => {
        put(trouble);
        try {
            showMessages(found, await peek(entry.vhost, entry.name, PEEKED), `Oldest in ${entry.name}`);
        } catch (error) {
            put(trouble, error.message);
        }
    };
    const replay = (entry) => askMove(entry.vhost, entry.name, () => refresh());
    const columns = columnsFor(look, replay);
    const list = new List({ caption: 'Dead-letter queues', columns, route, source: fromHere(async () => entries), sort: 'ready', reverse: true,
        id: (entry) => idOf(entry.vhost, entry.name), filterLabel: 'Filter', empty: 'No queue gets dead letters.' });

    async function refresh() {
        entries = await findDeadLetterQueues(route.vhost, tell);
        await list.refresh();
    }

    return { title: 'Dead letters', refresh, pause: 60, element: h('div', {}, heading('Dead letters'), h('p', { class: 'quiet' },
        'Queues behind a dead-letter exchange. “Replay” sends messages back to where they were first published; that is done safely, none is lost on the way.'),
    list.element, told, trouble, found) };
}
