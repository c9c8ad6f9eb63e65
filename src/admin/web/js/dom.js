// dom.js: builds elements. Whatever comes from the broker goes in here as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (value === undefined || value === null || value === false)
            continue;
        if (name.startsWith('on'))
            element.addEventListener(name.slice(2), value);
        else if (name in element && !(element instanceof SVGElement) && typeof value !== 'string')
            element[name] = value; // what is no text: checked, disabled, tabIndex, colSpan
        else
            element.setAttribute(name, value === true ? '' : value);
    }
    add(element, children);
    return element;
}

/** Append children: nodes, texts, numbers, arrays of them; null and undefined are left out. */
export function add(element, ...children) {
    for (const child of children.flat(Infinity)) {
        if (child !== null && child !== undefined && child !== false)
            element.append(child instanceof Node ? child : String(child));
    }
    return element;
}

/** h('a', {href: '#/', onclick: f}, 'text', node, …): an element. */
export function h(tag, attributes, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Put these children in the place of those that are there. */
export function put(element, ...children) {
    element.replaceChildren();
    return add(element, ...children);
}

/** As put(), but only if SIGNATURE differs from the last one, so that focus and selection stay where nothing changed. */
export function putIf(element, signature, make) {
    if (element.coneySignature !== signature) {
        element.coneySignature = signature;
        put(element, make());
    }
    return element;
}

let lastId = 0;

/** An id that nothing else has, to tie a label to its field. */
export function newId() {
    lastId += 1;
    return `i${lastId}`;
}
