#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// RPC: a question and its answer.
//
// For calls to a service whose address nobody should need to know, with as many servers as it takes. The
// answer comes by direct reply-to: no queue is made for it. The question expires when its caller has stopped
// waiting, so that a server that comes back does not answer what nobody asks any more.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import amqplib from 'amqplib';

const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';
const REPLY_TO = 'amq.rabbitmq.reply-to';
const connection = await amqplib.connect(address);
const channel = await connection.createChannel();
await channel.assertQueue('square', { durable: true });

async function serve() {
  await channel.prefetch(1);
  await channel.consume('square', (message) => {
    const { replyTo, correlationId } = message.properties;
    const answer = String(Number(message.content) ** 2);
    channel.sendToQueue(replyTo, Buffer.from(answer), { correlationId }); // dropped if the caller has gone
    channel.ack(message);
  });
}

const calls = new Map(); // those that wait, by correlation id

function settle(id, act, value) {
  const call = calls.get(id);
  calls.delete(id); // an answer that comes later finds nobody who waits for it
  call?.[act](value);
}

async function listen() {
  await channel.consume(REPLY_TO, ({ properties, content }) =>
    settle(properties.correlationId, 'resolve', content.toString()), { noAck: true });
  channel.on('return', ({ properties, fields }) =>
    settle(properties.correlationId, 'reject', new Error(`no ${fields.routingKey}`)));
}

function call(service, text, ms = 5000) {
  const correlationId = randomUUID();
  const options = { replyTo: REPLY_TO, correlationId, expiration: ms, mandatory: true };
  const answer = new Promise((resolve, reject) => calls.set(correlationId, { resolve, reject }));
  channel.sendToQueue(service, Buffer.from(text), options);
  const timer = setTimeout(() => settle(correlationId, 'reject', new Error(`${service} did not answer`)), ms);
  return answer.finally(() => clearTimeout(timer));
}

async function waitForServers(count) {
  while ((await channel.checkQueue('square')).consumerCount !== count)
    await sleep(10);
}

async function main() {
  setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();
  await listen();
  const program = [fileURLToPath(import.meta.url), 'serve'];
  const servers = [1, 2].map(() => spawn(process.execPath, program, { stdio: 'inherit' }));
  process.on('exit', () => servers.forEach((server) => server.kill()));
  await waitForServers(servers.length);
  const numbers = Array.from({ length: 20 }, (_, i) => i);
  const answers = await Promise.all(numbers.map((number) => call('square', String(number)))); // all at a time
  assert.deepEqual(answers.map(Number), numbers.map((number) => number * number));

  await Promise.all(servers.map((server) => (server.kill('SIGKILL'), once(server, 'exit'))));
  await waitForServers(0);
  await assert.rejects(call('square', '7', 200), /did not answer/);
  while ((await channel.checkQueue('square')).messageCount > 0)
    await sleep(10); // until the question has expired
  await assert.rejects(call('cube', '7'), /no cube/);
  await connection.close();
  console.log('20 answers; without a server a call timed out and its question expired; a wrong name failed at once');
}

await (process.argv[2] ? serve() : main());
