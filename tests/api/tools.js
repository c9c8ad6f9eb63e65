// SPDX-License-Identifier: Apache-2.0
// tools.js URL NAME: what rabbitmq-admin and rabbitmq-stats, two npm packages, do with the API at URL. NAME is for what it makes.
'use strict';

const assert = require('assert');
const { RabbitAdmin } = require('rabbitmq-admin');
const rabbitStats = require('rabbitmq-stats');

async function admin(url, name) {
    const api = RabbitAdmin({ rabbitHost: url, user: 'guest', pass: 'guest' });
    const overview = await api.getOverview();
    assert.strictEqual((await api.getNode(overview.node)).name, overview.node);
    assert.ok((await api.getNodes()).length === 1);
    assert.ok((await api.getClusterName()).name);
    await api.createVhost(name);
    await api.setUserPermissions(name, 'guest', { configure: '.*', write: '.*', read: '.*' });
    await api.createExchange(name, { name: 'x', type: 'direct', auto_delete: false, durable: true, internal: false, arguments: {} });
    await api.createQueue(name, 'q', { durable: true, auto_delete: false, arguments: {} });
    await api.createBinding({ vhost: name, source: 'x', destination: 'q', type: 'queue', routingKey: 'k' });
    assert.ok((await api.getQueueBindings(name, 'q')).some((binding) => binding.source === 'x'));
    const published = await api.publishToExchange(name, 'x', {
        routing_key: 'k', payload: 'hello', payload_encoding: 'string', properties: {},
    });
    assert.strictEqual(published.routed, true);
    const got = await api.getMessages(name, 'q', { count: 1, ackmode: 'ack_requeue_false', encoding: 'auto' });
    assert.strictEqual(got[0].payload, 'hello');
    await assert.rejects(api.getQueue(name, 'none'), (error) => error.statusCode === 404);
    assert.strictEqual((await api.getQueues(name)).items.length, 1);
    await api.deleteVhost(name);
}

// Asks without a password first, and again when it is told to log in.
async function stats(url) {
    const api = rabbitStats(url, 'guest', 'guest');
    const overview = await api.getOverview();
    assert.ok(overview.object_totals.exchanges >= 7);
    assert.ok(Array.isArray(await api.getQueues()));
    assert.strictEqual((await api.getVhostExchange('/', 'amq.topic')).type, 'topic');
    assert.strictEqual((await api.getCurrentUser()).name, 'guest');
}

async function main(url, name) {
    await admin(url, name);
    await stats(url);
    process.stdout.write('done\n');
}

main(...process.argv.slice(2)).catch((error) => {
    process.stdout.write(`${error.stack || error}\n`);
    process.exitCode = 1;
});
