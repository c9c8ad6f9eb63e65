// SPDX-License-Identifier: Apache-2.0
// access_test.js: the page for those who use a keyboard, a screen reader, a phone, a dark room.
'use strict';

const assert = require('assert/strict');
const fs = require('fs');
const { furnish, LISTS, singles } = require('./furniture');
const { join, until } = require('./site');

const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf-8');
const PHONE = { width: 360, height: 740 };
const DIALOGS = [
    ['queues', 'Declare a queue'], ['exchanges', 'Declare an exchange'], ['users', 'Add a user'], ['vhosts', 'Add a virtual host'],
    ['policies', 'Set a policy'], ['', 'Import definitions'],
];
const QUEUE_DIALOGS = ['Publish', 'Peek', 'Get', 'Move', 'Purge', 'Delete', 'Bind'];

/** What axe finds that is serious or critical, in words. */
async function findings(page, where) {
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${where}: ${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
}

async function eachPage(site, page, visit) {
    for (const [path, title] of [...LISTS, ...await singles(site)]) {
        await site.go(page, path);
        await page.getByRole('heading', { level: 1, name: title }).first().waitFor();
        await visit(path, title);
    }
}

async function picture(site, page, name) {
    if (site.options.pictures)
        await page.screenshot({ path: `${site.options.pictures}/${name.replace(/\W+/g, '-').toLowerCase()}.png`, fullPage: true });
}

async function checkPages(site, theme) {
    await furnish(site);
    const page = await site.visit({ theme });
    const found = await findings(page, 'Log in');
    await site.logIn(page);
    await eachPage(site, page, async (path, title) => {
        found.push(...await findings(page, title));
        await picture(site, page, `${theme} ${title}`);
    });
    assert.deepEqual(found, []);
}

async function checkDialogs(site, theme) {
    await furnish(site);
    const page = await site.open('', { theme });
    const found = [];
    const look = async (button) => {
        await page.locator('main').getByRole('button', { name: button, exact: true }).click();
        await site.dialog(page).waitFor();
        for (const more of await site.dialog(page).getByRole('button', { name: /^Add / }).all())
            await more.click();
        found.push(...await findings(page, button));
        await page.keyboard.press('Escape');
        await site.dialog(page).waitFor({ state: 'detached' });
    };
    for (const [path, button] of DIALOGS) {
        await site.go(page, path);
        await look(button);
    }
    await site.go(page, `queues/${join(site.vhost, 'dead.orders')}`);
    for (const button of QUEUE_DIALOGS)
        await look(button);
    await site.publish('', 'dead.orders', 'x', { headers: { a: 1 } });
    await page.locator('main').getByRole('button', { name: 'Peek' }).click();
    await site.submit(page, 'Look');
    await page.locator('.message').first().waitFor();
    found.push(...await findings(page, 'message'));
    assert.deepEqual(found, []);
}

/** Press Tab until the focus is on what TEST, run in the page, says. */
async function tabTo(page, name) {
    const focused = () => page.evaluate(() => {
        const element = document.activeElement;
        return (element.getAttribute('aria-label') ?? element.labels?.[0]?.innerText ?? element.innerText ?? '').trim();
    });
    for (let i = 0; i < 80; i++) {
        await page.keyboard.press('Tab');
        if ((await focused()).replace(/\s*\*$/, '') === name)
            return;
    }
    assert.fail(`no way to ${name} by Tab; the focus is on ${await focused()}`);
}

module.exports = {
    'axe finds nothing serious on any page, light': (site) => checkPages(site, 'light'),
    'axe finds nothing serious on any page, dark': (site) => checkPages(site, 'dark'),
    'axe finds nothing serious in any dialog, light': (site) => checkDialogs(site, 'light'),
    'axe finds nothing serious in any dialog, dark': (site) => checkDialogs(site, 'dark'),

    async 'phone scrolls no page sideways'(site) {
        await furnish(site);
        const page = await site.open('', PHONE);
        const width = () => page.evaluate(() => document.documentElement.scrollWidth);
        await eachPage(site, page, async (path, title) => {
            assert.equal(await width(), PHONE.width, title);
            await picture(site, page, `phone ${title}`);
        });
        await site.go(page, 'queues');
        await page.getByRole('button', { name: 'Declare a queue' }).click();
        await site.dialog(page).getByRole('button', { name: 'Add an argument' }).click();
        assert.equal(await width(), PHONE.width);
        const overhang = await site.dialog(page).evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth);
        assert.equal(overhang, 0);
    },

    async 'phone has its navigation behind a button'(site) {
        const page = await site.open('', PHONE);
        const menu = page.getByRole('button', { name: 'Menu' });
        assert.equal(await page.getByRole('link', { name: 'Queues' }).isVisible(), false);
        await menu.click();
        assert.equal(await menu.getAttribute('aria-expanded'), 'true');
        await page.keyboard.press('Escape');
        assert.equal(await menu.getAttribute('aria-expanded'), 'false');
        await menu.click();
        await page.getByRole('link', { name: 'Queues' }).click();
        await page.getByRole('heading', { level: 1, name: 'Queues' }).waitFor();
        assert.equal(await menu.getAttribute('aria-expanded'), 'false');
    },

    async 'keyboard alone logs in, finds a queue and publishes to it'(site) {
        await site.queue('by-hand');
        const page = await site.visit();
        const { keyboard } = page;
        await keyboard.type('guest'); // the field has the focus
        await keyboard.press('Tab');
        await keyboard.type('guest');
        await keyboard.press('Enter');
        await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
        await page.evaluate(() => document.body.focus());
        await tabTo(page, 'Queues').catch(() => tabTo(page, 'Queues')); // round once if the focus was behind it
        await keyboard.press('Enter');
        await page.getByRole('heading', { level: 1, name: 'Queues' }).waitFor();
        await site.settled(page);
        await tabTo(page, 'Filter by name');
        await keyboard.type('by-hand');
        await page.getByRole('link', { name: 'by-hand' }).waitFor();
        await tabTo(page, 'by-hand');
        await keyboard.press('Enter');
        await page.getByRole('heading', { level: 1, name: 'Queue by-hand' }).waitFor();
        await tabTo(page, 'Publish');
        await keyboard.press('Enter');
        await site.dialog(page).waitFor();
        await keyboard.type('typed');
        await tabTo(page, 'Publish');
        await keyboard.press('Enter');
        await site.said(page, 'The message was published.');
        assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Publish', 'the focus is back where the dialog came from');
        assert.equal((await site.takeAll('by-hand'))[0].payload, 'typed');
    },

    async 'skip link leads past the navigation'(site) {
        const page = await site.open('queues');
        await page.getByRole('link', { name: 'Skip to content' }).focus();
        assert.equal(await page.getByRole('link', { name: 'Skip to content' }).evaluate((link) => link.getBoundingClientRect().top >= 0), true, 'it is seen when focused');
        await page.keyboard.press('Enter');
        assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
        await page.keyboard.press('Tab');
        assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Declare a queue');
    },

    async 'dialog keeps the focus, and Escape leaves it'(site) {
        const page = await site.open('queues');
        await page.getByRole('button', { name: 'Declare a queue' }).click();
        for (let i = 0; i < 30; i++) {
            await page.keyboard.press('Tab');
            assert(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest('dialog') !== null));
        }
        await page.keyboard.press('Escape');
        await site.dialog(page).waitFor({ state: 'detached' });
        assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Declare a queue');
    },

    async 'what is done and what went wrong is announced'(site) {
        const page = await site.open();
        const roles = await page.evaluate(() => ['said', 'trouble'].map((id) => document.getElementById(id).getAttribute('role')));
        assert.deepEqual(roles, ['status', 'alert']);
        await page.route('**/api/overview*', (route) => route.abort());
        await page.getByRole('button', { name: 'Refresh now' }).click();
        await page.locator('#trouble').getByText('The broker does not answer.').waitFor();
        await page.unroute('**/api/overview*');
        await page.getByRole('button', { name: 'Refresh now' }).click();
        await until(async () => (await page.locator('#trouble').innerText()) === '', 'it is well again');
        site.excuse(/net::ERR_FAILED/);
    },
};
