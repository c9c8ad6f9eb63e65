#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// An idempotent consumer: a message may come twice, what it asks for is done once.
//
// For everything that must be done, but not twice (a payment). Confirms and acknowledgements give
// at-least-once: whoever loses the connection before the confirm sends again, and who dies before the
// acknowledgement is given the message again. So each message has an id of its own, and what is changed notes
// it in the same step. Here that is a file by its name, which can be made once; in a database it is a column
// with a unique key, written in the same transaction.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const connection = await amqplib.connect(address);
const channel = await connection.createConfirmChannel();
await channel.assertQueue('payments', { durable: true });

/** Make a payment, unless it is made; tell whether it was new. */
function pay(folder, id, amount) {
  try {
    fs.writeFileSync(path.join(folder, id), amount, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST')
      return false;
    throw error;
  }
}

async function consume(folder) {
  let twice = 0;
  await channel.prefetch(10);
  await new Promise((resolve) => channel.consume('payments', (message) => {
    const { type, messageId } = message.properties;
    if (type === 'end')
      resolve();
    else if (!pay(folder, messageId, message.content))
      twice += 1;
    if (messageId === 'payment 3' && !message.fields.redelivered)
      process.kill(process.pid, 'SIGKILL'); // dies when it is paid, but not acknowledged
    channel.ack(message);
  }));
  await channel.close();
  await connection.close();
  process.exitCode = 100 + twice; // tells main()
}

/** Start a consumer; how it ended. */
function run(folder) {
  const consumer = spawn(process.execPath, [fileURLToPath(import.meta.url), folder], { stdio: 'inherit' });
  process.on('exit', () => consumer.kill());
  return once(consumer, 'exit');
}

/** The id is the payment's, made where the payment is, not where it is sent: sent again it is the same. */
const publish = (messageId, amount) =>
  channel.sendToQueue('payments', Buffer.from(String(amount)), { persistent: true, messageId });

async function main() {
  setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();
  for (let i = 1; i <= 10; i++)
    publish(`payment ${i}`, i);
  publish('payment 5', 5); // the publisher saw no confirm, and sent it again
  channel.sendToQueue('payments', Buffer.alloc(0), { type: 'end' });
  await channel.waitForConfirms();
  await connection.close();

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'payments-'));
  const [, signal] = await run(folder);
  const [status] = await run(folder);
  const amounts = fs.readdirSync(folder).map((name) => Number(fs.readFileSync(path.join(folder, name))));
  fs.rmSync(folder, { recursive: true });

  assert.equal(signal, 'SIGKILL', 'the first consumer was to die');
  assert.deepEqual([amounts.length, amounts.reduce((a, b) => a + b, 0)], [10, 55]);
  const twice = status - 100;
  assert(twice >= 2, `${twice} came twice`); // 3 and 5, and what the first one could not acknowledge before it died
  console.log(`${amounts.length} payments of 55 in all; ${twice} came twice and were made once`);
}

await (process.argv[2] ? consume(process.argv[2]) : main());
