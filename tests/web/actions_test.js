// SPDX-License-Identifier: Apache-2.0
// actions_test.js: all that the page can do is done, and looked at in the broker.
'use strict';

const assert = require('assert/strict');
const fs = require('fs');
const { join, until } = require('./site');

const queuePage = (site, name) => site.open(`queues/${join(site.vhost, name)}`);

async function press(page, name) {
    await page.locator('main').getByRole('button', { name, exact: true }).click();
    await page.getByRole('dialog').waitFor();
}

/** A row of an "arguments" field: NUMBER counts within the dialog. */
async function fillArgument(site, page, addLabel, key, value, type) {
    const dialog = site.dialog(page);
    await dialog.getByRole('button', { name: addLabel }).click();
    const row = dialog.locator('.row').last();
    await row.getByLabel('Name').fill(key);
    await row.getByLabel('Name').press('Tab');
    if (type)
        await row.getByLabel('Type of the value').selectOption(type);
    await row.getByLabel('Value', { exact: true }).fill(value);
}

const ready = (site, queue) => async () => (await site.api('GET', join('queues', site.vhost, queue))).messages_ready;

/** Dead letters of QUEUE in "dead", COUNT of them, by expiry. */
async function letDie(site, count) {
    await site.exchange('dlx', 'direct');
    await site.queue('dead');
    await site.queue('work', { arguments: { 'x-message-ttl': 1, 'x-dead-letter-exchange': 'dlx', 'x-dead-letter-routing-key': 'd' } });
    await site.exchange('jobs', 'direct');
    await site.bind('dlx', 'dead', 'd');
    await site.bind('jobs', 'work', 'job');
    for (let i = 0; i < count; i++)
        await site.publish('jobs', 'job', `job ${i}`);
    await until(async () => (await ready(site, 'dead')()) === count, 'they are dead');
}

module.exports = {
    async 'declare a queue'(site) {
        const page = await site.open('queues');
        await press(page, 'Declare a queue');
        const dialog = site.dialog(page);
        await dialog.getByLabel('Virtual host').selectOption(site.vhost);
        await dialog.getByLabel('Name').fill('made');
        await fillArgument(site, page, 'Add an argument', 'x-max-length', '500');
        await fillArgument(site, page, 'Add an argument', 'x-overflow', 'reject-publish');
        await site.submit(page, 'Declare');
        await site.said(page, 'Queue made is declared.');
        const queue = await site.api('GET', join('queues', site.vhost, 'made'));
        assert.deepEqual([queue.durable, queue.auto_delete, queue.arguments], [true, false, { 'x-max-length': 500, 'x-overflow': 'reject-publish' }]);
    },

    async 'declare a quorum queue'(site) {
        const page = await site.open('queues');
        await press(page, 'Declare a queue');
        await site.dialog(page).getByLabel('Virtual host').selectOption(site.vhost);
        await site.dialog(page).getByLabel('Name').fill('voted');
        await site.dialog(page).getByRole('combobox', { name: 'Type', exact: true }).selectOption('quorum');
        await site.submit(page, 'Declare');
        assert.equal((await site.api('GET', join('queues', site.vhost, 'voted'))).type, 'quorum');
    },

    async 'what the broker refuses is told in the dialog, which stays'(site) {
        await site.queue('taken', { durable: false });
        const page = await site.open('queues');
        await press(page, 'Declare a queue');
        const dialog = site.dialog(page);
        await dialog.getByLabel('Virtual host').selectOption(site.vhost);
        await dialog.getByLabel('Name').fill('taken');
        await dialog.getByRole('button', { name: 'Declare' }).click();
        await dialog.getByRole('alert').getByText(/inequivalent arg 'durable'/).waitFor();
        await fillArgument(site, page, 'Add an argument', 'x-max-length', 'many', 'number');
        await dialog.getByRole('button', { name: 'Declare' }).click();
        await dialog.getByRole('alert').getByText('“many” is not a number.').waitFor();
        await dialog.getByRole('button', { name: 'Cancel' }).click();
        await dialog.waitFor({ state: 'detached' });
    },

    async 'purge and delete a queue, and think better of it first'(site) {
        await site.queue('full');
        await site.publish('', 'full', 'x');
        const page = await queuePage(site, 'full');
        await press(page, 'Purge');
        await page.keyboard.press('Enter'); // on "Cancel", where the focus is
        await site.dialog(page).waitFor({ state: 'detached' });
        assert.equal((await site.takeAll('full')).length, 1);
        await site.publish('', 'full', 'x');
        await press(page, 'Purge');
        await site.submit(page, 'Purge');
        assert.equal((await site.takeAll('full')).length, 0);
        await press(page, 'Delete');
        await site.submit(page, 'Delete');
        await page.getByRole('heading', { level: 1, name: 'Queues' }).waitFor();
        assert.equal(await site.api('GET', join('queues', site.vhost, 'full')), null);
    },

    async 'publish to a queue with headers and properties'(site) {
        await site.queue('box');
        const page = await queuePage(site, 'box');
        await press(page, 'Publish');
        await site.dialog(page).getByLabel('Payload', { exact: true }).fill('{"a": "ä"}');
        await fillArgument(site, page, 'Add a header', 'try', '3', 'number');
        await fillArgument(site, page, 'Add a property', 'content_type', 'application/json');
        await site.submit(page, 'Publish');
        await site.said(page, 'The message was published.');
        const [message] = await site.takeAll('box');
        assert.equal(message.payload, '{"a": "ä"}');
        assert.deepEqual(message.properties, { delivery_mode: 2, content_type: 'application/json', headers: { try: 3 } });
    },

    async 'publish to an exchange, and hear when nobody wants it'(site) {
        await site.exchange('talk', 'direct');
        await site.queue('ear');
        await site.bind('talk', 'ear', 'loud');
        const page = await site.open(`exchanges/${join(site.vhost, 'talk')}`);
        await press(page, 'Publish');
        await site.dialog(page).getByLabel('Routing key').fill('quiet');
        await site.submit(page, 'Publish');
        await site.said(page, 'no queue wanted it');
        await press(page, 'Publish');
        await site.dialog(page).getByLabel('Routing key').fill('loud');
        await site.dialog(page).getByLabel('Payload is').selectOption('base64');
        await site.dialog(page).getByLabel('Payload', { exact: true }).fill('aGk=');
        await site.submit(page, 'Publish');
        await site.said(page, 'The message was published.');
        assert.equal((await site.takeAll('ear'))[0].payload, 'hi');
    },

    async 'get messages and give them back, or take them'(site) {
        await site.queue('box');
        await site.publish('', 'box', '{"order": [1, 2]}', { content_type: 'application/json', headers: { colour: 'red' } });
        await site.publish('', 'box', 'second');
        const page = await queuePage(site, 'box');
        await press(page, 'Get');
        await site.dialog(page).getByLabel('How many').fill('5');
        await site.submit(page, 'Get');
        const shown = page.locator('.message');
        await shown.nth(1).waitFor();
        assert.match(await shown.first().innerText(), /colour\s*=\s*red/);
        assert.match(await shown.first().locator('pre').innerText(), /"order": \[\n/);
        await press(page, 'Get');
        await site.dialog(page).getByLabel('Afterwards').selectOption('ack_requeue_false');
        await site.submit(page, 'Get');
        await page.getByText('Got: 1').waitFor();
        assert.deepEqual((await site.takeAll('box')).map((message) => message.payload), ['second']);
    },

    async 'peek leaves messages where they are'(site) {
        await site.queue('box');
        for (const payload of ['one', 'two', 'three'])
            await site.publish('', 'box', payload);
        const page = await queuePage(site, 'box');
        await press(page, 'Peek');
        await site.dialog(page).getByLabel('How many').fill('5');
        await site.dialog(page).getByLabel('After leaving out').fill('1');
        await site.submit(page, 'Look');
        await page.getByRole('heading', { name: 'Message 2' }).waitFor();
        assert.deepEqual(await page.locator('.message pre').allInnerTexts(), ['two', 'three']);
        assert.equal((await site.takeAll('box')).length, 3);
    },

    async 'unacknowledged messages are listed with who holds them'(site) {
        await site.needsConey();
        await site.queue('held');
        const channel = await (await site.connect()).createChannel();
        await site.publish('', 'held', 'x');
        await site.publish('', 'held', 'y');
        await channel.get('held', { noAck: false });
        await channel.consume('held', () => {}, { consumerTag: 'holder' });
        const page = await queuePage(site, 'held');
        const rows = page.getByRole('region', { name: 'Messages that are not acknowledged' }).getByRole('row');
        await until(async () => {
            await site.refresh(page);
            return (await rows.count()) === 3;
        }, 'both are listed');
        for (const row of (await rows.allInnerTexts()).slice(1)) // one is held by a consumer, one by a get
            assert.match(row, /127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+ \(1\)/);
        assert.equal(await rows.filter({ hasText: 'holder' }).count(), 1);
    },

    async 'bind a queue and unbind it'(site) {
        await site.queue('box');
        const page = await queuePage(site, 'box');
        await press(page, 'Bind');
        await site.dialog(page).getByLabel('From exchange').fill('amq.topic');
        await site.dialog(page).getByLabel('Routing key').fill('a/b.#');
        await site.submit(page, 'Bind');
        await page.getByRole('row', { name: /amq\.topic a\/b\.#/ }).waitFor();
        await page.locator('svg text', { hasText: 'amq.topic' }).waitFor();
        await page.getByRole('button', { name: /^Unbind a\/b/ }).click();
        await site.submit(page, 'Unbind');
        const left = await site.api('GET', join('queues', site.vhost, 'box', 'bindings'));
        assert.deepEqual(left.map((binding) => binding.source), ['']);
        await until(async () => (await page.locator('svg text', { hasText: 'amq.topic' }).count()) === 0, 'it is gone from the picture');
    },

    async 'declare an exchange, bind it, delete it'(site) {
        const page = await site.open('exchanges');
        await press(page, 'Declare an exchange');
        await site.dialog(page).getByLabel('Virtual host').selectOption(site.vhost);
        await site.dialog(page).getByLabel('Name').fill('news');
        await site.dialog(page).getByRole('combobox', { name: 'Type', exact: true }).fill('headers');
        await fillArgument(site, page, 'Add an argument', 'alternate-exchange', 'amq.fanout');
        await site.submit(page, 'Declare');
        const made = await site.api('GET', join('exchanges', site.vhost, 'news'));
        assert.deepEqual([made.type, made.durable, made.arguments], ['headers', true, { 'alternate-exchange': 'amq.fanout' }]);
        await site.queue('reader');
        await site.go(page, `exchanges/${join(site.vhost, 'news')}`);
        await press(page, 'Bind');
        await site.dialog(page).getByLabel('Its name').fill('reader');
        await fillArgument(site, page, 'Add an argument', 'x-match', 'all');
        await fillArgument(site, page, 'Add an argument', 'lang', 'en');
        await site.submit(page, 'Bind');
        await page.getByRole('row', { name: /reader .*lang = en/ }).waitFor();
        await page.locator('svg text', { hasText: 'amq.fanout' }).waitFor();
        await press(page, 'Delete');
        await site.submit(page, 'Delete');
        await page.getByRole('heading', { level: 1, name: 'Exchanges' }).waitFor();
        assert.equal(await site.api('GET', join('exchanges', site.vhost, 'news')), null);
    },

    async 'close a connection, with a reason'(site) {
        const connection = await site.connect('victim');
        const closed = new Promise((resolve) => {
            connection.on('error', resolve);
            connection.on('close', resolve);
        });
        const listed = await until(async () => (await site.api('GET', join('vhosts', site.vhost, 'connections')))?.find((one) => one.name), 'it is listed');
        const page = await site.open(`connections/${join(listed.name)}`);
        await press(page, 'Close');
        await site.dialog(page).getByLabel('Reason').fill('tidying up');
        await site.submit(page, 'Close it');
        assert.match((await closed).message, /tidying up/);
    },

    async 'add, change and delete a user, with permissions'(site) {
        const name = `${site.vhost}-u`;
        const page = await site.open('users');
        await press(page, 'Add a user');
        await site.dialog(page).getByLabel('Name').fill(name);
        await site.dialog(page).getByLabel('Password').fill('first');
        await site.dialog(page).getByLabel('Tags').fill('monitoring, policymaker');
        await site.submit(page, 'Add');
        assert.deepEqual((await site.api('GET', join('users', name))).tags, ['monitoring', 'policymaker']);
        await site.go(page, `users/${join(name)}`);
        await press(page, 'Set permissions');
        await site.dialog(page).getByLabel('Virtual host').selectOption(site.vhost);
        await site.dialog(page).getByLabel('Write').fill('^w');
        await site.submit(page, 'Set');
        assert.equal((await site.api('GET', join('permissions', site.vhost, name))).write, '^w');
        await press(page, 'Set topic permissions');
        await site.dialog(page).getByLabel('Virtual host').selectOption(site.vhost);
        await site.dialog(page).getByLabel('Write').fill('^a');
        await site.submit(page, 'Set');
        await page.getByRole('row', { name: /amq\.topic/ }).waitFor();
        await press(page, 'Change');
        await site.dialog(page).getByLabel('Tags').fill('management');
        await site.submit(page, 'Change');
        assert.equal((await site.api('GET', 'whoami', undefined, { user: name, password: 'first' })).tags.join(), 'management', 'the password stayed');
        await press(page, 'Change');
        await site.dialog(page).getByLabel('New password').fill('second');
        await site.submit(page, 'Change');
        assert.equal((await site.api('GET', 'whoami', undefined, { user: name, password: 'second' })).name, name);
        await page.getByRole('button', { name: `Clear the permissions of ${name}` }).click();
        await site.submit(page, 'Clear');
        assert.equal(await site.api('GET', join('permissions', site.vhost, name)), null);
        await press(page, 'Delete');
        await site.submit(page, 'Delete');
        assert.equal(await site.api('GET', join('users', name)), null);
    },

    async 'add and delete a virtual host, with a limit and permissions'(site) {
        const name = `${site.vhost}-v`;
        const user = await site.user('management');
        const page = await site.open('vhosts');
        await press(page, 'Add a virtual host');
        await site.dialog(page).getByLabel('Name').fill(name);
        await site.dialog(page).getByLabel('Description').fill('a place');
        await site.submit(page, 'Add');
        assert.equal((await site.api('GET', join('vhosts', name))).description, 'a place');
        await page.getByRole('combobox', { name: 'Virtual host' }).locator('option', { hasText: name }).waitFor({ state: 'attached' });
        await site.go(page, `vhosts/${join(name)}`);
        await press(page, 'Set a limit');
        await site.dialog(page).getByLabel('Of').selectOption('max-queues');
        await site.dialog(page).getByLabel('At most').fill('3');
        await site.submit(page, 'Set');
        await page.getByRole('row', { name: /max-queues 3/ }).waitFor();
        await press(page, 'Set permissions');
        await site.dialog(page).getByLabel('User').fill(user);
        await site.submit(page, 'Set');
        assert.equal((await site.api('GET', join('permissions', name, user))).read, '.*');
        await page.getByRole('button', { name: 'Clear max-queues' }).click();
        await page.getByText('No limits.').waitFor();
        await press(page, 'Delete');
        await site.submit(page, 'Delete');
        assert.equal(await site.api('GET', join('vhosts', name)), null);
    },

    async 'set, change and delete policies'(site) {
        for (const [kind, button] of [['policies', 'Set a policy'], ['operator-policies', 'Set an operator policy']]) {
            const page = await site.open('policies');
            await press(page, button);
            await site.dialog(page).getByLabel('Virtual host').selectOption(site.vhost);
            await site.dialog(page).getByRole('textbox', { name: 'Name', exact: true }).fill('short');
            await site.dialog(page).getByLabel('Pattern').fill('^short\\.');
            await fillArgument(site, page, 'Add a key', 'max-length', '7');
            await site.submit(page, 'Set');
            const made = await site.api('GET', join(kind, site.vhost, 'short'));
            assert.deepEqual([made.pattern, made['apply-to'], made.definition, made.priority], ['^short\\.', 'queues', { 'max-length': 7 }, 0]);
            const row = page.locator('tr', { hasText: site.vhost });
            await row.getByRole('button', { name: 'Change short' }).click();
            await site.dialog(page).getByLabel('Priority').fill('4');
            await site.submit(page, 'Set');
            const changed = await site.api('GET', join(kind, site.vhost, 'short'));
            assert.deepEqual([changed.priority, changed.definition], [4, { 'max-length': 7 }]);
            await row.getByRole('button', { name: 'Delete short' }).click();
            await site.submit(page, 'Delete');
            assert.equal(await site.api('GET', join(kind, site.vhost, 'short')), null);
        }
    },

    async 'dead letters are found, looked at and replayed'(site) {
        await letDie(site, 3);
        const page = await site.open('deadletters');
        await page.getByRole('combobox', { name: 'Virtual host' }).selectOption(site.vhost);
        const row = page.getByRole('row', { name: /^dead/ });
        await row.waitFor();
        assert.match(await row.innerText(), /3[\s\S]*dlx[\s\S]*work/);
        await row.getByRole('button', { name: 'Look into dead' }).click();
        const died = page.getByRole('region', { name: 'Deaths of this message' }).first();
        await died.waitFor();
        assert.match(await died.innerText(), /expired\s+work\s+jobs\s+job\s+1/);
        await site.api('PUT', join('exchanges', site.vhost, 'jobs'), { type: 'direct', durable: true });
        await site.queue('second-try');
        await site.bind('jobs', 'second-try', 'job');
        await site.api('DELETE', join('queues', site.vhost, 'work'));
        await row.getByRole('button', { name: 'Replay dead' }).click();
        await site.dialog(page).getByLabel('At most').fill('2');
        await site.submit(page, 'Move');
        await site.said(page, '2 moved');
        await until(async () => (await ready(site, 'second-try')()) === 2 && (await ready(site, 'dead')()) === 1, 'they are back');
    },

    async 'messages are moved to a queue, those that are wanted'(site) {
        await letDie(site, 2);
        await site.queue('shelf');
        const page = await queuePage(site, 'dead');
        await press(page, 'Move');
        await site.dialog(page).getByRole('button', { name: 'Move' }).click();
        await site.dialog(page).getByRole('alert').getByText('Name the exchange or queue').waitFor();
        await site.dialog(page).getByLabel('Name of that').fill('shelf');
        await site.dialog(page).getByLabel('Only those that died by').selectOption('rejected');
        await site.submit(page, 'Move');
        await site.said(page, '0 moved');
        await press(page, 'Move');
        await site.dialog(page).getByLabel('Name of that').fill('shelf');
        await site.dialog(page).getByLabel('Only those that died by').selectOption('expired');
        await site.submit(page, 'Move');
        await site.said(page, '2 moved');
        assert.deepEqual((await site.takeAll('shelf')).map((message) => message.payload), ['job 0', 'job 1']);
    },

    async 'definitions are exported and imported'(site) {
        await site.queue('kept');
        const page = await site.open();
        await page.getByRole('combobox', { name: 'Virtual host' }).selectOption(site.vhost);
        const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export definitions' }).click()]);
        const file = await download.path();
        const definitions = JSON.parse(fs.readFileSync(file, 'utf-8'));
        assert.deepEqual(definitions.queues.map((queue) => queue.name), ['kept']);
        await site.api('DELETE', join('queues', site.vhost, 'kept'));
        await press(page, 'Import definitions');
        await site.dialog(page).getByLabel('File').setInputFiles({ name: 'd.json', mimeType: 'application/json', buffer: fs.readFileSync(file) });
        await site.submit(page, 'Import');
        await site.said(page, 'Definitions were imported.');
        assert.equal((await site.api('GET', join('queues', site.vhost, 'kept'))).durable, true);
    },
};
