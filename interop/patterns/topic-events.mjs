#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Events by topic: each subscriber says which kinds of events it wants.
//
// For events that several services follow, each its own choice of them. The routing key tells what happened
// where, from the general to the particular (order.eu.paid); a binding's * stands for one word, its # for any
// number. A publisher that asks for it (mandatory) learns of an event that nobody wanted.
import assert from 'node:assert/strict';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const SUBSCRIPTIONS = {
  billing: ['order.*.paid', 'order.*.refunded'],
  europe: ['*.eu.#'],
  orders: ['order.#'],
};
const EVENTS = ['order.eu.placed', 'order.us.placed', 'order.us.paid', 'stock.eu.low.shoes', 'order.eu.refunded'];
const EXPECTED = {
  billing: ['order.us.paid', 'order.eu.refunded'],
  europe: ['order.eu.placed', 'stock.eu.low.shoes', 'order.eu.refunded'],
  orders: ['order.eu.placed', 'order.us.placed', 'order.us.paid', 'order.eu.refunded'],
};
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

const connection = await amqplib.connect(address);
const channel = await connection.createConfirmChannel();
await channel.assertExchange('events', 'topic', { durable: true });
for (const [queue, patterns] of Object.entries(SUBSCRIPTIONS)) {
  await channel.assertQueue(queue, { durable: true });
  for (const pattern of patterns)
    await channel.bindQueue(queue, 'events', pattern);
}

const unwanted = [];
channel.on('return', (message) => unwanted.push(message.fields.routingKey)); // comes ahead of the confirm
for (const event of [...EVENTS, 'invoice.us.sent'])
  channel.publish('events', event, Buffer.from('{}'), { persistent: true, mandatory: true });
await channel.waitForConfirms();
assert.deepEqual(unwanted, ['invoice.us.sent']);

for (const [queue, expected] of Object.entries(EXPECTED)) {
  const got = [];
  await new Promise((resolve) => channel.consume(queue, (message) => {
    if (got.push(message.fields.routingKey) === expected.length)
      resolve();
  }, { noAck: true, consumerTag: queue }));
  await channel.cancel(queue); // whatever else there was has come by now
  assert.deepEqual(got, expected, queue);
}
await connection.close();
console.log('each subscriber got the events it asked for, and one that nobody wanted came back');
