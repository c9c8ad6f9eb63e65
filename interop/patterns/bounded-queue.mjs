#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A bounded queue, and its three answers when it is full: drop the oldest, refuse the newest, block the
// producer.
//
// Drop the oldest where only the latest counts (positions, prices). Refuse the newest where whoever asks
// should be told "later" at once (an order form). Block the producer where everything must go through and the
// producer can wait (an import).
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const ROOM = 5;
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

const connection = await amqplib.connect(address);
const channel = await connection.createConfirmChannel();

const declare = (queue, overflow) =>
  channel.assertQueue(queue, { durable: true, maxLength: ROOM, arguments: { 'x-overflow': overflow } });

async function takeAll(queue) {
  const bodies = [];
  for (let message; (message = await channel.get(queue, { noAck: true }));)
    bodies.push(Number(message.content));
  return bodies;
}

/** Publish; tell whether the broker took it. Only who waits for confirms learns that. */
const isTaken = (queue, body) => new Promise((resolve) => channel.sendToQueue(queue, Buffer.from(String(body)),
  { persistent: true }, (refusal) => resolve(!refusal)));

async function dropTheOldest() {
  await declare('positions', 'drop-head');
  for (let i = 0; i < 8; i++)
    assert(await isTaken('positions', i));
  assert.deepEqual(await takeAll('positions'), [3, 4, 5, 6, 7], 'the newest were to stay');
}

async function refuseTheNewest() {
  await declare('requests', 'reject-publish');
  const taken = [];
  for (let i = 0; i < 8; i++)
    taken.push(await isTaken('requests', i));
  assert.deepEqual(taken, [true, true, true, true, true, false, false, false]);
  assert.deepEqual(await takeAll('requests'), [0, 1, 2, 3, 4]);
}

async function publishWhenThereIsRoom(queue, body) {
  for (let pause = 5; !(await isTaken(queue, body)); pause = Math.min(2 * pause, 1000))
    await sleep(pause);
}

async function consume(queue, count) {
  const consumer = await connection.createChannel();
  await consumer.prefetch(1);
  const bodies = [];
  await new Promise((resolve) => consumer.consume(queue, (message) => {
    consumer.ack(message);
    if (bodies.push(Number(message.content)) === count)
      resolve();
  }));
  return bodies;
}

async function blockTheProducer() {
  await declare('rows', 'reject-publish');
  for (let i = 0; i < ROOM; i++)
    await publishWhenThereIsRoom('rows', i);
  assert(!(await isTaken('rows', ROOM)), 'there was room for one more');
  const rows = consume('rows', 100);
  for (let i = ROOM; i < 100; i++)
    await publishWhenThereIsRoom('rows', i);
  assert.deepEqual(await rows, Array.from({ length: 100 }, (_, i) => i), 'everything was to come through, in order');
}

await dropTheOldest();
await refuseTheNewest();
await blockTheProducer();
await connection.close();
console.log('the oldest 3 dropped; the newest 3 refused; 100 rows through a queue of 5, and none lost');
