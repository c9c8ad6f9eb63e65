#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Ordered by key: what concerns one customer is handled in order, different customers side by side.
//
// For events of which those of one account must not overtake each other. A consistent-hash exchange gives
// each routing key to one of some queues, always the same. On each queue a single consumer is active; another
// stands by, and takes over where the first one ended. What was not acknowledged by then comes again, in its
// order.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
// One for each consumer that is to be at work; with another number of them, keys go to other queues.
const QUEUES = [0, 1, 2, 3].map((i) => `accounts.${i}`);
const KEYS = Array.from({ length: 10 }, (_, i) => `account-${i}`);
const NUMBERS = Array.from({ length: 20 }, (_, i) => i);

const connection = await amqplib.connect(address);
const channel = await connection.createConfirmChannel();
await channel.assertExchange('accounts', 'x-consistent-hash', { durable: true });
for (const queue of QUEUES) {
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-single-active-consumer': true } });
  await channel.bindQueue(queue, 'accounts', '1'); // its weight: how many of the keys it gets, beside the others
}
await channel.assertQueue('done', { durable: true });

async function consume(name) {
  await channel.prefetch(10);
  for (const queue of QUEUES)
    await channel.consume(queue, (message) => { // one after the other: an async handler would let them overtake
      const event = message.content.toString();
      if (name === 'first' && event === 'account-3:7')
        process.kill(process.pid, 'SIGKILL');
      channel.sendToQueue('done', Buffer.from(`${name}:${event}`), { persistent: true },
        (refusal) => (refusal ? process.exit(1) : channel.ack(message)));
    });
}

/** Start a consumer, and wait until it is on all queues. */
async function start(name, consumers) {
  const consumer = spawn(process.execPath, [fileURLToPath(import.meta.url), name], { stdio: 'inherit' });
  process.on('exit', () => consumer.kill());
  for (const queue of QUEUES)
    while ((await channel.checkQueue(queue)).consumerCount < consumers)
      await sleep(10);
  return consumer;
}

async function main() {
  setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();
  const died = once(await start('first', 1), 'exit');
  const second = await start('second', 2);
  for (const number of NUMBERS)
    for (const key of KEYS)
      channel.publish('accounts', key, Buffer.from(`${key}:${number}`), { persistent: true });
  await channel.waitForConfirms();

  const seen = new Map(KEYS.map((key) => [key, []]));
  const names = new Set();
  await new Promise((resolve) => channel.consume('done', ({ content }) => {
    const [name, key, number] = content.toString().split(':');
    names.add(name);
    if (!seen.get(key).includes(Number(number))) // else it was done, but not acknowledged when the first one died
      seen.get(key).push(Number(number));
    if ([...seen.values()].every((numbers) => numbers.length === NUMBERS.length))
      resolve();
  }, { noAck: true }));
  second.kill();
  await connection.close();

  assert.deepEqual(await died, [null, 'SIGKILL'], 'the first consumer was to die');
  assert.deepEqual([...names], ['first', 'second']);
  for (const [key, numbers] of seen)
    assert.deepEqual(numbers, NUMBERS, `${key} is out of order`);
  console.log(`${KEYS.length} keys with ${NUMBERS.length} events each, in order, though a consumer died`);
}

await (process.argv[2] ? consume(process.argv[2]) : main());
