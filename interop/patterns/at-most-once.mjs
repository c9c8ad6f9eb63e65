#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// At most once: what is lost is lost, nothing comes twice.
//
// For readings of which the next one comes soon anyway. Nothing is kept on disk, confirmed or acknowledged: a
// message is gone from the queue when it is sent to the consumer. What a consumer had been sent when it died
// is lost; no message is handled twice. The queue has a limit, for nothing else slows the publisher or keeps
// messages from piling up while nobody reads.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const connection = await amqplib.connect(address);
const channel = await connection.createChannel();
await channel.assertQueue('readings', { durable: true, maxLength: 1000 });
await channel.assertQueue('seen', { durable: true });

async function consume(crashAt) {
  await new Promise((resolve) => channel.consume('readings', ({ content, fields }) => {
    const reading = content.toString();
    if (reading === crashAt || fields.redelivered)
      process.kill(process.pid, 'SIGKILL');
    channel.sendToQueue('seen', content);
    if (reading === '20')
      resolve();
  }, { noAck: true }));
  await channel.close();
  await connection.close();
}

/** Start a consumer; how it ended. */
function run(crashAt) {
  const consumer = spawn(process.execPath, [fileURLToPath(import.meta.url), crashAt], { stdio: 'inherit' });
  process.on('exit', () => consumer.kill());
  return once(consumer, 'exit');
}

function measure(first, last) {
  for (let i = first; i <= last; i++)
    channel.sendToQueue('readings', Buffer.from(String(i))); // transient, unless it is said to be persistent
}

async function main() {
  setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();
  measure(1, 10);
  assert.deepEqual(await run('3'), [null, 'SIGKILL'], 'the first consumer was to die');
  while ((await channel.checkQueue('readings')).consumerCount > 0)
    await sleep(10); // until the broker knows: what it sends before is lost too
  measure(11, 20);
  assert.deepEqual(await run('never'), [0, null]);

  const seen = [];
  await new Promise((resolve) => channel.consume('seen', ({ content }) => {
    if (seen.push(Number(content)) && seen.at(-1) === 20)
      resolve();
  }, { noAck: true }));
  await connection.close();
  const lost = Array.from({ length: 20 }, (_, i) => i + 1).filter((i) => !seen.includes(i));
  assert.equal(seen.length, new Set(seen).size, `some came twice: ${seen}`);
  assert(lost.includes(3) && lost.every((i) => i <= 10), `lost were ${lost}`);
  console.log(`${seen.length} of 20 readings seen, none twice; ${lost.length} died with their consumer`);
}

await (process.argv[2] ? consume(process.argv[2]) : main());
