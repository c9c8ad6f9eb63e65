// vhosts.js: virtual hosts, and who may do what in one of them.

import { get, path, putTo, remove } from '../api.js';
import { ask, confirm, say } from '../dialog.js';
import { h } from '../dom.js';
import * as format from '../format.js';
import { button, Facts, heading, section, vhostLink } from '../parts.js';
import { fromBroker, List, Table } from '../table.js';
import { askPermission, permissionTable } from './users.js';

const FIELDS = ['name', 'description', 'tags', 'messages_ready', 'messages_unacknowledged', 'message_stats.publish_details.rate',
    'message_stats.deliver_get_details.rate', 'tracing'];
const LIMITS = [['max-connections', 'connections'], ['max-queues', 'queues']];

const changed = () => dispatchEvent(new Event('coney-vhosts'));

function askVhost(done) {
    return ask({
        title: 'Add a virtual host', submit: 'Add',
        fields: [
            { name: 'name', label: 'Name', required: true, autofocus: true },
            { name: 'description', label: 'Description' },
            { name: 'tags', label: 'Tags', hint: 'Separated by commas.' },
        ],
        act: async ({ name, ...body }) => {
            await putTo(path('vhosts', name), body);
            say(`Virtual host ${name} is there.`);
            changed();
            await done();
        },
    });
}

export function vhosts(route) {
    const rate = (label, key) => ({ label, number: true, minor: true, key: `message_stats.${key}_details.rate`,
        value: (vhost) => format.rate(format.rateOf(vhost.message_stats, key)) });
    const columns = [
        { label: 'Name', key: 'name', value: (vhost) => vhost.name, node: (vhost) => vhostLink(vhost.name) },
        { label: 'Description', minor: true, key: 'description', value: (vhost) => vhost.description ?? '' },
        { label: 'Tags', minor: true, value: (vhost) => [vhost.tags ?? []].flat().join(', ') },
        { label: 'Ready', key: 'messages_ready', number: true, value: (vhost) => format.count(vhost.messages_ready ?? 0) },
        { label: 'Unacked', key: 'messages_unacknowledged', number: true, value: (vhost) => format.count(vhost.messages_unacknowledged ?? 0) },
        rate('In', 'publish'), rate('Out', 'deliver_get'),
    ];
    const list = new List({ caption: 'Virtual hosts', columns, route, id: (vhost) => vhost.name, source: fromBroker(() => 'vhosts', FIELDS) });
    return {
        title: 'Virtual hosts', refresh: () => list.refresh(),
        element: h('div', {}, heading('Virtual hosts', undefined, button('Add a virtual host', () => askVhost(() => list.refresh()), 'main')), list.element),
    };
}

function limitTable(name, done) {
    const clear = (limit) => async () => {
        await remove(path('vhost-limits', name, limit)).then(done, (error) => say(error.message));
    };
    return new Table({
        caption: 'Limits', empty: 'No limits.', id: ([limit]) => limit,
        columns: [
            { label: 'Limit', value: ([limit]) => limit },
            { label: 'At most', number: true, value: ([, value]) => format.count(value) },
            { label: '', value: ([limit]) => limit, node: ([limit]) => h('button', { type: 'button', class: 'slight', 'aria-label': `Clear ${limit}`, onclick: clear(limit) }, 'Clear') },
        ],
    });
}

export function vhost(route) {
    const [name] = route.parts;
    const facts = new Facts();
    const permissions = permissionTable('user', route, () => refresh());
    const limits = limitTable(name, () => refresh());
    const askLimit = () => ask({
        title: 'Set a limit', submit: 'Set',
        fields: [{ name: 'limit', label: 'Of', type: 'select', options: LIMITS }, { name: 'value', label: 'At most', type: 'number', min: -1, required: true, autofocus: true }],
        act: async ({ limit, value }) => {
            await putTo(path('vhost-limits', name, limit), { value });
            await refresh();
        },
    });
    const drop = () => confirm(`Delete ${name}?`, 'All queues, messages, exchanges and permissions in it go, and its connections are closed. This cannot be undone.',
        'Delete', async () => {
            await remove(path('vhosts', name));
            say(`Virtual host ${name} is deleted.`);
            changed();
        }).then((was) => {
        if (was)
            location.hash = '#/vhosts';
    });

    async function refresh() {
        const [seen, allowed, limited] = await Promise.all([get(path('vhosts', name)), get(path('vhosts', name, 'permissions')), get(path('vhost-limits', name))]);
        facts.update([['Description', seen.description || null], ['Tags', [seen.tags ?? []].flat().join(', ') || null],
            ['Ready', format.count(seen.messages_ready ?? 0)], ['Unacknowledged', format.count(seen.messages_unacknowledged ?? 0)],
            ['Received', format.octets(seen.recv_oct)], ['Sent', format.octets(seen.send_oct)], ['Tracing', seen.tracing ? 'on' : 'off']]);
        permissions.show(allowed);
        limits.show(limited.flatMap((entry) => Object.entries(entry.value ?? {})));
    }

    return {
        title: name, refresh,
        element: h('div', {}, heading('Virtual host', name, button('Delete', drop, 'danger')), facts.element,
            section('Permissions', permissions.element, h('p', {}, button('Set permissions', () => askPermission(route, { vhost: name }, () => refresh())))),
            section('Limits', limits.element, h('p', {}, button('Set a limit', askLimit)))),
    };
}
