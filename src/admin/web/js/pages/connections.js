// connections.js: who is connected; one connection with its channels.

import { get, path, remove } from '../api.js';
import { Chart, History } from '../chart.js';
import { ask, say } from '../dialog.js';
import { h } from '../dom.js';
import * as format from '../format.js';
import { argumentList, button, connectionLink, Facts, heading, section, state, userLink, vhostLink } from '../parts.js';
import { fromBroker, List } from '../table.js';
import { channelTable } from './channels.js';

const FIELDS = ['name', 'user_provided_name', 'client_properties.product', 'client_properties.connection_name', 'user', 'vhost', 'state', 'ssl',
    'channels', 'recv_oct_details.rate', 'send_oct_details.rate', 'connected_at'];

const octetRate = (details) => (details ? `${format.octets(details.rate)}/s` : format.NOTHING);
const clientName = (connection) => connection.user_provided_name ?? connection.client_properties?.connection_name ?? '';

export function connections(route) {
    const columns = [
        { label: 'Name', key: 'name', value: (connection) => `${connection.name} ${clientName(connection)}`,
            node: (connection) => [connectionLink(connection.name), clientName(connection) && h('small', {}, h('bdi', { class: 'name' }, clientName(connection)))] },
        route.vhost === '' && { label: 'Virtual host', key: 'vhost', minor: true, value: (connection) => connection.vhost ?? '' },
        { label: 'User', key: 'user', value: (connection) => connection.user ?? '', node: (connection) => userLink(connection.user ?? '') },
        { label: 'State', key: 'state', value: (connection) => connection.state ?? '', node: (connection) => state(connection.state) },
        { label: 'TLS', key: 'ssl', minor: true, value: (connection) => (connection.ssl ? 'yes' : 'no') },
        { label: 'Client', minor: true, value: (connection) => connection.client_properties?.product ?? '' },
        { label: 'Channels', key: 'channels', number: true, value: (connection) => format.count(connection.channels ?? 0) },
        { label: 'From it', key: 'recv_oct_details.rate', number: true, minor: true, value: (connection) => octetRate(connection.recv_oct_details) },
        { label: 'To it', key: 'send_oct_details.rate', number: true, minor: true, value: (connection) => octetRate(connection.send_oct_details) },
        { label: 'Since', key: 'connected_at', minor: true, value: (connection) => format.time(connection.connected_at) },
    ].filter(Boolean);
    const list = new List({
        caption: 'Connections', columns, route, id: (connection) => connection.name, empty: 'Nobody is connected.',
        source: fromBroker(() => (route.vhost ? path('vhosts', route.vhost, 'connections') : 'connections'), FIELDS),
    });
    return { title: 'Connections', element: h('div', {}, heading('Connections'), list.element), refresh: () => list.refresh() };
}

function askClose(name) {
    return ask({
        title: 'Close the connection?', submit: 'Close it', danger: true, text: name,
        fields: [{ name: 'reason', label: 'Reason, which the client is told', value: 'Closed via management plugin' }],
        act: async ({ reason }) => {
            await remove(path('connections', name), {}, reason ? { 'X-Reason': reason.replace(/[^\x20-\x7e]/g, '?') } : {});
            say('The connection is closed.');
            return true;
        },
    }).then((was) => {
        if (was)
            location.hash = '#/connections';
    });
}

function factsOf(seen) {
    const { capabilities, ...properties } = seen.client_properties ?? {};
    return [
        ['Called', clientName(seen) && h('bdi', { class: 'name' }, clientName(seen))], ['State', state(seen.state)],
        ['User', userLink(seen.user ?? '')], ['Virtual host', vhostLink(seen.vhost ?? '')], ['Protocol', seen.protocol],
        ['Login by', seen.auth_mechanism], ['TLS', seen.ssl ? `${seen.ssl_protocol} ${seen.ssl_cipher}` : 'no'],
        ['Certificate', seen.peer_cert_subject], ['Connected', format.time(seen.connected_at)],
        ['Heartbeat', seen.timeout ? `${seen.timeout} s` : 'none'], ['Frame size at most', format.octets(seen.frame_max)],
        ['Channels', `${format.count(seen.channels)} of at most ${format.count(seen.channel_max)}`],
        ['Received', format.octets(seen.recv_oct)], ['Sent', format.octets(seen.send_oct)],
        ['Client', argumentList(properties), true],
        ['It understands', Object.entries(capabilities ?? {}).filter(([, can]) => can).map(([key]) => key).join(', '), true],
    ];
}

export function connection(route) {
    const [name] = route.parts;
    const facts = new Facts();
    const channels = channelTable();
    const history = new History('recv', 'send');
    const size = Object.assign((value) => `${format.octets(value)}/s`, { axis: format.octets });
    const chart = new Chart({ title: 'Traffic', history, format: size, lines: [
        { name: 'recv', label: 'from the client', colour: 'c3' }, { name: 'send', label: 'to the client', colour: 'c2' }] });

    async function refresh() {
        const [seen, its] = await Promise.all([get(path('connections', name)), get(path('connections', name, 'channels'))]);
        facts.update(factsOf(seen));
        history.push(Math.floor(Date.now() / 1000), { recv: seen.recv_oct_details?.rate ?? 0, send: seen.send_oct_details?.rate ?? 0 });
        chart.refresh();
        channels.show(its);
    }

    return {
        title: name, refresh, leave: () => chart.leave(),
        element: h('div', {}, heading('Connection', name, button('Close', () => askClose(name), 'danger')), facts.element,
            h('div', { class: 'charts' }, chart.element), section('Channels', channels.element)),
    };
}
