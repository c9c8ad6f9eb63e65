// SPDX-License-Identifier: Apache-2.0
// pages_test.js: each page is there and shows what it is for; logging in and out.
'use strict';

const assert = require('assert/strict');
const { furnish, LISTS, singles } = require('./furniture');
const { join, until } = require('./site');

module.exports = {
    async 'each list is reached by the navigation and says where one is'(site) {
        const page = await site.open();
        for (const [path, title] of LISTS) {
            await page.getByRole('navigation', { name: 'Pages', exact: true }).getByRole('link', { name: title, exact: true }).click();
            await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor();
            await site.settled(page);
            assert.equal(await page.title(), `${title} · coney`);
            assert.equal(await page.locator('#nav [aria-current]').innerText(), title);
            assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1', 'the focus follows');
            assert.equal(new URL(page.url()).hash, `#/${path}`);
            assert.equal(await page.locator('#trouble').innerText(), '');
        }
    },

    async 'each single one shows its figures'(site) {
        await furnish(site);
        const page = await site.open();
        for (const [path, title] of await singles(site)) {
            await site.go(page, path);
            await page.getByRole('heading', { level: 1, name: title }).waitFor();
            assert.equal(await page.locator('#trouble').innerText(), '', path);
            await page.locator('dl.facts dd').first().waitFor();
        }
    },

    async 'queue shows consumer, bindings, policy and where dead letters go'(site) {
        await furnish(site);
        const page = await site.open(`queues/${join(site.vhost, 'orders')}`);
        const main = site.main(page);
        await until(async () => {
            await site.refresh(page);
            return /reader/.test(await main.innerText());
        }, 'the consumer is shown');
        await main.getByRole('row', { name: /shop order\.#/ }).waitFor();
        await main.getByText('max-length = 10', { exact: true }).waitFor();
        await main.locator('svg text', { hasText: /^dead$/ }).waitFor();
        assert.match(await main.locator('dl.facts').first().innerText(), /Dead letters go to\s+dead/);
    },

    async 'depth and age of the oldest message are in the list of queues and on the page of each'(site) {
        await site.queue('waiting');
        await site.queue('empty');
        for (const payload of ['one', 'two', 'three'])
            await site.publish('', 'waiting', payload);
        const page = await site.open('queues');
        const main = site.main(page);
        const cell = async (queue, label) => {
            const columns = await main.locator('thead th').allTextContents();
            const row = main.getByRole('row', { name: new RegExp(`^${queue} `) });
            return (await row.locator('th, td').nth(columns.findIndex((text) => text.startsWith(label))).innerText()).trim();
        };
        await page.getByRole('combobox', { name: 'Virtual host' }).selectOption(site.vhost);
        await until(async () => {
            await site.refresh(page);
            return await cell('waiting', 'Ready') === '3';
        }, 'its three messages are shown');
        assert.match(await cell('waiting', 'Oldest'), /^\d+ (ms|s)$/);
        assert.equal(await cell('empty', 'Oldest'), '\u2013');
        await site.go(page, `queues/${join(site.vhost, 'waiting')}`);
        await main.getByText('Oldest message', { exact: true }).waitFor();
        assert.match(await main.locator('dl.facts').first().innerText(), /Oldest message\s+\d+ (ms|s)\b/);
    },

    async 'exchange is drawn with what is bound to it, two steps far'(site) {
        await furnish(site);
        await site.exchange('inner', 'fanout');
        await site.queue('far');
        await site.bind('shop', 'inner', 'copy', 'e');
        await site.bind('inner', 'far');
        const page = await site.open(`exchanges/${join(site.vhost, 'shop')}`);
        const texts = await site.main(page).locator('svg text').allTextContents();
        for (const text of ['shop', 'orders', 'inner', 'far', 'order.#', 'copy'])
            assert(texts.includes(text), `${text} in ${texts}`);
        await site.main(page).locator('svg a', { hasText: 'far' }).click();
        await page.getByRole('heading', { level: 1, name: 'Queue far' }).waitFor();
    },

    async 'charts are drawn and go on'(site) {
        const page = await site.open();
        await page.getByRole('combobox', { name: 'Refresh' }).selectOption('2');
        const memory = page.locator('figure', { hasText: 'Memory' });
        const drawing = () => memory.locator('canvas').evaluate((canvas) => canvas.toDataURL());
        await memory.locator('canvas').waitFor();
        const before = await drawing();
        const blank = await memory.locator('canvas').evaluate((canvas) =>
            Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height }).toDataURL());
        assert.notEqual(before, blank);
        await until(async () => (await drawing()) !== before, 'the drawing changes');
        assert.match(await memory.innerText(), /used\s+[\d.]+ [kMG]B/);
    },

    async 'journal is drawn, with how long a sync takes'(site) {
        const page = await site.open();
        await page.getByRole('combobox', { name: 'Refresh' }).selectOption('2');
        const journal = page.locator('figure', { hasText: 'Journal' });
        await until(async () => /written per second\s+[\d.]+ k?B/.test(await journal.innerText()), 'the journal has a rate');
        await site.queue('kept');
        await until(async () => {
            await site.publish('', 'kept', 'x', { delivery_mode: 2 });
            return /A sync takes\s+[\d.]+ ms/.test(await page.locator('section', { hasText: 'Storage' }).innerText());
        }, 'syncs are told');
    },

    async 'wrong password is told, and the right one enters'(site) {
        const page = await site.visit();
        assert.equal(await page.locator('#top').isVisible(), false);
        await page.getByLabel('User').fill('guest');
        await page.getByLabel('Password').fill('wrong');
        await page.getByRole('button', { name: 'Log in' }).click();
        await page.getByRole('alert').getByText('User name or password is wrong.').waitFor();
        assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
        await site.logIn(page);
    },

    async 'password is stored nowhere and gone with the page'(site) {
        const name = await site.user('administrator', 'fd8s7gh2');
        const page = await site.open('queues', { user: name, password: 'fd8s7gh2' });
        await page.getByLabel('Theme').selectOption('dark');
        const stored = JSON.stringify([await page.context().storageState(), await page.evaluate(() => ({ ...sessionStorage }))]);
        assert.match(stored, /coney-theme/);
        assert.doesNotMatch(stored, /fd8s7gh2|ZmQ4czdnaDI|Basic/);
        assert.doesNotMatch(await page.content(), /fd8s7gh2/);
        await page.reload();
        await page.getByRole('button', { name: 'Log in' }).waitFor();
        await site.logIn(page, name, 'fd8s7gh2');
        assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark', 'the theme is remembered');
    },

    async 'log out leads to the form, and nothing is asked after it'(site) {
        const page = await site.open('queues');
        await page.getByRole('button', { name: 'Log out' }).click();
        await page.getByRole('button', { name: 'Log in' }).waitFor();
        assert.equal(await page.locator('#nav').isVisible(), false);
        const asked = [];
        page.on('request', (request) => asked.push(request.url()));
        await page.goBack();
        await page.getByRole('button', { name: 'Log in' }).waitFor();
        assert.deepEqual(asked.filter((url) => url.includes('/api/')), []);
    },

    async 'user whose password changes is asked again'(site) {
        const name = await site.user('administrator');
        const page = await site.open('queues', { user: name, password: 'secret' });
        await site.api('PUT', join('users', name), { password: 'other', tags: 'administrator' });
        await page.getByRole('button', { name: 'Refresh now' }).click();
        await page.getByText('does not accept this login any more').waitFor();
        await site.logIn(page, name, 'other');
    },

    async 'login ends when its time is over'(site) {
        const page = await site.visit();
        await page.route('**/api/whoami', async (route) => {
            const answer = await route.fetch();
            await route.fulfill({ response: answer, json: { ...await answer.json(), login_session_timeout: 0.05 } });
        });
        await site.logIn(page);
        await page.getByText('The time of this login is over.').waitFor();
        assert.equal(await page.locator('#nav').isVisible(), false);
    },

    async 'user who only manages sees no pages for administrators'(site) {
        const name = await site.user('management');
        await site.queue('mine');
        const page = await site.open('queues', { user: name, password: 'secret' });
        await page.getByRole('link', { name: 'mine' }).waitFor();
        const links = await page.locator('#nav a').allInnerTexts();
        assert(!links.includes('Users') && links.includes('Queues'), links.join());
        await site.go(page, '');
        assert.equal(await page.locator('#trouble').innerText(), '');
    },

    async 'user without a tag is told why they cannot enter'(site) {
        const name = await site.user('');
        const page = await site.visit();
        await page.getByLabel('User').fill(name);
        await page.getByLabel('Password').fill('secret');
        await page.getByRole('button', { name: 'Log in' }).click();
        await page.getByRole('alert').getByText(/Not management user/).waitFor();
    },

    async 'theme follows the system until it is chosen'(site) {
        const page = await site.open('', { theme: 'dark' });
        const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const dark = await paper();
        await page.emulateMedia({ colorScheme: 'light' });
        const light = await paper();
        assert.notEqual(light, dark);
        await page.getByLabel('Theme').selectOption('dark');
        assert.equal(await paper(), dark);
    },

    async 'what is gone is told'(site) {
        await site.queue('short-lived');
        const page = await site.open(`queues/${join(site.vhost, 'short-lived')}`);
        await site.api('DELETE', join('queues', site.vhost, 'short-lived'));
        await page.getByRole('button', { name: 'Refresh now' }).click();
        await page.locator('#trouble').getByText(/./).waitFor();
    },
};
