// SPDX-License-Identifier: Apache-2.0
// lists_test.js: sorting, filter and pages, by the broker where it has them; what is refreshed stays under the fingers.
'use strict';

const assert = require('assert/strict');
const { join, until } = require('./site');

const QUEUES = 60;

async function manyQueues(site) {
    const names = Array.from({ length: QUEUES }, (_, i) => `q${String(i).padStart(3, '0')}`);
    for (const name of names)
        await site.queue(name);
    return names;
}

/** The list of queues of the test's vhost alone. */
async function openQueues(site) {
    const page = await site.open('queues');
    await page.getByRole('combobox', { name: 'Virtual host' }).selectOption(site.vhost);
    await site.settled(page);
    return page;
}

const firstColumn = (page) => page.locator('main tbody th').allInnerTexts();

/** Wait until the first column is NAMES. */
async function showing(page, names) {
    let seen;
    await until(async () => {
        seen = await firstColumn(page);
        return seen.join() === names.join();
    }, `the list shows ${names[0]} …`).catch((error) => {
        throw new Error(`${error.message}; it shows ${seen}`);
    });
}

module.exports = {
    async 'broker cuts the pages, and only one is asked for'(site) {
        const names = await manyQueues(site);
        const page = await openQueues(site);
        const asked = [];
        page.on('request', (request) => request.url().includes('/api/queues') && asked.push(new URL(request.url())));
        await page.getByLabel('Rows').selectOption('25');
        await showing(page, names.slice(0, 25));
        await page.getByText('Page 1 of 3').waitFor();
        await page.getByRole('button', { name: 'Next' }).click();
        await showing(page, names.slice(25, 50));
        await page.getByRole('button', { name: 'Last' }).click();
        await showing(page, names.slice(50));
        assert.equal(await page.getByRole('button', { name: 'Next' }).isDisabled(), true);
        await page.getByRole('button', { name: 'Previous' }).click();
        await showing(page, names.slice(25, 50));
        await page.getByRole('button', { name: 'First' }).click();
        await showing(page, names.slice(0, 25));
        assert(asked.length >= 5);
        assert(asked.every((url) => url.searchParams.get('page_size') === '25' && url.searchParams.has('columns')), asked.join('\n'));
    },

    async 'hundred thousand queues are paged, filtered and sorted'(site) {
        await site.needsConey();
        const names = Array.from({ length: 100000 }, (_, i) => `q${String(i).padStart(5, '0')}`);
        for (let at = 0; at < names.length; at += 20000)
            await site.api('POST', join('definitions', site.vhost), {
                queues: names.slice(at, at + 20000).map((name) => ({ name, durable: true, auto_delete: false, arguments: {} })),
            });
        await site.publish('', 'q77777', 'x');
        const page = await openQueues(site);
        await page.getByLabel('Rows').selectOption('25');
        await showing(page, names.slice(0, 25));
        await page.getByText(/^Page 1 of 4\D?000$/).waitFor();
        await page.getByRole('button', { name: 'Last' }).click();
        await showing(page, names.slice(-25));
        const head = page.getByRole('columnheader', { name: 'Ready' });
        await head.getByRole('button').click();
        await head.getByRole('button').click();
        await until(async () => (await firstColumn(page))[0] === 'q77777', 'the longest is the first');
        await page.getByLabel('Filter by name').fill('q1234');
        await page.locator('main [role=search] [role=status]', { hasText: /10 of 100\D?000/ }).waitFor();
        assert.deepEqual((await firstColumn(page)).sort(), names.slice(12340, 12350));
    },

    async 'columns sort both ways and say so'(site) {
        const names = await manyQueues(site);
        const page = await openQueues(site);
        const head = page.getByRole('columnheader', { name: 'Name' });
        await head.getByRole('button').click();
        await until(async () => (await head.getAttribute('aria-sort')) === 'ascending', 'the head says ascending');
        await showing(page, names);
        await head.getByRole('button').click();
        await until(async () => (await head.getAttribute('aria-sort')) === 'descending', 'the head says descending');
        await showing(page, [...names].reverse());
    },

    async 'numbers sort as numbers'(site) {
        for (const [name, count] of [['few', 2], ['many', 11], ['none', 0]]) {
            await site.queue(name);
            for (let i = 0; i < count; i++)
                await site.publish('', name, 'x');
        }
        await until(async () => (await site.api('GET', join('queues', site.vhost, 'many'))).messages_ready === 11, 'the broker counts them');
        const page = await openQueues(site);
        const head = page.getByRole('columnheader', { name: 'Ready' });
        await head.getByRole('button').click();
        await showing(page, ['none', 'few', 'many']);
        await head.getByRole('button').click();
        await showing(page, ['many', 'few', 'none']);
    },

    async 'filter narrows as one types, plainly or by a regular expression'(site) {
        const names = await manyQueues(site);
        const page = await openQueues(site);
        await page.getByLabel('Filter by name').fill('q05');
        await showing(page, names.slice(50));
        await page.locator('main [role=search] [role=status]', { hasText: '10 of 60' }).waitFor();
        await page.getByLabel('Filter by name').fill('^q0[01]5$');
        await page.getByText('No queue here.').waitFor();
        await page.getByLabel('Regular expression').check();
        await showing(page, ['q005', 'q015']);
    },

    async 'wrong regular expression is told, and the right one works again'(site) {
        await site.queue('a');
        const page = await openQueues(site);
        await page.getByLabel('Regular expression').check();
        await page.getByLabel('Filter by name').fill('(');
        await page.locator('main').getByRole('alert').getByText(/./).waitFor();
        await page.getByLabel('Filter by name').fill('(a)');
        await showing(page, ['a']);
        await until(async () => (await page.locator('main .list [role=alert]').innerText()) === '', 'the complaint is gone');
    },

    async 'late answer to what was asked before takes no complaint away'(site) {
        await site.queue('a');
        const page = await openQueues(site);
        const isEarlier = (url) => url.searchParams.get('use_regex') === 'true' && !url.searchParams.get('name');
        let letGo;
        const held = new Promise((resolve) => {
            letGo = resolve;
        });
        await page.route(isEarlier, async (route) => {
            await held;
            await route.continue();
        });
        await page.getByLabel('Regular expression').check();
        await page.getByLabel('Filter by name').fill('(');
        const complaint = page.locator('main .list [role=alert]');
        await complaint.getByText(/./).waitFor();
        const answered = page.waitForResponse((response) => isEarlier(new URL(response.url())));
        letGo();
        await (await answered).finished();
        await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
        assert.notEqual(await complaint.innerText(), '');
    },

    async 'way back leads to the same page of the list'(site) {
        const names = await manyQueues(site);
        const page = await openQueues(site);
        await page.getByLabel('Rows').selectOption('25');
        await page.getByRole('button', { name: 'Next' }).click();
        await showing(page, names.slice(25, 50));
        await page.getByRole('link', { name: 'q030' }).click();
        await page.getByRole('heading', { level: 1, name: 'Queue q030' }).waitFor();
        await page.goBack();
        await showing(page, names.slice(25, 50));
    },

    async 'page that is gone gives way to the first'(site) {
        const names = await manyQueues(site);
        const page = await openQueues(site);
        await page.getByLabel('Rows').selectOption('25');
        await page.getByRole('button', { name: 'Last' }).click();
        await showing(page, names.slice(50));
        for (const name of names.slice(3))
            await site.api('DELETE', join('queues', site.vhost, name));
        await site.refresh(page);
        await showing(page, names.slice(0, 3));
    },

    async 'list that the broker does not cut is cut here'(site) {
        await site.exchange('wide', 'direct');
        await site.queue('all');
        for (let i = 0; i < 30; i++)
            await site.bind('wide', 'all', `key${String(i).padStart(2, '0')}`);
        const page = await site.open(`exchanges/${join(site.vhost, 'wide')}`);
        const list = page.locator('.list', { hasText: 'key00' });
        await list.getByLabel('Rows').selectOption('25');
        await list.getByText('Page 1 of 2').waitFor();
        assert.equal(await list.locator('tbody tr').count(), 25);
        await list.getByLabel('Filter').fill('key2');
        await until(async () => (await page.locator('.list tbody tr', { hasText: 'key2' }).count()) === 10, 'ten are left');
        await page.getByRole('columnheader', { name: 'Routing key' }).last().getByRole('button').click();
        await page.getByRole('columnheader', { name: 'Routing key' }).last().getByRole('button').click();
        await until(async () => /key29/.test(await page.locator('.list tbody tr', { hasText: 'key2' }).first().innerText()), 'the last comes first');
    },

    async 'refresh leaves focus, rows and what is typed alone'(site) {
        await site.queue('first');
        await site.queue('second');
        const page = await openQueues(site);
        await page.getByRole('link', { name: 'second' }).focus();
        await page.evaluate(() => {
            document.activeElement.isTheSame = true;
        });
        await site.queue('between');
        await page.evaluate(() => document.getElementById('now').dispatchEvent(new Event('click')));
        await showing(page, ['between', 'first', 'second']);
        assert.equal(await page.evaluate(() => document.activeElement.isTheSame && document.activeElement.innerText), 'second');
    },

    async 'virtual host that is chosen restricts every list'(site) {
        await site.queue('here');
        const page = await openQueues(site);
        await showing(page, ['here']);
        await site.go(page, 'exchanges');
        const rows = await page.locator('main tbody tr').count();
        assert.equal(rows, (await site.api('GET', join('exchanges', site.vhost))).length);
        await (await site.connect('in here')).createChannel();
        await until(async () => (await site.api('GET', join('vhosts', site.vhost, 'channels'))).length === 1, 'the channel is listed');
        for (const [where, text] of [['connections', 'in here'], ['channels', '(1)']]) {
            await site.go(page, where);
            await page.locator('main tbody th', { hasText: text }).waitFor();
            assert.equal(await page.locator('main tbody tr').count(), 1);
            await page.getByLabel('Filter by name').fill('nothing is called so');
            await page.locator('main .empty').waitFor();
        }
    },
};
