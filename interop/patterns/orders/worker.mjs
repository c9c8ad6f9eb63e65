#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// One of the workers: worker.mjs payment|inventory|shipping|mail LEDGER [CRASH_AT]
//
// It may be killed at any time. The order is acknowledged last, so it comes again if anything was not done by
// then; what was done is in the ledger and not done twice. The ledger, a folder of files that can be made
// once, stands for a database. For the demonstration it dies over the order CRASH_AT, at the worst moment.
import fs from 'node:fs';
import path from 'node:path';
import { connect, tell, WORKERS } from './topology.mjs';

const [name, ledger, crashAt] = process.argv.slice(2);
const [, tells] = WORKERS[name];

/** The work: what would charge the card, count the stock, tell the warehouse, write the mail. */
function doOnce(order) {
  try {
    fs.writeFileSync(path.join(ledger, `${name}-${order.id}`), JSON.stringify(order), { flag: 'wx' });
  } catch (error) {
    if (error.code !== 'EEXIST')
      throw error;
    console.error(`${name}: ${order.id} is done already`);
  }
}

const { channel } = await connect();
await channel.prefetch(10);
await channel.consume(`orders.${name}`, async (message) => {
  const order = JSON.parse(message.content);
  doOnce(order);
  if (order.id === crashAt)
    process.kill(process.pid, 'SIGKILL');
  await tell(channel, tells, order);
  channel.ack(message);
});
