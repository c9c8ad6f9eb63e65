// SPDX-License-Identifier: Apache-2.0
// hostile_test.js: names and payloads of people who mean no good, or write from right to left.
'use strict';

const assert = require('assert/strict');
const { join, until } = require('./site');

const NAMES = [
    '<img src=x onerror=document.title="owned">', '"><script>alert(1)</script>', "' onmouseover='alert(1)", 'javascript:alert(1)', '{{7*7}}${7*7}',
    'a/b/../c', '100%', '%2F%00', 'a?b=c&d#e', 'שלום עולם', '\u202etxt.exe', 'x'.repeat(255), 'ünï/çødé 🐰', ' spaces  inside ', '#hash', '\\back\\slash', '&lt;b&gt;',
];

/** Names as the page shows them; what white space does on a page is no matter here. */
const plain = (text) => text.replace(/\s+/g, ' ').trim();

async function noWidePage(page) {
    const [content, view] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert(content <= view, `${content} > ${view}`);
}

async function nothingRan(page) {
    assert.match(await page.title(), /· coney$/);
    assert.equal(await page.locator('main script, main img, main iframe, main b:not(figure b)').count(), 0);
    await noWidePage(page);
}

module.exports = {
    async 'names of queues are text, in the list and on their pages'(site) {
        for (const name of NAMES)
            await site.queue(name);
        const page = await site.open('queues');
        await page.getByRole('combobox', { name: 'Virtual host' }).selectOption(site.vhost);
        await site.settled(page);
        await until(async () => (await page.locator('main tbody tr').count()) === NAMES.length, 'all are listed');
        const shown = (await page.locator('main tbody th').allTextContents()).map(plain);
        assert.deepEqual(shown.sort(), NAMES.map(plain).sort());
        await nothingRan(page);
        for (const name of NAMES) {
            await page.locator('main tbody th a').filter({ hasText: plain(name) }).first().click();
            await until(async () => plain(await page.locator('h1').textContent()) === `Queue ${plain(name)}`, `the page of ${name}`);
            await site.settled(page);
            assert.equal(await page.locator('#trouble').innerText(), '', name);
            await nothingRan(page);
            await page.goBack();
            await page.getByRole('heading', { level: 1, name: 'Queues' }).waitFor();
            await page.locator('main tbody tr').first().waitFor();
        }
    },

    async 'names of exchanges, keys and bindings are text, in the picture too'(site) {
        const [image, script, , , , slashes, percent, , , rtl] = NAMES;
        for (const name of [image, slashes, percent, rtl]) {
            await site.exchange(name, 'topic');
            await site.queue(`q ${name}`);
            await site.bind(name, `q ${name}`, script);
        }
        const page = await site.open();
        for (const name of [image, slashes, percent, rtl]) {
            await site.go(page, `exchanges/${join(site.vhost, name)}`);
            await until(async () => (await page.locator('h1').textContent()) === `Exchange ${name}`, `the page of ${name}`);
            await page.getByRole('cell', { name: script, exact: true }).waitFor();
            await nothingRan(page);
            await page.getByRole('button', { name: /^Unbind/ }).click();
            await site.submit(page, 'Unbind');
            assert.deepEqual(await site.api('GET', `${join('exchanges', site.vhost, name)}/bindings/source`), [], `${name}: unbound`);
        }
    },

    async 'names of virtual hosts, users and policies are text'(site) {
        for (const nasty of [NAMES[0] + NAMES[5] + NAMES[6], NAMES[9]]) {
            const name = `${site.vhost} ${nasty}`;
            const page = await site.open();
            await site.api('PUT', join('vhosts', name), { description: nasty, tags: nasty });
            await site.api('PUT', join('users', name), { password: 'x', tags: '' });
            try {
                await site.api('PUT', join('permissions', name, name), { configure: '.*', write: '<b>', read: '' });
                await site.api('PUT', join('policies', name, nasty), { pattern: '<b>', 'apply-to': 'queues', definition: { 'dead-letter-exchange': nasty } });
                for (const [list, kind] of [['vhosts', 'Virtual host'], ['users', 'User']]) {
                    await site.go(page, list);
                    await page.locator('main tbody th a').filter({ hasText: plain(name) }).click();
                    await until(async () => plain(await page.locator('h1').textContent()) === `${kind} ${plain(name)}`, `the page of ${name}`);
                    await site.settled(page);
                    await page.getByRole('cell', { name: '<b>', exact: true }).waitFor();
                    await nothingRan(page);
                }
                await site.go(page, 'policies');
                await page.locator('main tbody tr', { hasText: plain(name) }).waitFor();
                await nothingRan(page);
                await page.reload();
                await site.logIn(page);
                await page.getByRole('combobox', { name: 'Virtual host' }).selectOption(name);
                await site.settled(page);
                await site.go(page, 'queues');
                await page.getByText('No queue here.').waitFor();
            } finally {
                await site.api('DELETE', join('users', name));
                await site.api('DELETE', join('vhosts', name));
                await page.context().close();
            }
        }
    },

    async 'payloads, headers and arguments are text'(site) {
        const [image, script] = NAMES;
        await site.queue('box', { arguments: { [image]: script } });
        await site.publish('', 'box', image, { headers: { [script]: image, 'x-deep': { a: [1, script] } }, content_type: 'text/html' });
        await site.publish('', 'box', '[1, "</pre><script>alert(1)</script>"]', { content_type: 'application/json' });
        const page = await site.open(`queues/${join(site.vhost, 'box')}`);
        await page.getByRole('button', { name: 'Get', exact: true }).click();
        await site.dialog(page).getByLabel('How many').fill('2');
        await site.submit(page, 'Get');
        await page.locator('.message').nth(1).waitFor();
        assert.equal(await page.locator('.message pre').first().textContent(), image);
        assert.match(await page.locator('.message').first().textContent(), /"><script>alert\(1\)<\/script> = <img src=x/);
        await nothingRan(page);
    },

    async 'what the broker says of a hostile name is text'(site) {
        const [image] = NAMES;
        await site.queue(image, { durable: false });
        const page = await site.open('queues');
        await page.getByRole('button', { name: 'Declare a queue' }).click();
        await site.dialog(page).getByLabel('Virtual host').selectOption(site.vhost);
        await site.dialog(page).getByLabel('Name').fill(image);
        await site.dialog(page).getByRole('button', { name: 'Declare' }).click();
        await site.dialog(page).getByRole('alert').getByText(image).waitFor();
        assert.equal(await page.locator('dialog img').count(), 0);
    },

    async 'client names and users are text'(site) {
        const [image] = NAMES;
        await site.connect(image);
        await until(async () => (await site.api('GET', join('vhosts', site.vhost, 'connections')))?.some((one) => one.client_properties?.connection_name === image), 'it is listed');
        const page = await site.open('connections');
        await page.getByText(image).first().waitFor();
        await nothingRan(page);
        await page.locator('tr', { hasText: image }).getByRole('link').first().click();
        await page.getByRole('heading', { level: 1, name: 'Connection' }).waitFor();
        await page.getByText(image).first().waitFor();
        await nothingRan(page);
    },

    async 'address with nonsense leads to the overview or to a plain complaint'(site) {
        const page = await site.open();
        for (const where of ['nothing/here', 'queues/%', 'queues/%2F/%00', '<script>', 'exchanges///', 'queues?page=-1', 'queues?page=x&size=y&sort=z', '__proto__', 'constructor/a']) {
            await site.go(page, where);
            await page.getByRole('heading', { level: 1 }).waitFor();
            await nothingRan(page);
        }
    },
};
