#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Order processing whole: a shop, its workers, and one of them down for a while. Nothing is lost.
//
// For a chain of steps of which each is somebody else's program, and none may hold up or break the others.
// topology.mjs says who is there, worker.mjs is one of them. Here forty orders are placed; mail dies over one
// of them, and is started again when all the rest is done. The books are then checked: each order went
// through each step, and each step was done once.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { address, connect, EVENTS, tell, WORKERS } from './topology.mjs';

const api = new URL(process.env.API_URL ?? 'http://guest:guest@localhost:15672');
const ORDERS = 40;
const CRASH_AT = 7;
const worker = fileURLToPath(new URL('worker.mjs', import.meta.url));
setTimeout(() => assert.fail('not done within 60 s'), 60000).unref();

const ledger = fs.mkdtempSync(path.join(os.tmpdir(), 'orders-'));

function start(name, ...more) {
  const child = spawn(process.execPath, [worker, name, ledger, ...more], { stdio: 'inherit' });
  process.on('exit', () => child.kill());
  return child;
}

const end = (child) => (child.kill(), once(child, 'exit'));

/** Follows all events, to know what has become of each order. */
const audit = new Map(EVENTS.map((event) => [event, new Set()]));
let noted = () => {};

async function follow(channel) {
  await channel.assertQueue('orders.audit', { durable: true });
  await channel.bindQueue('orders.audit', 'orders', 'order.#');
  await channel.consume('orders.audit', ({ fields, content }) => {
    audit.get(fields.routingKey).add(JSON.parse(content).id);
    noted();
  }, { noAck: true });
}

/** Until so many orders had this event. */
const wait = (event, count) => new Promise((resolve) => {
  noted = () => audit.get(event).size >= count && resolve();
  noted();
});

/** What the web page shows of a queue. */
async function lookAt(queue) {
  const vhost = new URL(address).pathname.slice(1);
  const login = Buffer.from(`${api.username}:${api.password}`).toString('base64');
  const headers = { authorization: `Basic ${login}` };
  return (await fetch(`${api.origin}/api/queues/${vhost}/${queue}`, { headers })).json();
}

const { connection, channel } = await connect();
await follow(channel);
const workers = Object.keys(WORKERS).filter((name) => name !== 'mail').map((name) => start(name));
const mailEnds = once(start('mail', `order-${CRASH_AT}`), 'exit');
for (let i = 0; i < ORDERS; i++)
  await tell(channel, 'order.placed', { id: `order-${i}`, item: 'shoes', amount: 80 + i });
assert.deepEqual(await mailEnds, [null, 'SIGKILL'], 'mail was to die');
await wait('order.shipped', ORDERS); // nobody else notices

let queue;
while ((queue = await lookAt('orders.mail')).consumers !== 0 || queue.messages < ORDERS - CRASH_AT)
  await sleep(50); // RabbitMQ's figures come late
console.log(`mail is down: ${queue.messages} orders wait, the oldest for ${queue.oldest_message_age_ms ?? '?'} ms`);
if (process.env.WHILE_DOWN) // the tests look at the alerts
  execFileSync(process.env.WHILE_DOWN, ['orders.mail'], { stdio: 'inherit' });

workers.push(start('mail'));
await wait('order.mailed', ORDERS);
await Promise.all(workers.map(end));
await connection.close();

const placed = Array.from({ length: ORDERS }, (_, i) => `order-${i}`);
for (const [event, orders] of audit)
  assert.deepEqual([...orders].sort(), [...placed].sort(), event);
const steps = Object.keys(WORKERS).flatMap((name) => placed.map((order) => `${name}-${order}`));
assert.deepEqual(fs.readdirSync(ledger).sort(), steps.sort(), 'the ledger is not complete');
fs.rmSync(ledger, { recursive: true });
console.log(`${placed.length} orders placed, paid, reserved, shipped and mailed`);
