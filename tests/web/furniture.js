// SPDX-License-Identifier: Apache-2.0
// furniture.js: a vhost with one of everything, and the list of all pages.
'use strict';

const { join, until } = require('./site');

const LISTS = [
    ['', 'Overview'], ['queues', 'Queues'], ['exchanges', 'Exchanges'], ['connections', 'Connections'], ['channels', 'Channels'],
    ['deadletters', 'Dead letters'], ['policies', 'Policies'], ['users', 'Users'], ['vhosts', 'Virtual hosts'],
];

/** A vhost with one of everything, and a client in it; returns the client's channel. */
async function furnish(site) {
    await site.queue('orders', { arguments: { 'x-dead-letter-exchange': 'dead', 'x-max-length': 100 } });
    await site.queue('dead.orders');
    await site.exchange('shop', 'topic');
    await site.exchange('dead', 'fanout');
    await site.bind('shop', 'orders', 'order.#');
    await site.bind('dead', 'dead.orders');
    await site.api('PUT', join('policies', site.vhost, 'short'), { pattern: '^orders$', 'apply-to': 'queues', definition: { 'max-length': 10 } });
    const connection = await site.connect('furnisher');
    const channel = await connection.createChannel();
    await channel.prefetch(7);
    await channel.consume('orders', () => {}, { consumerTag: 'reader' });
    await site.publish('shop', 'order.new', 'one');
    return channel;
}

/** The single pages of what furnish() made: path and what its heading says. */
async function singles(site) {
    const channel = await until(async () => (await site.api('GET', join('vhosts', site.vhost, 'channels')))?.find((one) => one.consumer_count === 1), 'the channel is listed');
    return [
        [`queues/${join(site.vhost, 'orders')}`, 'Queue orders'], [`exchanges/${join(site.vhost, 'shop')}`, 'Exchange shop'],
        [`exchanges/${join(site.vhost, 'amq.default')}`, 'Exchange (default)'],
        [`connections/${join(channel.connection_details.name)}`, 'Connection'], [`channels/${join(channel.name)}`, 'Channel'],
        ['users/guest', 'User guest'], [`vhosts/${join(site.vhost)}`, `Virtual host ${site.vhost}`],
    ];
}

module.exports = { furnish, LISTS, singles };
