// overview.js: how the broker is, at a glance.

import { get, metrics, path, post } from '../api.js';
import { Chart, History } from '../chart.js';
import { ask, say } from '../dialog.js';
import { add, h, put, putIf } from '../dom.js';
import * as format from '../format.js';
import { button, Facts, heading, name, section } from '../parts.js';
import { Table } from '../table.js';

const AGE = { lengths_age: 600, lengths_incr: 5, msg_rates_age: 600, msg_rates_incr: 5 };
const RATES = ['publish', 'confirm', 'deliver_get', 'ack', 'redeliver', 'return_unroutable', 'drop_unroutable'];
const LENGTHS = ['messages_ready', 'messages_unacknowledged'];

// The histories outlive the page, so that a look elsewhere makes no gap; forgotten at logout.
let history;

export function forgetOverview() {
    history = {
        rates: new History(...RATES), lengths: new History(...LENGTHS), objects: new History('connections', 'channels', 'consumers'),
        memory: new History('mem_used'), journal: new History('octets'), counters: null,
    };
}
forgetOverview();

function makeCharts() {
    const number = (value) => format.count(value);
    const rate = (value) => format.rate(value);
    const size = Object.assign((value) => format.octets(value), { axis: format.octets });
    return {
        lengths: new Chart({ title: 'Queued messages', history: history.lengths, format: number, lines: [
            { name: 'messages_ready', label: 'ready', colour: 'c1' },
            { name: 'messages_unacknowledged', label: 'unacknowledged', colour: 'c2' }] }),
        publishing: new Chart({ title: 'Publishing', history: history.rates, format: rate, lines: [
            { name: 'publish', label: 'published', colour: 'c3' }, { name: 'confirm', label: 'confirmed', colour: 'c5' },
            { name: 'return_unroutable', label: 'returned', colour: 'c7' }, { name: 'drop_unroutable', label: 'dropped', colour: 'c6' }] }),
        delivering: new Chart({ title: 'Delivering', history: history.rates, format: rate, lines: [
            { name: 'deliver_get', label: 'delivered', colour: 'c2' }, { name: 'ack', label: 'acknowledged', colour: 'c4' },
            { name: 'redeliver', label: 'redelivered', colour: 'c6' }] }),
        objects: new Chart({ title: 'Clients', history: history.objects, format: number, lines: [
            { name: 'connections', label: 'connections', colour: 'c2' }, { name: 'channels', label: 'channels', colour: 'c3' },
            { name: 'consumers', label: 'consumers', colour: 'c4' }] }),
        memory: new Chart({ title: 'Memory', history: history.memory, format: size, lines: [
            { name: 'mem_used', label: 'used', colour: 'c5' }] }),
        journal: new Chart({ title: 'Journal', history: history.journal, format: size, lines: [
            { name: 'octets', label: 'written per second', colour: 'c3' }] }),
    };
}

const tile = (label, value, kind) => h('div', { class: `tile ${kind ?? ''}` }, h('dt', {}, label), h('dd', {}, value));

function tiles(seen, nodes) {
    const totals = seen.queue_totals ?? {};
    const objects = seen.object_totals ?? {};
    const node = nodes?.[0];
    return [
        tile('Ready', format.count(totals.messages_ready ?? 0)),
        tile('Unacked', format.count(totals.messages_unacknowledged ?? 0)),
        tile('Published', format.rate(format.rateOf(seen.message_stats, 'publish'))),
        tile('Delivered', format.rate(format.rateOf(seen.message_stats, 'deliver_get'))),
        ...['queues', 'exchanges', 'connections', 'channels', 'consumers'].map((kind) =>
            tile(kind[0].toUpperCase() + kind.slice(1), format.count(objects[kind] ?? 0))),
        node && tile('Memory', format.octets(node.mem_used), node.mem_alarm && 'bad'),
        node && tile('Disk free', format.octets(node.disk_free), node.disk_free_alarm && 'bad'),
    ];
}

function nodeTable() {
    const part = (used, total) => `${format.count(used)} of ${format.count(total)}`;
    return new Table({
        caption: 'Nodes', id: (node) => node.name, columns: [
            { label: 'Name', value: (node) => node.name, node: (node) => name(node.name) },
            { label: 'Uptime', value: (node) => format.duration(node.uptime) },
            { label: 'Memory', value: (node) => `${format.octets(node.mem_used)} of ${format.octets(node.mem_limit)}` },
            { label: 'Disk free', value: (node) => `${format.octets(node.disk_free)}, alarm below ${format.octets(node.disk_free_limit)}` },
            { label: 'File descriptors', minor: true, value: (node) => part(node.fd_used, node.fd_total) },
            { label: 'Sockets', minor: true, value: (node) => part(node.sockets_used, node.sockets_total) },
            { label: 'Process', minor: true, value: (node) => node.os_pid },
        ],
    });
}

function listenerTable() {
    return new Table({
        caption: 'Listeners', id: (listener) => `${listener.protocol} ${listener.ip_address} ${listener.port}`, columns: [
            { label: 'Protocol', value: (listener) => listener.protocol },
            { label: 'Address', value: (listener) => listener.ip_address },
            { label: 'Port', number: true, value: (listener) => listener.port },
        ],
    });
}

/** Counters and gauges of coney's own that have no labels, by name: {journal_syncs_total: 12, …}. */
function readMetrics(text) {
    const figures = {};
    for (const line of text.split('\n')) {
        const sample = /^coney_(?:detailed_)?(\w+) ([-+.eE\d]+)$/.exec(line);
        if (sample)
            figures[sample[1]] = Number(sample[2]);
    }
    return figures;
}

/** How fast the journal grows: a point in its chart, and what to say of its syncs. */
function pushJournal(figures) {
    const now = { time: Date.now() / 1000, ...figures };
    const before = history.counters;
    history.counters = now;
    if (!before || now.time <= before.time)
        return {};
    const perSecond = (key) => Math.max(0, (now[key] - before[key]) / (now.time - before.time));
    history.journal.push(now.time, { octets: perSecond('journal_written_bytes_total') });
    const syncs = perSecond('journal_syncs_total');
    return { syncs, each_ms: syncs > 0 ? perSecond('journal_sync_seconds_total') / syncs * 1000 : null };
}

function storeFacts(figures, { syncs, each_ms }) {
    return [
        ['Journal written', format.octets(figures.journal_written_bytes_total)], ['Records', format.count(figures.journal_records_total)],
        ['Syncs', format.rate(syncs)], ['A sync takes', typeof each_ms === 'number' ? `${each_ms.toFixed(2)} ms` : null],
        ['Waits to be written', format.octets(figures.journal_backlog_bytes)], ['Messages on disk', format.octets(figures.store_segment_bytes)],
        ['Spilled', format.octets(figures.store_spill_bytes)], ['Waiting messages in memory', format.octets(figures.store_waiting_messages_bytes)],
        ['Checkpoints', format.count(figures.store_checkpoints_total)], ['Runs read back', format.count(figures.store_fetched_runs_total)],
        ['Unreadable runs', figures.store_unreadable_runs > 0 ? format.count(figures.store_unreadable_runs) : null],
    ];
}

async function exportDefinitions(vhost) {
    const all = await get(vhost ? path('definitions', vhost) : 'definitions');
    const url = URL.createObjectURL(new Blob([JSON.stringify(all, null, 2)], { type: 'application/json' }));
    h('a', { href: url, download: 'definitions.json' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    say('Definitions were exported.');
}

function importDefinitions(route) {
    return ask({
        title: 'Import definitions', submit: 'Import',
        text: 'What the file names is added; what is there stays.',
        fields: [{ name: 'file', label: 'File', type: 'file', required: true }],
        act: async () => {
            const [file] = document.querySelector('dialog input[type=file]').files;
            await post(route.vhost ? path('definitions', route.vhost) : 'definitions', JSON.parse(await file.text()));
            say('Definitions were imported.');
            dispatchEvent(new Event('coney-vhosts'));
        },
    });
}

function alarms(nodes, status) {
    const list = (nodes ?? []).flatMap((node) => [
        node.mem_alarm && `${node.name}: memory is above its limit, publishers are blocked.`,
        node.disk_free_alarm && `${node.name}: the disk is nearly full, publishers are blocked.`]).filter(Boolean);
    if (status && status.run_state !== 'running')
        list.push(`The broker is not taking clients: ${status.run_state}.`);
    return list;
}

export function overview(route) {
    const monitors = route.isAdministrator || route.whoami.tags.includes('monitoring');
    const charts = makeCharts();
    const parts = { alarms: h('div', { role: 'alert' }), tiles: h('dl', { class: 'tiles' }) };
    const nodes = nodeTable();
    const listeners = listenerTable();
    const churn = new Facts();
    const store = new Facts();
    const about = new Facts();
    const storeSection = section('Storage', store.element);
    storeSection.hidden = true;
    charts.journal.element.hidden = true;
    const actions = route.isAdministrator ? [button('Export definitions', () => exportDefinitions(route.vhost).catch((error) => say(error.message))),
        button('Import definitions', () => importDefinitions(route))] : [];
    const element = h('div', {}, heading('Overview', undefined, ...actions), parts.alarms, parts.tiles,
        h('div', { class: 'charts' }, Object.values(charts).map((chart) => chart.element)));
    if (monitors)
        add(element, section('Nodes', nodes.element), storeSection, section('Since the start', churn.element),
            section('Listeners', listeners.element));
    add(element, section('Broker', about.element));

    let hasStore = monitors; // until we know
    async function showStore() {
        if (!hasStore)
            return;
        const figures = await metrics().then(readMetrics, () => ({}));
        hasStore = figures.store_enabled === 1;
        if (!hasStore)
            return;
        store.update(storeFacts(figures, pushJournal(figures)));
        storeSection.hidden = false;
        charts.journal.element.hidden = false;
    }

    async function refresh() {
        const [seen, all, status] = await Promise.all([
            get('overview', history.lengths.times.length === 0 ? AGE : {}),
            monitors ? get('nodes', { ...(history.memory.times.length === 0 && { node_stats_age: 600, node_stats_incr: 5 }) }) : null,
            route.isAdministrator ? get('coney/status').catch(() => null) : null,
            showStore(),
        ]);
        remember(seen, all);
        putIf(parts.alarms, JSON.stringify(alarms(all, status)), () => alarms(all, status).map((text) => h('p', { class: 'alarm' }, text)));
        put(parts.tiles, tiles(seen, all));
        Object.values(charts).forEach((chart) => chart.refresh());
        nodes.show(all ?? []);
        listeners.show(seen.listeners ?? []);
        churn.update(Object.entries(seen.churn_rates ?? {}).filter(([key]) => !key.endsWith('_details'))
            .map(([key, value]) => [key.replace('_', 's '), format.count(value)]));
        about.update([['Cluster', name(seen.cluster_name ?? '')], ['Node', seen.node], ['Speaks as', `${seen.product_name} ${seen.rabbitmq_version}`],
            ['Version of coney', status?.version], ['Data', status ? status.data_directory ?? 'ephemeral: nothing is kept' : null],
            ['Exchange types', (seen.exchange_types ?? []).map((type) => type.name).join(', '), true]]);
    }

    return { title: 'Overview', element, refresh, leave: () => Object.values(charts).forEach((chart) => chart.leave()) };
}

function remember(seen, nodes) {
    const samples = (object, names) => Object.fromEntries(names.map((key) => [key, object?.[`${key}_details`]?.samples]));
    const now = Math.floor(Date.now() / 1000);
    history.lengths.begin(samples(seen.queue_totals, LENGTHS));
    history.rates.begin(samples(seen.message_stats, RATES), RATES);
    history.lengths.push(now, { messages_ready: 0, messages_unacknowledged: 0, ...seen.queue_totals });
    history.rates.push(now, Object.fromEntries(RATES.map((key) => [key, format.rateOf(seen.message_stats, key)])));
    history.objects.push(now, seen.object_totals ?? {});
    if (nodes?.[0]) {
        history.memory.begin(samples(nodes[0], ['mem_used']));
        history.memory.push(now, nodes[0]);
    }
}
