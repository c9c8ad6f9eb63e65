// policies.js: policies and operator policies.

import { get, path, putTo, remove } from '../api.js';
import { ask, confirm, say } from '../dialog.js';
import { h } from '../dom.js';
import { argumentList, button, heading, name, section, vhostField } from '../parts.js';
import { fromHere, List } from '../table.js';

const KEYS = {
    'message-ttl': 'number', expires: 'number', 'max-length': 'number', 'max-length-bytes': 'number', overflow: 'text',
    'dead-letter-exchange': 'text', 'dead-letter-routing-key': 'text', 'delivery-limit': 'number', 'alternate-exchange': 'text', 'queue-mode': 'text',
};
const APPLY = [['all', 'queues and exchanges'], ['queues', 'queues'], ['exchanges', 'exchanges'], ['classic_queues', 'classic queues'], ['quorum_queues', 'quorum queues']];

function askPolicy(kind, route, given, done) {
    const isNew = given === null;
    return ask({
        title: isNew ? 'Set a policy' : `Change ${given.name}`, submit: 'Set',
        fields: [
            isNew && vhostField(route),
            isNew && { name: 'name', label: 'Name', required: true, autofocus: true },
            { name: 'pattern', label: 'Pattern', required: true, value: given?.pattern, hint: 'A regular expression on names: ^orders\\. is what begins with “orders.”.' },
            { name: 'apply-to', label: 'Applies to', type: 'select', value: given?.['apply-to'] ?? 'queues', options: kind === 'policies' ? APPLY : APPLY.filter(([value]) => /queues/.test(value)) },
            { name: 'priority', label: 'Priority', type: 'number', value: given?.priority ?? 0, required: true, hint: 'Of those that match, the highest counts.' },
            { name: 'definition', label: 'Definition', type: 'arguments', one: 'a key', suggestions: KEYS, value: given?.definition },
        ].filter(Boolean),
        act: async ({ vhost = given?.vhost, name: policy = given?.name, ...body }) => {
            await putTo(path(kind, vhost, policy), body);
            say(`Policy ${policy} is set.`);
            await done();
        },
    });
}

function policyList(kind, route, mayChange) {
    const done = () => list.refresh();
    const drop = (policy) => confirm(`Delete ${policy.name}?`, 'What it set no longer holds, at once.', 'Delete', async () => {
        await remove(path(kind, policy.vhost, policy.name));
        say(`Policy ${policy.name} is deleted.`);
        await done();
    });
    const columns = [
        { label: 'Name', key: 'name', value: (policy) => policy.name, node: (policy) => name(policy.name) },
        { label: 'Virtual host', key: 'vhost', minor: true, value: (policy) => policy.vhost },
        { label: 'Pattern', key: 'pattern', value: (policy) => policy.pattern, node: (policy) => h('code', {}, name(policy.pattern)) },
        { label: 'Applies to', key: 'apply-to', minor: true, value: (policy) => policy['apply-to'] },
        { label: 'Definition', value: (policy) => JSON.stringify(policy.definition), node: (policy) => argumentList(policy.definition) },
        { label: 'Priority', key: 'priority', number: true, value: (policy) => policy.priority ?? 0 },
        mayChange && { label: '', value: (policy) => JSON.stringify(policy), node: (policy) => h('span', { class: 'actions' },
            h('button', { type: 'button', class: 'slight', 'aria-label': `Change ${policy.name}`, onclick: () => askPolicy(kind, route, policy, done) }, 'Change'),
            h('button', { type: 'button', class: 'slight', 'aria-label': `Delete ${policy.name}`, onclick: () => drop(policy) }, 'Delete')) },
    ].filter(Boolean);
    const list = new List({
        caption: kind === 'policies' ? 'Policies' : 'Operator policies', columns, id: (policy) => JSON.stringify([policy.vhost, policy.name]),
        source: fromHere(() => get(route.vhost ? path(kind, route.vhost) : kind)), sort: 'name', filterLabel: 'Filter', empty: 'None is set.',
    });
    return { list, done };
}

export function policies(route) {
    const mayUsers = route.isAdministrator || route.whoami.tags.includes('policymaker');
    const users = policyList('policies', route, mayUsers);
    const operators = policyList('operator-policies', route, route.isAdministrator);
    return {
        title: 'Policies', refresh: () => Promise.all([users.list.refresh(), operators.list.refresh()]),
        element: h('div', {},
            heading('Policies', undefined, mayUsers && button('Set a policy', () => askPolicy('policies', route, null, users.done), 'main')),
            users.list.element,
            section('Operator policies', h('p', { class: 'quiet' }, 'They limit what users’ policies and arguments may ask for.'), operators.list.element,
                route.isAdministrator && h('p', {}, button('Set an operator policy', () => askPolicy('operator-policies', route, null, operators.done))))),
    };
}
