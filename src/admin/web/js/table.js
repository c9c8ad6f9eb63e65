// table.js: lists with sorting, filter and pages. Where the broker can do these itself (it may have 100,000 queues) a
// list asks for one page at a time; shorter ones are sorted and cut here. Rows are updated in place, so that the
// focus stays on its button while the figures around it change.

import { ApiError, get } from './api.js';
import { h, newId, put, putIf } from './dom.js';
import { count } from './format.js';

const PAGE_SIZES = [25, 50, 100, 500];
const TYPING_PAUSE_MS = 250;

/**
 * A table alone. A column is { label, value(row), node?(row), key?, number?, minor? }: value is what it is sorted and
 * compared by, node what is shown if that is not simply the value as text, key the field that sorts it, minor says
 * that phones do without it.
 */
export class Table {
    constructor({ caption, columns, id, empty = 'None.', onSort }) {
        this.columns = columns;
        this.id = id;
        this.rows = new Map();
        this.heads = columns.map((column) => this.head(column, onSort));
        this.body = h('tbody');
        this.empty = h('p', { class: 'empty', hidden: true }, empty);
        const table = h('table', {}, h('caption', { class: 'unseen' }, caption),
            h('thead', {}, h('tr', {}, this.heads)), this.body);
        this.element = h('div', { class: 'table' },
            h('div', { class: 'across', tabIndex: 0, role: 'region', 'aria-label': caption }, table), this.empty);
    }

    head(column, onSort) {
        const sortable = onSort && column.key;
        return h('th', { scope: 'col', class: classOf(column) },
            sortable ? h('button', { type: 'button', class: 'sort', onclick: () => onSort(column) }, column.label)
                : column.label || h('span', { class: 'unseen' }, 'Actions'));
    }

    showSorting(key, isReverse) {
        this.columns.forEach((column, i) => {
            if (column.key && column.key === key)
                this.heads[i].setAttribute('aria-sort', isReverse ? 'descending' : 'ascending');
            else
                this.heads[i].removeAttribute('aria-sort');
        });
    }

    show(items) {
        const before = this.rows;
        this.rows = new Map();
        items.forEach((item, i) => {
            const id = this.id(item);
            const row = before.get(id) ?? this.columns.map((column, n) =>
                h(n === 0 ? 'th' : 'td', { class: classOf(column), scope: n === 0 ? 'row' : null }));
            row.line ??= h('tr', {}, row);
            this.columns.forEach((column, n) => putIf(row[n], String(column.value(item)),
                () => (column.node ? column.node(item) : String(column.value(item)))));
            this.rows.set(id, row);
            if (this.body.children[i] !== row.line)
                this.body.insertBefore(row.line, this.body.children[i] ?? null);
        });
        while (this.body.children.length > this.rows.size)
            this.body.lastChild.remove();
        this.empty.hidden = items.length > 0;
    }
}

function classOf(column) {
    return [column.number && 'number', column.minor && 'minor', column.label === '' && 'end'].filter(Boolean).join(' ') || null;
}

/** Pages that the broker cuts: WHERE() is the path, FIELDS what a row needs. A few lists it gives whole all the same. */
export function fromBroker(where, fields) {
    return async (state, columns) => {
        const query = {
            page: state.page, page_size: state.size, name: state.name,
            use_regex: state.regex ? 'true' : 'false', sort: state.sort,
            sort_reverse: state.reverse ? 'true' : 'false', columns: fields?.join(','),
        };
        const page = await get(where(), query).catch((error) => {
            if (!(error instanceof ApiError) || error.status !== 400 || state.page === 1)
                throw error;
            state.page = 1; // the page is gone, with what was on it
            return get(where(), { ...query, page: 1 });
        });
        return Array.isArray(page) ? cut(page, state, columns)
            : { items: page.items, filtered: page.filtered_count, total: page.total_count };
    };
}

/** All of LOAD()'s array, sorted and cut here. */
export function fromHere(load) {
    return async (state, columns) => cut(await load(), state, columns);
}

function cut(all, state, columns) {
    const text = (item) => columns.map((column) => column.value(item)).join('\n').toLowerCase();
    const pattern = state.regex && state.name ? new RegExp(state.name, 'i') : null;
    const found = all.filter((item) => (pattern ? pattern.test(text(item)) : text(item).includes(state.name.toLowerCase())));
    const column = columns.find(({ key }) => key && key === state.sort);
    if (column) {
        const sign = state.reverse ? -1 : 1;
        found.sort((a, b) => sign * compare(column.value(a), column.value(b)));
    }
    if ((state.page - 1) * state.size >= found.length)
        state.page = 1;
    const start = (state.page - 1) * state.size;
    return { items: found.slice(start, start + state.size), filtered: found.length, total: all.length };
}

function compare(a, b) {
    return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
}

/** A table with its filter and pager. With ROUTE its state stands in the address, so that "back" returns to it. */
export class List {
    constructor({ caption, columns, id, empty, source, route, sort = '', reverse = false, filterLabel = 'Filter by name' }) {
        // A short list that is part of a page needs no search.
        this.isPlainBelow = route ? 0 : 11;
        const query = route?.query ?? new URLSearchParams();
        this.route = route;
        this.source = source;
        this.state = {
            page: Number(query.get('page')) || 1, size: Number(query.get('size')) || 100,
            name: query.get('name') ?? '', regex: query.has('regex'),
            sort: query.get('sort') ?? sort, reverse: query.has('sort') ? query.has('reverse') : reverse,
        };
        this.table = new Table({ caption, columns, id, empty, onSort: (column) => this.sortBy(column.key) });
        this.told = h('span', { role: 'status' });
        this.trouble = h('p', { class: 'error', role: 'alert' });
        this.search = this.controls(filterLabel);
        this.element = h('div', { class: 'list' }, this.search, this.trouble, this.table.element,
            this.pager());
    }

    controls(label) {
        const id = newId();
        let timer;
        const filter = h('input', {
            id, type: 'search', value: this.state.name, autocomplete: 'off', spellcheck: false,
            oninput: () => {
                clearTimeout(timer);
                timer = setTimeout(() => this.change({ name: filter.value, page: 1 }), TYPING_PAUSE_MS);
            },
        });
        const regex = h('input', {
            type: 'checkbox', checked: this.state.regex,
            onchange: () => this.change({ regex: regex.checked, page: 1 }),
        });
        const size = h('select', { onchange: () => this.change({ size: Number(size.value), page: 1 }) },
            PAGE_SIZES.map((n) => h('option', { value: String(n), selected: n === this.state.size }, n)));
        return h('div', { class: 'controls', role: 'search' },
            h('label', { for: id }, label), filter,
            h('label', {}, regex, ' Regular expression'),
            h('label', {}, 'Rows ', size), this.told);
    }

    pager() {
        const go = (page) => () => this.change({ page });
        this.first = h('button', { type: 'button', onclick: go(1) }, 'First');
        this.previous = h('button', { type: 'button', onclick: () => this.change({ page: this.state.page - 1 }) }, 'Previous');
        this.next = h('button', { type: 'button', onclick: () => this.change({ page: this.state.page + 1 }) }, 'Next');
        this.last = h('button', { type: 'button', onclick: () => this.change({ page: this.pages }) }, 'Last');
        this.number = h('span');
        this.turner = h('nav', { class: 'pager', 'aria-label': 'Pages of the list', hidden: true },
            this.first, this.previous, this.number, this.next, this.last);
        return this.turner;
    }

    sortBy(key) {
        this.change({ sort: key, reverse: this.state.sort === key ? !this.state.reverse : false, page: 1 });
    }

    async change(fields) {
        Object.assign(this.state, fields);
        this.remember();
        const number = (this.changes ?? 0) + 1;
        this.changes = number;
        let trouble = '';
        try {
            await this.refresh();
        } catch (error) {
            trouble = error.message;
        }
        if (this.changes === number) // else it is no answer to what is asked now
            put(this.trouble, trouble);
    }

    remember() {
        if (!this.route)
            return;
        const { page, size, name, regex, sort, reverse } = this.state;
        const query = new URLSearchParams();
        for (const [key, value] of Object.entries({ page: page > 1 && page, size: size !== 100 && size, name, sort }))
            if (value)
                query.set(key, value);
        if (regex)
            query.set('regex', '1');
        if (reverse)
            query.set('reverse', '1');
        const text = query.toString();
        history.replaceState(null, '', `#${this.route.path}${text ? `?${text}` : ''}`);
    }

    async refresh() {
        const turn = (this.turn ?? 0) + 1;
        this.turn = turn;
        const { items, filtered, total } = await this.source(this.state, this.table.columns);
        if (this.turn !== turn)
            return; // a later question was asked meanwhile
        const { page, size, sort, reverse } = this.state;
        this.pages = Math.max(1, Math.ceil(filtered / size));
        this.table.show(items);
        this.table.showSorting(sort, reverse);
        const told = filtered === total ? count(total) : `${count(filtered)} of ${count(total)}`;
        putIf(this.told, told, () => told);
        putIf(this.number, `${page}/${this.pages}`, () => `Page ${count(page)} of ${count(this.pages)}`);
        this.search.hidden = total < this.isPlainBelow && this.state.name === '';
        this.turner.hidden = this.pages === 1;
        for (const button of [this.first, this.previous])
            button.disabled = page <= 1;
        for (const button of [this.next, this.last])
            button.disabled = page >= this.pages;
    }
}
