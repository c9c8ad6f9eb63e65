// channels.js: all channels; one channel with its consumers.

import { get, path } from '../api.js';
import { Chart, History } from '../chart.js';
import { h } from '../dom.js';
import * as format from '../format.js';
import { channelLink, connectionLink, Facts, heading, queueLink, section, state, userLink, vhostLink } from '../parts.js';
import { fromBroker, List, Table } from '../table.js';

const FIELDS = ['name', 'vhost', 'user', 'state', 'confirm', 'transactional', 'consumer_count', 'prefetch_count', 'global_prefetch_count',
    'messages_unacknowledged', 'messages_unconfirmed', 'message_stats.publish_details.rate', 'message_stats.deliver_get_details.rate',
    'message_stats.ack_details.rate'];
const RATES = ['publish', 'deliver_get', 'ack', 'redeliver'];

const modeOf = (channel) => [channel.confirm && 'confirms', channel.transactional && 'tx'].filter(Boolean).join(', ');
const prefetchOf = (channel) => [channel.prefetch_count > 0 && `${format.count(channel.prefetch_count)} per consumer`,
    channel.global_prefetch_count > 0 && `${format.count(channel.global_prefetch_count)} in all`].filter(Boolean).join(', ') || 'no limit';

const rateColumn = (label, key) => ({
    label, number: true, minor: true, key: `message_stats.${key}_details.rate`,
    value: (channel) => format.rate(format.rateOf(channel.message_stats, key)),
});

function channelColumns(withVhost) {
    return [
        { label: 'Name', key: 'name', value: (channel) => channel.name, node: (channel) => channelLink(channel.name) },
        withVhost && { label: 'Virtual host', key: 'vhost', minor: true, value: (channel) => channel.vhost ?? '' },
        { label: 'User', key: 'user', minor: true, value: (channel) => channel.user ?? '' },
        { label: 'State', key: 'state', minor: true, value: (channel) => channel.state ?? '', node: (channel) => state(channel.state) },
        { label: 'Mode', minor: true, value: modeOf },
        { label: 'Unacked', key: 'messages_unacknowledged', number: true, value: (channel) => format.count(channel.messages_unacknowledged) },
        { label: 'Unconfirmed', key: 'messages_unconfirmed', number: true, minor: true, value: (channel) => format.count(channel.messages_unconfirmed) },
        { label: 'Prefetch', number: true, minor: true, value: prefetchOf },
        { label: 'Consumers', key: 'consumer_count', number: true, value: (channel) => format.count(channel.consumer_count) },
        rateColumn('Published', 'publish'), rateColumn('Delivered', 'deliver_get'), rateColumn('Acked', 'ack'),
    ].filter(Boolean);
}

/** The channels of one connection. */
export function channelTable() {
    return new Table({ caption: 'Channels', id: (channel) => channel.name, columns: channelColumns(false), empty: 'No channel is open.' });
}

export function channels(route) {
    const list = new List({
        caption: 'Channels', columns: channelColumns(route.vhost === ''), route, id: (channel) => channel.name, empty: 'No channel is open.',
        source: fromBroker(() => (route.vhost ? path('vhosts', route.vhost, 'channels') : 'channels'), FIELDS),
    });
    return { title: 'Channels', element: h('div', {}, heading('Channels'), list.element), refresh: () => list.refresh() };
}

function consumerTable() {
    return new Table({
        caption: 'Consumers', empty: 'It has no consumer.', id: (consumer) => consumer.consumer_tag,
        columns: [
            { label: 'Tag', value: (consumer) => consumer.consumer_tag },
            { label: 'Queue', value: (consumer) => consumer.queue?.name ?? '', node: (consumer) => queueLink(consumer.queue?.vhost ?? '', consumer.queue?.name ?? '') },
            { label: 'Acknowledges', value: (consumer) => (consumer.ack_required ? 'yes' : 'no') },
            { label: 'Prefetch', number: true, value: (consumer) => format.count(consumer.prefetch_count) },
        ],
    });
}

export function channel(route) {
    const [name] = route.parts;
    const facts = new Facts();
    const consumers = consumerTable();
    const history = new History(...RATES);
    const chart = new Chart({ title: 'Messages per second', history, format: (value) => format.rate(value), lines: [
        { name: 'publish', label: 'published', colour: 'c3' }, { name: 'deliver_get', label: 'delivered', colour: 'c2' },
        { name: 'ack', label: 'acknowledged', colour: 'c4' }, { name: 'redeliver', label: 'redelivered', colour: 'c6' }] });

    async function refresh() {
        const seen = await get(path('channels', name));
        facts.update([
            ['Connection', seen.connection_details?.name && connectionLink(seen.connection_details.name)], ['User', userLink(seen.user ?? '')],
            ['Virtual host', vhostLink(seen.vhost ?? '')], ['State', state(seen.state)], ['Mode', modeOf(seen) || 'plain'], ['Prefetch', prefetchOf(seen)],
            ['Unacknowledged', format.count(seen.messages_unacknowledged)], ['Unconfirmed', format.count(seen.messages_unconfirmed)],
            ['Uncommitted', seen.transactional ? format.count(seen.messages_uncommitted) : null], ['Idle since', seen.idle_since],
        ]);
        history.push(Math.floor(Date.now() / 1000), Object.fromEntries(RATES.map((key) => [key, format.rateOf(seen.message_stats, key)])));
        chart.refresh();
        consumers.show(seen.consumer_details ?? []);
    }

    return {
        title: name, refresh, leave: () => chart.leave(),
        element: h('div', {}, heading('Channel', name), facts.element, h('div', { class: 'charts' }, chart.element), section('Consumers', consumers.element)),
    };
}
