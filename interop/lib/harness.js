// SPDX-License-Identifier: Apache-2.0
// What the Node.js clients share: scenarios by name, the output protocol of ../run, the address, expectations.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');

const { AMQP_HOST: host, AMQP_PORT, AMQP_URL: url, AMQP_PREFIX: prefix, PROXY_PORT, CUT_PORT } = process.env;

/** Options of a socket when the address is an amqps one: verifies the broker, shows a certificate. */
const tls = process.env.TLS_CA ? {
  ca: [fs.readFileSync(process.env.TLS_CA)],
  cert: fs.readFileSync(process.env.TLS_CERT),
  key: fs.readFileSync(process.env.TLS_KEY),
} : {};

const DEADLINE_MS = 30000;
const body10mb = Buffer.alloc(10000000, Buffer.from(Array.from({ length: 251 }, (_, i) => (i * 31) % 251)));

const scenarios = new Map();
const scenario = (name, run) => scenarios.set(name, { run });
const unavailable = (name, reason) => scenarios.set(name, { reason });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const expect = (actual, expected, what) => assert.deepStrictEqual(actual, expected, what && `${what}: ${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);

/** Wait until condition() gives something truthy, and return that. */
async function eventually(condition, what) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited ${DEADLINE_MS} ms for ${what}`);
    await sleep(10);
  }
}

/** Cut everything that goes through proxyPort; done when the promise resolves. */
const cutConnections = () => new Promise((resolve, reject) => {
  net.connect(Number(CUT_PORT), '127.0.0.1').on('close', resolve).on('error', reject).resume();
});

/** The messages a consumer got and nobody has taken yet. */
class Inbox {
  messages = [];

  async take(n) {
    await eventually(() => this.messages.length >= n, `${n} messages`);
    return this.messages.splice(0, n);
  }
}

/** Run the scenarios named on the command line, one after the other. */
async function main() {
  let failed = false;
  for (const name of process.argv.slice(2)) {
    const { run, reason } = scenarios.get(name) || { run: () => assert.fail('unknown scenario') };
    try {
      if (run) await run();
      console.log(run ? `ok ${name}` : `skip ${name}: ${reason}`);
    } catch (error) {
      failed = true;
      console.error(error);
      console.log(`not ok ${name}: ${String(error && error.message).replaceAll('\n', ' ')}`);
    }
  }
  process.exit(failed ? 1 : 0);
}

module.exports = {
  tls, host, port: Number(AMQP_PORT), url, prefix, proxyPort: Number(PROXY_PORT), body10mb,
  Inbox, cutConnections, eventually, expect, main, scenario, sleep, unavailable,
};
