// SPDX-License-Identifier: Apache-2.0
// site.js: what a test has at hand: a vhost of its own, the API, AMQP, and visits of the page by a browser that notes all
// that a good page never does.
'use strict';

const assert = require('assert/strict');
const amqplib = require('amqplib');

const WAIT_MS = 20000;
let lastNumber = 0;

/** Wait until CONDITION() is true (or not null), and return it. */
async function until(condition, what, ms = WAIT_MS) {
    const end = Date.now() + ms;
    for (;;) {
        const result = await condition();
        if (result)
            return result;
        assert(Date.now() < end, `not so after ${ms / 1000} s: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

class Skip extends Error {}

const join = (...segments) => segments.map(encodeURIComponent).join('/');

class Site {
    constructor(browser, place, options) {
        Object.assign(this, { browser, options, base: place.base, amqpUrl: place.amqp, contexts: [], connections: [], noise: [], excused: [] });
        lastNumber += 1;
        this.vhost = `web-test-${process.pid}-${lastNumber}`;
    }

    async begin() {
        await this.api('PUT', join('vhosts', this.vhost), {});
        await this.api('PUT', join('permissions', this.vhost, 'guest'), { configure: '.*', write: '.*', read: '.*' });
    }

    async end(failure) {
        const page = this.contexts.at(-1)?.pages()[0];
        if (failure && page && this.options.pictures)
            await page.screenshot({ path: `${this.options.pictures}/failed-${this.vhost}.png` }).catch(() => {});
        for (const connection of this.connections)
            await connection.close().catch(() => {});
        for (const context of this.contexts)
            await context.close().catch(() => {});
        await this.api('DELETE', join('vhosts', this.vhost));
    }

    /** For what dev-server does not imitate. */
    async needsConey() {
        if ((await this.api('GET', 'overview')).coney_version === undefined)
            throw new Skip('only coney has it');
    }

    // --- the broker -------------------------------------------------------------------------------

    /** A request to the API as guest: the answer's object, or null for 404; other refusals throw. */
    async api(method, where, body, { user = 'guest', password = 'guest' } = {}) {
        const response = await fetch(`${this.base}api/${where}`, {
            method, headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`, 'content-type': 'application/json' },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
        const text = await response.text();
        if (response.status === 404)
            return null;
        assert(response.ok, `${method} ${where}: ${response.status} ${text}`);
        return text === '' ? null : JSON.parse(text);
    }

    queue(name, rest = {}) {
        return this.api('PUT', join('queues', this.vhost, name), { durable: true, ...rest });
    }

    exchange(name, type, rest = {}) {
        return this.api('PUT', join('exchanges', this.vhost, name), { type, durable: true, ...rest });
    }

    bind(source, queue, routing_key = '', kind = 'q') {
        return this.api('POST', join('bindings', this.vhost, 'e', source, kind, queue), { routing_key });
    }

    publish(exchange, routing_key, payload, properties = {}) {
        return this.api('POST', join('exchanges', this.vhost, exchange || 'amq.default', 'publish'),
            { routing_key, payload, payload_encoding: 'string', properties });
    }

    /** What is in the queue, taken out of it. */
    takeAll(queue) {
        return this.api('POST', join('queues', this.vhost, queue, 'get'), { count: 1000, ackmode: 'ack_requeue_false', encoding: 'auto' });
    }

    /** A user, gone when the vhost's test is; returns the name. */
    async user(tags, password = 'secret') {
        const name = `${this.vhost}-user`;
        await this.api('PUT', join('users', name), { password, tags });
        await this.api('PUT', join('permissions', this.vhost, name), { configure: '.*', write: '.*', read: '.*' });
        this.connections.push({ close: () => this.api('DELETE', join('users', name)) });
        return name;
    }

    async connect(name = 'web-test') {
        const connection = await amqplib.connect(`${this.amqpUrl}/${encodeURIComponent(this.vhost)}`, { clientProperties: { connection_name: name } });
        connection.on('error', () => {});
        this.connections.push(connection);
        return connection;
    }

    // --- the browser --------------------------------------------------------------------------------

    /** A new page, not logged in. */
    async visit({ theme = 'light', width = 1280, height = 900, path = '' } = {}) {
        const context = await this.browser.newContext({ viewport: { width, height }, colorScheme: theme, acceptDownloads: true, reducedMotion: 'reduce' });
        this.contexts.push(context);
        const page = await context.newPage();
        page.setDefaultTimeout(WAIT_MS);
        page.on('console', (message) => ['error', 'warning'].includes(message.type()) && this.noise.push(`console: ${message.text()}`));
        page.on('pageerror', (error) => this.noise.push(`exception: ${error.message}`));
        page.on('dialog', (dialog) => this.noise.push(`dialog: ${dialog.message()}`));
        page.on('request', (request) => /^(data|blob):/.test(request.url()) || request.url().startsWith(this.base) || this.noise.push(`foreign: ${request.url()}`));
        page.on('response', (answer) => answer.status() === 404 && !answer.url().includes('/api/') && !answer.url().includes('/metrics/')
            && this.noise.push(`missing: ${answer.url()}`));
        await page.goto(this.base + path);
        return page;
    }

    /** A page of a user who is logged in, at #/WHERE. */
    async open(where = '', options = {}) {
        const page = await this.visit(options);
        await this.logIn(page, options.user, options.password);
        if (where !== '')
            await this.go(page, where);
        return page;
    }

    async logIn(page, user = 'guest', password = 'guest') {
        await page.getByLabel('User').fill(user);
        await page.getByLabel('Password').fill(password);
        await page.getByRole('button', { name: 'Log in' }).click();
        await page.locator('#top').waitFor();
        await this.settled(page);
    }

    /** Go to #/WHERE and wait until its first refresh is done. */
    async go(page, where) {
        await page.evaluate((hash) => {
            location.hash = hash;
        }, `#/${where}`);
        await this.settled(page);
    }

    async settled(page) {
        await page.waitForFunction(() => document.querySelector('h1') && !('busy' in document.getElementById('main').dataset));
    }

    async refresh(page) {
        await page.getByRole('button', { name: 'Refresh now' }).click();
        await this.settled(page);
    }

    /** The dialog that is open. */
    dialog(page) {
        return page.getByRole('dialog');
    }

    /** Press BUTTON of the open dialog and wait until it is gone. */
    async submit(page, button) {
        await this.dialog(page).getByRole('button', { name: button, exact: true }).click();
        await this.dialog(page).waitFor({ state: 'detached' });
    }

    /** Text as the page shows it in its main part. */
    main(page) {
        return page.locator('#main');
    }

    async said(page, text) {
        await page.locator('#said').getByText(text).waitFor();
    }

    /** Noise that matches PATTERN is what this test is about. */
    excuse(pattern) {
        this.excused.push(pattern);
    }

    checkQuiet() {
        // What the broker refuses is shown to the user; the browser's own note of it is no fault of the page.
        const excused = [/Failed to load resource.*status of 40[01345]/, ...this.excused];
        assert.deepEqual(this.noise.filter((line) => !excused.some((pattern) => pattern.test(line))), []);
    }
}

module.exports = { Site, Skip, until, join };
