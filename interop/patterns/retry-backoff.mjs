#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Retry with growing delays, by dead letters and TTL.
//
// For jobs that fail because something else is down for a while. What fails goes to a queue where nobody
// consumes, whose messages expire and are then dead-lettered back to the jobs: its TTL is the delay. There is
// one for each delay; behind the last is a queue of those that are given up. Other jobs are not held up
// meanwhile.
import assert from 'node:assert/strict';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const DELAYS_MS = [100, 200, 400]; // in earnest: 5 s, 1 min, 10 min, 1 h
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

const connection = await amqplib.connect(address);
const channel = await connection.createConfirmChannel();
for (const queue of ['jobs', 'jobs.failed'])
  await channel.assertQueue(queue, { durable: true });
for (const messageTtl of DELAYS_MS) // in one for all RabbitMQ would keep a message of 100 ms waiting behind one of 400
  await channel.assertQueue(`jobs.wait.${messageTtl}`,
    { durable: true, messageTtl, deadLetterExchange: '', deadLetterRoutingKey: 'jobs' });

async function send(queue, job, attempt = 0) {
  channel.sendToQueue(queue, Buffer.from(job), { persistent: true, headers: { attempt } });
  await channel.waitForConfirms();
}

function perform(job, attempt) {
  if (job === 'hopeless' || (job === 'flaky' && attempt < 3))
    throw new Error('what the job needs is down');
}

/** Work until there were so many deliveries; job, attempt and time of each. */
async function work(deliveries) {
  const log = [];
  await new Promise((resolve) => channel.consume('jobs', async (message) => {
    const job = message.content.toString();
    const { attempt } = message.properties.headers;
    log.push({ job, attempt, when: performance.now() });
    try {
      perform(job, attempt);
    } catch {
      await send(attempt < DELAYS_MS.length ? `jobs.wait.${DELAYS_MS[attempt]}` : 'jobs.failed', job, attempt + 1);
    }
    channel.ack(message); // once its successor is safe: who dies in between leaves two, never none
    if (log.length === deliveries)
      resolve();
  }, { consumerTag: 'worker' }));
  await channel.cancel('worker');
  return log;
}

for (const job of ['flaky', 'hopeless', 'good'])
  await send('jobs', job);
const log = await work(4 + 4 + 1);

for (const job of ['flaky', 'hopeless']) {
  const times = log.filter((entry) => entry.job === job).map((entry) => entry.when);
  const delays = times.slice(1).map((when, i) => Math.round(when - times[i]));
  console.log(`${job}: tried again after ${delays.join(', ')} ms`);
  assert(delays.length === 3 && delays.every((ms, i) => ms >= DELAYS_MS[i] * 0.95), delays);
}
const first = log.slice(0, 3).map((entry) => entry.job);
assert.deepEqual(first, ['flaky', 'hopeless', 'good'], 'the good job waited for the others');
assert.equal((await channel.get('jobs.failed')).content.toString(), 'hopeless');
await connection.close(); // where it stays, as it was not acknowledged
