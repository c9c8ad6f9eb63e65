#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Priorities: the urgent overtake those that wait.
//
// For a queue in which now and then something cannot wait (a customer at the counter among the night's
// reports). A few levels do. Messages that a consumer has already been given are not overtaken: with
// priorities the prefetch is to be small.
import assert from 'node:assert/strict';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const SENT = [['report 1', 0], ['report 2', 0], ['report 3', 0], ['customer', 2], ['alarm', 3], ['report 4', 0]];
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

/** Publish while a consumer with this prefetch is there, and tell in which order it works. */
async function orderOfWork(prefetch) {
  const connection = await amqplib.connect(address);
  const publisher = await connection.createConfirmChannel();
  await publisher.assertQueue('prints', { durable: true, maxPriority: 3 });

  const worked = [];
  const channel = await connection.createChannel();
  await channel.prefetch(prefetch);
  let begin; // the first job takes until all are published
  const begun = new Promise((resolve) => { begin = resolve; });
  let end;
  const done = new Promise((resolve) => { end = resolve; });
  await channel.consume('prints', async (message) => {
    await begun;
    channel.ack(message);
    if (worked.push(message.content.toString()) === SENT.length)
      end();
  });

  for (const [text, priority] of SENT)
    publisher.sendToQueue('prints', Buffer.from(text), { persistent: true, priority });
  await publisher.waitForConfirms();
  begin();
  await done;
  await channel.close(); // behind its acknowledgements; the connection's end can overtake them
  await connection.close();
  return worked;
}

const careful = await orderOfWork(1);
const greedy = await orderOfWork(100);
console.log(`prefetch 1:   ${careful.join(', ')}\nprefetch 100: ${greedy.join(', ')}`);
assert.deepEqual(careful, ['report 1', 'alarm', 'customer', 'report 2', 'report 3', 'report 4']);
assert.deepEqual(greedy, SENT.map(([text]) => text), 'what a consumer holds is not overtaken');
