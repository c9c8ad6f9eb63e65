// dialog.js: questions. A dialog is modal, keeps the focus inside, and gives it back to where it came from.

import { h, newId, put } from './dom.js';

/**
 * A field is { name, label, type, value, required, options, hint, suggestions }; type is text (the default), password,
 * number, checkbox, select, textarea, or arguments: rows of name, type and value, which become an object.
 */
function makeField(field) {
    const id = newId();
    const hintId = field.hint ? newId() : null;
    const common = {
        id, name: field.name, required: field.required, 'aria-describedby': hintId, autocomplete: field.autocomplete ?? 'off',
    };
    const hint = field.hint && h('small', { id: hintId }, field.hint);
    if (field.type === 'arguments')
        return makeArguments(field, hint);
    let input;
    let list = null;
    if (field.type === 'select') {
        input = h('select', { ...common, autocomplete: null },
            field.options.map(([value, label]) => h('option', { value, selected: value === field.value }, label)));
    } else if (field.type === 'textarea') {
        input = h('textarea', { ...common, rows: 4, spellcheck: false }, field.value ?? '');
    } else if (field.type === 'checkbox') {
        input = h('input', { ...common, type: 'checkbox', checked: field.value === true });
        return {
            name: field.name, read: () => input.checked,
            element: h('div', { class: 'field check' }, input, h('label', { for: id }, field.label), hint),
        };
    } else {
        if (field.suggestions) {
            list = h('datalist', { id: newId() }, field.suggestions.map((value) => h('option', { value })));
            common.list = list.id;
        }
        input = h('input', {
            ...common, type: field.type ?? 'text', value: String(field.value ?? ''), spellcheck: false,
            min: field.min === undefined ? null : String(field.min), autofocus: field.autofocus,
        });
    }
    const read = () => (field.type === 'number' ? (input.value === '' ? null : Number(input.value)) : input.value);
    return {
        name: field.name, read, input,
        element: h('div', { class: 'field' },
            h('label', { for: id }, field.label, field.required && h('span', { 'aria-hidden': 'true' }, ' *')), input, list, hint),
    };
}

const READERS = {
    text: (text) => text,
    number: (text) => {
        if (text.trim() === '' || !Number.isFinite(Number(text)))
            throw new Error(`“${text}” is not a number.`);
        return Number(text);
    },
    boolean: (text) => {
        if (text !== 'true' && text !== 'false')
            throw new Error(`“${text}” is neither true nor false.`);
        return text === 'true';
    },
    JSON: (text) => JSON.parse(text),
};

function typeOf(value) {
    if (typeof value === 'number' || typeof value === 'boolean')
        return typeof value;
    return typeof value === 'string' ? 'text' : 'JSON';
}

function makeArguments(field, hint) {
    const list = h('datalist', { id: newId() },
        Object.keys(field.suggestions ?? {}).map((value) => h('option', { value })));
    const rows = h('div', { class: 'rows' });
    const addRow = (name = '', value = '') => {
        const type = h('select', { 'aria-label': 'Type of the value' },
            Object.keys(READERS).map((key) => h('option', { value: key, selected: key === typeOf(value) }, key)));
        const key = h('input', {
            'aria-label': 'Name', value: name, list: list.id, autocomplete: 'off', spellcheck: false,
            onchange: () => {
                if (field.suggestions?.[key.value])
                    type.value = field.suggestions[key.value];
            },
        });
        const text = h('input', {
            'aria-label': 'Value', autocomplete: 'off', spellcheck: false,
            value: typeof value === 'object' ? JSON.stringify(value) : String(value),
        });
        const row = h('div', { class: 'row' }, key, type, text, h('button', {
            type: 'button', class: 'slight', 'aria-label': 'Remove this row',
            onclick: () => {
                (row.nextSibling?.querySelector('input') ?? more).focus();
                row.remove();
            },
        }, '×'));
        row.readInto = (object) => {
            if (key.value !== '')
                object[key.value] = READERS[type.value](text.value);
        };
        rows.append(row);
        return key;
    };
    const more = h('button', { type: 'button', class: 'slight', onclick: () => addRow().focus() },
        `Add ${field.one ?? 'an argument'}`);
    for (const [name, value] of Object.entries(field.value ?? {}))
        addRow(name, value);
    return {
        name: field.name,
        read: () => {
            const object = Object.create(null);
            for (const row of rows.children)
                row.readInto(object);
            return { ...object };
        },
        element: h('fieldset', {}, h('legend', {}, field.label), hint, list, rows, more),
    };
}

/**
 * Ask for FIELDS and call ACT(values). The dialog stays, with the reason, when act throws. Resolves to what act
 * returned, or undefined if the user thought better of it.
 */
export function ask({ title, text, fields = [], submit, danger = false, act }) {
    const titleId = newId();
    const made = fields.map(makeField);
    const trouble = h('p', { class: 'error', role: 'alert' });
    const button = h('button', { type: 'submit', class: danger ? 'danger' : 'main' }, submit);
    let result;
    const form = h('form', {
        onsubmit: async (event) => {
            event.preventDefault();
            button.disabled = true;
            put(trouble);
            try {
                result = await act(Object.fromEntries(made.map((field) => [field.name, field.read()])));
                dialog.close();
            } catch (error) {
                put(trouble, error.message);
                button.disabled = false;
                button.focus();
            }
        },
    }, h('h2', { id: titleId }, title), text && h('p', {}, text), made.map((field) => field.element), trouble,
    h('div', { class: 'buttons' },
        h('button', { type: 'button', autofocus: danger, onclick: () => dialog.close() }, 'Cancel'), button));
    const dialog = h('dialog', { 'aria-labelledby': titleId }, form);
    document.body.append(dialog);
    return new Promise((resolve) => {
        dialog.addEventListener('close', () => {
            dialog.remove();
            resolve(result);
        });
        dialog.showModal();
    });
}

/** Ask whether to do what cannot be undone; true once it is done. */
export function confirm(title, text, submit, act) {
    return ask({
        title, text, submit, danger: true,
        act: async () => {
            await act();
            return true;
        },
    });
}

const said = () => document.getElementById('said');

/** Tell what was done, at the edge of the page and to screen readers. */
export function say(text) {
    put(said(), h('p', {}, text));
    clearTimeout(say.timer);
    say.timer = setTimeout(() => put(said()), 6000);
}
