// users.js: users, and what one of them may do.

import { get, path, putTo, remove } from '../api.js';
import { ask, confirm, say } from '../dialog.js';
import { h } from '../dom.js';
import { button, Facts, heading, name, section, userLink, vhostField, vhostLink } from '../parts.js';
import { fromHere, List, Table } from '../table.js';

const TAGS = ['administrator', 'monitoring', 'policymaker', 'management', 'impersonator'];
const TAG_HINT = `Separated by commas: ${TAGS.join(', ')}. Without one of the first four a user cannot log in here.`;
const PATTERN_HINT = 'A regular expression on names; .* is everything, empty is nothing.';

const tagsOf = (user) => [user.tags ?? []].flat().join(', ');

function askUser(done) {
    return ask({
        title: 'Add a user', submit: 'Add',
        fields: [
            { name: 'name', label: 'Name', required: true, autofocus: true },
            { name: 'password', label: 'Password', type: 'password', autocomplete: 'new-password', hint: 'Empty: this user cannot log in with a password.' },
            { name: 'tags', label: 'Tags', hint: TAG_HINT },
        ],
        act: async ({ name: user, password, tags }) => {
            await putTo(path('users', user), password ? { password, tags } : { password_hash: '', tags });
            say(`User ${user} is there.`);
            await done();
        },
    });
}

export function users(route) {
    const columns = [
        { label: 'Name', key: 'name', value: (user) => user.name, node: (user) => userLink(user.name) },
        { label: 'Tags', key: 'tags', value: tagsOf },
        { label: 'Password', minor: true, key: 'password', value: (user) => (user.password_hash ? 'yes' : 'none') },
        { label: 'Limits', minor: true, value: (user) => Object.entries(user.limits ?? {}).map(([key, limit]) => `${key} ${limit}`).join(', ') },
    ];
    const list = new List({ caption: 'Users', columns, route, id: (user) => user.name, source: fromHere(() => get('users')),
        sort: 'name', filterLabel: 'Filter' });
    return {
        title: 'Users', refresh: () => list.refresh(),
        element: h('div', {}, heading('Users', undefined, button('Add a user', () => askUser(() => list.refresh()), 'main')), list.element),
    };
}

const patternFields = (given) => ['configure', 'write', 'read'].filter((key) => given[key] !== undefined).map((key) => ({
    name: key, label: key[0].toUpperCase() + key.slice(1), value: given[key], hint: PATTERN_HINT,
}));

/** Ask for the permissions of a user in a vhost; GIVEN are those there are, USER or VHOST may be fixed by it. */
export function askPermission(route, given, done) {
    return ask({
        title: 'Set permissions', submit: 'Set',
        fields: [
            given.user === undefined && { name: 'user', label: 'User', required: true, autofocus: true },
            given.vhost === undefined && vhostField(route),
            ...patternFields({ configure: '.*', write: '.*', read: '.*', ...given }),
        ].filter(Boolean),
        act: async ({ user = given.user, vhost = given.vhost, ...patterns }) => {
            await putTo(path('permissions', vhost, user), patterns);
            say('The permissions are set.');
            await done();
        },
    });
}

/** The permissions of one user or in one vhost; WHO is the column that tells them apart. */
export function permissionTable(who, route, done) {
    const clear = ({ vhost, user }) => confirm('Clear the permissions?', `${user} may then do nothing in ${vhost}.`, 'Clear', async () => {
        await remove(path('permissions', vhost, user));
        say('The permissions are cleared.');
        await done();
    });
    return new Table({
        caption: 'Permissions', empty: 'No permissions.', id: (permission) => permission[who],
        columns: [
            { label: who === 'vhost' ? 'Virtual host' : 'User', value: (permission) => permission[who],
                node: (permission) => (who === 'vhost' ? vhostLink(permission.vhost) : userLink(permission.user)) },
            { label: 'Configure', value: (permission) => permission.configure, node: (permission) => name(permission.configure, 'nothing') },
            { label: 'Write', value: (permission) => permission.write, node: (permission) => name(permission.write, 'nothing') },
            { label: 'Read', value: (permission) => permission.read, node: (permission) => name(permission.read, 'nothing') },
            { label: '', value: (permission) => JSON.stringify(permission), node: (permission) => h('span', { class: 'actions' },
                h('button', { type: 'button', class: 'slight', 'aria-label': `Change the permissions of ${permission.user} in ${permission.vhost}`,
                    onclick: () => askPermission(route, permission, done) }, 'Change'),
                h('button', { type: 'button', class: 'slight', 'aria-label': `Clear the permissions of ${permission.user} in ${permission.vhost}`,
                    onclick: () => clear(permission) }, 'Clear')) },
        ],
    });
}

function topicTable(user, done) {
    const clear = ({ vhost, exchange }) => confirm('Clear the topic permissions?', `Of ${user} on ${exchange} in ${vhost}.`, 'Clear', async () => {
        await remove(path('topic-permissions', vhost, user, exchange));
        await done();
    });
    return new Table({
        caption: 'Topic permissions', empty: 'Routing keys are not restricted.', id: (permission) => JSON.stringify([permission.vhost, permission.exchange]),
        columns: [
            { label: 'Virtual host', value: (permission) => permission.vhost },
            { label: 'Exchange', value: (permission) => permission.exchange, node: (permission) => name(permission.exchange, '(default)') },
            { label: 'Write', value: (permission) => permission.write },
            { label: 'Read', value: (permission) => permission.read },
            { label: '', value: (permission) => permission.exchange, node: (permission) => h('button', { type: 'button', class: 'slight',
                'aria-label': `Clear the topic permissions on ${permission.exchange}`, onclick: () => clear(permission) }, 'Clear') },
        ],
    });
}

function askTopic(route, user, done) {
    return ask({
        title: 'Set topic permissions', submit: 'Set', text: 'They restrict routing keys on a topic exchange.',
        fields: [vhostField(route), { name: 'exchange', label: 'Exchange', required: true, value: 'amq.topic' }, ...patternFields({ write: '.*', read: '.*' })],
        act: async ({ vhost, ...body }) => {
            await putTo(path('topic-permissions', vhost, user), body);
            say('The topic permissions are set.');
            await done();
        },
    });
}

export function user(route) {
    const [who] = route.parts;
    const facts = new Facts();
    let seen = null;
    const permissions = permissionTable('vhost', route, () => refresh());
    const topics = topicTable(who, () => refresh());

    const change = () => ask({
        title: `Change ${who}`, submit: 'Change',
        fields: [
            { name: 'password', label: 'New password', type: 'password', autocomplete: 'new-password', hint: 'Empty: it stays as it is.' },
            { name: 'tags', label: 'Tags', value: tagsOf(seen), hint: TAG_HINT },
        ],
        act: async ({ password, tags }) => {
            const { password_hash, hashing_algorithm } = seen;
            await putTo(path('users', who), password ? { password, tags } : { password_hash, hashing_algorithm, tags });
            say(`User ${who} is changed.`);
            await refresh();
        },
    });
    const drop = () => confirm(`Delete ${who}?`, 'Connections of this user are closed.', 'Delete', async () => {
        await remove(path('users', who));
        say(`User ${who} is deleted.`);
    }).then((was) => {
        if (was)
            location.hash = '#/users';
    });

    async function refresh() {
        const [its, allowed, topical] = await Promise.all([get(path('users', who)), get(path('users', who, 'permissions')), get(path('users', who, 'topic-permissions'))]);
        seen = its;
        facts.update([['Tags', tagsOf(seen) || 'none'], ['Password', seen.password_hash ? `yes, ${String(seen.hashing_algorithm).replace('rabbit_password_hashing_', '')}` : 'none']]);
        permissions.show(allowed);
        topics.show(topical);
    }

    return {
        title: who, refresh,
        element: h('div', {}, heading('User', who, button('Change', change), button('Delete', drop, 'danger')), facts.element,
            section('Permissions', permissions.element, h('p', {}, button('Set permissions', () => askPermission(route, { user: who }, () => refresh())))),
            section('Topic permissions', topics.element, h('p', {}, button('Set topic permissions', () => askTopic(route, who, () => refresh()))))),
    };
}
