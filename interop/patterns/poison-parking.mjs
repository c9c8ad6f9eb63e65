#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Poison messages, parked after some deliveries and replayed when the consumer is mended.
//
// For queues where one message that cannot be handled (or that kills whoever tries) must not keep its
// consumers busy for ever. The queue counts how often it delivered each; who comes back too often is
// dead-lettered to a parking queue, where somebody looks at it, mends the consumer, and puts it back:
//
//     coneyctl peek payments.parked
//     coneyctl replay payments.parked
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const coneyctl = process.env.CONEYCTL ?? 'coneyctl'; // empty: the broker is not coney
const LIMIT = 3; // returns; with the first there are up to four deliveries
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

const connection = await amqplib.connect(address);
const channel = await connection.createConfirmChannel();
await channel.assertQueue('payments.parked', { durable: true });
await channel.assertQueue('payments', {
  durable: true, deadLetterExchange: '', deadLetterRoutingKey: 'payments.parked',
  arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': LIMIT }, // RabbitMQ counts deliveries in these only
});

/** Work until there were so many deliveries; what could be handled. */
async function work(parse, deliveries) {
  const handled = [];
  await new Promise((resolve) => channel.consume('payments', (message) => {
    deliveries -= 1;
    try {
      handled.push(parse(message.content.toString()).amount);
      channel.ack(message);
    } catch {
      channel.nack(message, false, true); // a crash would do the same
    }
    if (deliveries === 0)
      resolve();
  }, { consumerTag: 'worker' }));
  await channel.cancel('worker');
  return handled;
}

/** The parser, mended. */
const lenient = (text) => JSON.parse(text.replace(',}', '}'));

for (const body of ['{"amount": 1}', '{"amount": 2,}', '{"amount": 3}', '{"amount": 4}'])
  channel.sendToQueue('payments', Buffer.from(body), { persistent: true });
await channel.waitForConfirms();

assert.deepEqual(await work(JSON.parse, 3 + 1 + LIMIT), [1, 3, 4], 'one bad message held up the others');
const operator = await connection.createChannel();
const message = await new Promise((resolve) => operator.consume('payments.parked', resolve));
const [death] = message.properties.headers['x-death'];
assert.deepEqual([death.reason, death.queue], ['delivery_limit', 'payments']);
await operator.close(); // which puts the message back
console.log(`parked after ${1 + LIMIT} deliveries: ${message.content}`);

if (coneyctl) {
  const vhost = decodeURIComponent(new URL(address).pathname.slice(1));
  execFileSync(coneyctl, ['--vhost', vhost, 'replay', 'payments.parked'], { stdio: 'inherit' });
  assert.deepEqual(await work(lenient, 1), [2]);
  assert.equal(await channel.get('payments.parked'), false, 'it is still there');
  console.log('replayed, and handled by the mended consumer');
}
await connection.close();
