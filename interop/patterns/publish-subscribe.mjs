#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Publish/subscribe: everybody who subscribes gets a copy of everything.
//
// For news that the publisher sends without knowing who reads them. Each subscriber has a queue of its own:
// one without a name lives as long as its connection (a screen that shows what is new), one with a name keeps
// what comes while its reader is away (an archive).
import assert from 'node:assert/strict';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

async function subscribe(name = '') {
  const connection = await amqplib.connect(address);
  const channel = await connection.createChannel();
  await channel.assertExchange('news', 'fanout', { durable: true });
  const { queue } = await channel.assertQueue(name, { durable: name !== '', exclusive: name === '' });
  await channel.bindQueue(queue, 'news', '');
  return { connection, channel, queue };
}

/** The next so many news. */
async function read({ channel, queue }, count) {
  const news = [];
  await channel.prefetch(count);
  await new Promise((resolve) => channel.consume(queue, (message) => {
    channel.ack(message);
    if (news.push(message.content.toString()) === count)
      resolve();
  }, { consumerTag: 'reader' }));
  await channel.cancel('reader');
  return news;
}

const connection = await amqplib.connect(address);
const publisher = await connection.createConfirmChannel();
await publisher.assertExchange('news', 'fanout', { durable: true });
const publish = async (text) => {
  publisher.publish('news', '', Buffer.from(text), { persistent: true });
  await publisher.waitForConfirms();
};

const archive = await subscribe('archive');
await archive.connection.close(); // its queue stays, and fills
const screen = await subscribe();
const otherScreen = await subscribe();
await publish('one');
await publish('two');
assert.deepEqual(await read(otherScreen, 2), ['one', 'two']);
await otherScreen.connection.close();
const late = await subscribe();
await publish('three');

assert.deepEqual(await read(screen, 3), ['one', 'two', 'three'], 'a screen saw all that was sent while it was there');
assert.deepEqual(await read(late, 1), ['three'], 'who comes late gets what comes later');
const reader = await subscribe('archive');
assert.deepEqual(await read(reader, 3), ['one', 'two', 'three'], 'the archive missed nothing while it was away');
console.log('each screen saw what came while it was there, the archive everything');
await Promise.all([connection, screen.connection, late.connection, reader.connection].map((each) => each.close()));
