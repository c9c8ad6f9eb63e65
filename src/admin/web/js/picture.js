// picture.js: what is bound to what, as a picture: columns of boxes from left to right, as messages flow. The tables beside
// it say the same; the picture is for those who see it.

import { path } from './api.js';
import { h, s } from './dom.js';
import { DEFAULT_EXCHANGE } from './parts.js';

const BOX = { width: 150, height: 32, gapX: 150, gapY: 16 };
const TURN = 42; // of the gap; the rest is straight, for the label
const ROWS_MAX = 24;
const TEXT_MAX = 18;
const LABEL_MAX = 16;

const cut = (text, length) => {
    const letters = [...text];
    return letters.length > length ? `${letters.slice(0, length - 1).join('')}…` : text;
};

const idOf = ({ kind, vhost, name }) => JSON.stringify([kind, vhost, name]);

function box(node, isFocus) {
    const label = node.kind === 'exchange' && node.name === '' ? DEFAULT_EXCHANGE : node.name;
    const href = `#/${node.kind}s/${path(node.vhost, node.name || 'amq.default')}`;
    const shape = s('g', { class: `box ${node.kind}${isFocus ? ' focus' : ''}`, transform: `translate(${node.x} ${node.y})` },
        s('title', {}, `${node.kind} ${label}${node.type ? ` (${node.type})` : ''}`),
        s('rect', { width: BOX.width, height: BOX.height, rx: node.kind === 'queue' ? 4 : 17 }),
        s('text', { x: 14, y: 21 }, cut(label, TEXT_MAX)));
    return isFocus ? shape : s('a', { href }, shape);
}

function edge({ from, to, keys, isDead }) {
    const x1 = from.x + BOX.width;
    const y1 = from.y + BOX.height / 2;
    const x2 = to.x;
    const y2 = to.y + BOX.height / 2;
    const [key, ...more] = keys;
    const label = `${cut(key === '' ? '' : key, LABEL_MAX)}${more.length > 0 ? ` +${more.length}` : ''}`;
    // Beside the end where fewer lines meet, so that labels do not lie on each other.
    const atStart = from.degree <= to.degree;
    const turn = atStart ? x2 - TURN : x1;
    const middle = turn + TURN / 2;
    return s('g', { class: isDead ? 'edge dead' : 'edge' }, s('title', {}, keys.join(', ')),
        s('path', { d: `M${x1} ${y1} H${turn} C${middle} ${y1} ${middle} ${y2} ${turn + TURN} ${y2} H${x2 - 6}` }),
        s('path', { class: 'tip', d: `M${x2 - 8} ${y2 - 4} L${x2} ${y2} L${x2 - 8} ${y2 + 4} z` }),
        s('text', { x: atStart ? x1 + 8 : x2 - 12, y: (atStart ? y1 : y2) - 5, 'text-anchor': atStart ? 'start' : 'end' }, label));
}

function layOut(columns) {
    const rows = Math.max(...columns.map((column) => column.length));
    columns.forEach((column, c) => column.forEach((node, r) => {
        node.x = 4 + c * (BOX.width + BOX.gapX);
        node.y = 8 + ((rows - column.length) / 2 + r) * (BOX.height + BOX.gapY);
    }));
    return { width: 8 + columns.length * BOX.width + (columns.length - 1) * BOX.gapX, height: 16 + rows * (BOX.height + BOX.gapY) - BOX.gapY };
}

/**
 * A picture of FLOWS around FOCUS. A node is { kind: 'exchange' | 'queue', vhost, name, type? }, a flow { from, to, key,
 * isDead? }. What leads to the focus stands left of it, what it leads to on the right, as far as flows go.
 */
export function picture(focus, flows) {
    const nodes = new Map([[idOf(focus), { ...focus, column: 0, degree: 0 }]]);
    const nodeOf = (node, column) => {
        const id = idOf(node);
        if (!nodes.has(id))
            nodes.set(id, { ...node, column, degree: 0 });
        return nodes.get(id);
    };
    const edges = new Map();
    let left = 0;
    for (const { from, to, key, isDead } of flows) {
        const a = nodes.get(idOf(from)) ?? nodeOf(from, (nodes.get(idOf(to))?.column ?? 1) - 1);
        const b = nodeOf(to, a.column + 1);
        const id = JSON.stringify([idOf(from), idOf(to), Boolean(isDead)]);
        if (a.column >= b.column)
            continue; // a circle: the tables have it
        if (!edges.has(id)) {
            edges.set(id, { from: a, to: b, keys: [], isDead });
            a.degree += 1;
            b.degree += 1;
        }
        edges.get(id).keys.push(key);
    }
    const columns = new Map();
    for (const node of nodes.values()) {
        const column = columns.get(node.column) ?? columns.set(node.column, []).get(node.column);
        if (column.length < ROWS_MAX)
            column.push(node);
        else
            left += 1;
    }
    const ordered = [...columns.keys()].sort((a, b) => a - b).map((column) => columns.get(column));
    const { width, height } = layOut(ordered);
    const shown = [...edges.values()].filter(({ from, to }) => from.x !== undefined && to.x !== undefined);
    const view = h('div', { class: 'across', tabIndex: 0, role: 'region', 'aria-label': 'Picture of the bindings' },
        s('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': `Bindings of ${focus.kind} ${focus.name || DEFAULT_EXCHANGE}` },
            shown.map(edge), [...nodes.values()].filter((node) => node.x !== undefined).map((node) => box(node, idOf(node) === idOf(focus)))));
    const middle = nodes.get(idOf(focus)).x + BOX.width / 2;
    requestAnimationFrame(() => view.scrollTo(middle - view.clientWidth / 2, 0));
    return h('div', { class: 'picture' }, view, left > 0 && h('p', { class: 'quiet' }, `${left} more are in the table.`));
}

/** The flow that a binding of the API stands for. */
export function flowOf(binding) {
    return {
        from: { kind: 'exchange', vhost: binding.vhost, name: binding.source },
        to: { kind: binding.destination_type, vhost: binding.vhost, name: binding.destination },
        key: binding.routing_key,
    };
}
