#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Shedding by TTL: what has waited too long is not worth doing any more.
//
// For questions whose asker gives up after a while (a page that is being loaded). Under overload a queue
// without a limit answers everybody late; with a TTL it answers those it can in time, and the rest leave it
// unanswered. Here they are dead-lettered, to be counted and looked at.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const PATIENCE_MS = 100;
const WORK_MS = 20;
const BURST = 20;
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

const connection = await amqplib.connect(address);
const publisher = await connection.createConfirmChannel();
await publisher.assertQueue('questions.shed', { durable: true });
await publisher.assertQueue('questions',
  { durable: true, messageTtl: PATIENCE_MS, deadLetterExchange: '', deadLetterRoutingKey: 'questions.shed' });

const answered = [];
const shed = [];
let progress; // called after each
const ends = () => answered.length + shed.length;
const until = (condition) => new Promise((resolve) => {
  progress = () => condition() && resolve();
  progress();
});

const worker = await connection.createChannel();
await worker.prefetch(1); // what the worker holds does not expire: let that be little
await worker.consume('questions', async (message) => {
  await sleep(WORK_MS); // the work
  answered.push(message.content.toString());
  worker.ack(message);
  progress();
});
await publisher.consume('questions.shed', (message) => {
  assert.equal(message.properties.headers['x-death'][0].reason, 'expired');
  shed.push(message.content.toString());
  progress();
}, { noAck: true });

const asked = Array.from({ length: BURST }, (_, i) => `question ${i}`);
for (const question of asked) // 400 ms of work at once
  publisher.sendToQueue('questions', Buffer.from(question), { persistent: true });
await until(() => ends() === BURST);
console.log(`of a burst of ${BURST}, ${answered.length} were answered and ${shed.length} shed`);
assert(answered.length > 0 && shed.length > 0, 'some were to be answered, some shed');
publisher.sendToQueue('questions', Buffer.from('after the burst'));
await until(() => answered.at(-1) === 'after the burst');
asked.push('after the burst');
assert.deepEqual([...answered, ...shed].sort(), asked.sort(), 'each was to be answered or shed, none both');
await worker.close(); // behind its acknowledgements; the connection's end can overtake them
await connection.close();
