#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Work queue: tasks that several workers share.
//
// For work that takes a while, that any worker can do, and that must not be forgotten when one of them dies.
// Start as many workers as it takes; on one queue they compete. Here three share twenty tasks, and one is
// killed in the middle of its own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const WORKERS = 3;
const TASKS = 20;

const connection = await amqplib.connect(address);
const channel = await connection.createConfirmChannel();
await channel.assertQueue('tasks', { durable: true });
await channel.assertQueue('results', { durable: true });

/** Resolves when the broker has the message safe. */
const send = async (queue, text) => {
  channel.sendToQueue(queue, Buffer.from(text), { persistent: true });
  await channel.waitForConfirms();
};

async function work(name) {
  await channel.prefetch(1); // who is busy is not given more; with short tasks, let it be some dozens
  await channel.consume('tasks', async (message) => {
    const task = message.content.toString();
    if (task === 'task 3' && !message.fields.redelivered)
      process.kill(process.pid, 'SIGKILL'); // a worker that dies over its task
    await send('results', `${name}:${task}`);
    channel.ack(message); // now, and not before: until then the task is given to another if we die
  });
}

async function main() {
  setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();
  const workers = Array.from({ length: WORKERS }, (_, i) =>
    spawn(process.execPath, [fileURLToPath(import.meta.url), `worker ${i}`], { stdio: 'inherit' }));
  process.on('exit', () => workers.forEach((worker) => worker.kill()));
  const ends = workers.map((worker) => once(worker, 'exit'));
  while ((await channel.checkQueue('tasks')).consumerCount < WORKERS)
    await sleep(10);
  for (let i = 1; i <= TASKS; i++)
    channel.sendToQueue('tasks', Buffer.from(`task ${i}`), { persistent: true });
  await channel.waitForConfirms();

  const done = new Map();
  await new Promise((resolve) => channel.consume('results', (message) => {
    const [name, task] = message.content.toString().split(':');
    if (done.set(task, name).size === TASKS)
      resolve();
  }, { noAck: true }));
  workers.forEach((worker) => worker.kill());
  const signals = (await Promise.all(ends)).map(([, signal]) => signal);
  await connection.close();

  assert.equal(signals.filter((signal) => signal === 'SIGKILL').length, 1, `one worker was to die: ${signals}`);
  const names = new Set(done.values());
  assert(names.size > 1, 'the workers did not share');
  console.log(`${TASKS} tasks done by ${names.size} workers, though one died over its own`);
}

await (process.argv[2] ? work(process.argv[2]) : main());
