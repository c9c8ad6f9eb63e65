// app.js: the frame around the pages: login, navigation, which page the address means, and when it is refreshed.
//
// A page is a function of the route that returns { title, element, refresh(), leave?(), pause? }, where pause is
// how many seconds there must be between refreshes that nobody asked for. The address is
// #/kind or #/kind/vhost/name, each part percent-encoded, as in RabbitMQ's own page.

import * as api from './api.js';
import { h, put } from './dom.js';
import { loginForm } from './login.js';
import { channel, channels } from './pages/channels.js';
import { connection, connections } from './pages/connections.js';
import { deadLetters } from './pages/deadletters.js';
import { exchange } from './pages/exchange.js';
import { exchanges } from './pages/exchanges.js';
import { forgetOverview, overview } from './pages/overview.js';
import { policies } from './pages/policies.js';
import { queue } from './pages/queue.js';
import { queues } from './pages/queues.js';
import { user, users } from './pages/users.js';
import { vhost, vhosts } from './pages/vhosts.js';

const PAGES = [
    // kind, in the navigation, list, single one, who may
    ['', 'Overview', overview],
    ['queues', 'Queues', queues, queue],
    ['exchanges', 'Exchanges', exchanges, exchange],
    ['connections', 'Connections', connections, connection],
    ['channels', 'Channels', channels, channel],
    ['deadletters', 'Dead letters', deadLetters],
    ['policies', 'Policies', policies],
    ['users', 'Users', users, user, 'administrator'],
    ['vhosts', 'Virtual hosts', vhosts, vhost, 'administrator'],
];

const SESSION_MINUTES = 8 * 60; // where the broker does not say
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

const element = (id) => document.getElementById(id);
const main = element('main');
let whoami = null;
let vhostNames = [];
let page = null;
let timer = null;
let sessionEnd = null;
let asked = 0; // counts refreshes, so that a late answer is known as such

// --- what the browser remembers: never the password ---------------------------------------------

function recall(key, otherwise) {
    try {
        return localStorage.getItem(`coney-${key}`) ?? otherwise;
    } catch {
        return otherwise;
    }
}

function remember(key, value) {
    try {
        localStorage.setItem(`coney-${key}`, value);
    } catch {
        // Then it is asked for again next time.
    }
}

function showTheme(theme) {
    if (theme)
        document.documentElement.dataset.theme = theme;
    else
        delete document.documentElement.dataset.theme;
    dispatchEvent(new Event('coney-theme'));
}

// --- pages ------------------------------------------------------------------------------------

function currentRoute() {
    const [where, query] = location.hash.replace(/^#\/?/, '').split('?');
    const [kind, ...parts] = where.split('/').map((part) => {
        try {
            return decodeURIComponent(part);
        } catch {
            return part;
        }
    });
    return {
        kind, parts: parts.filter((part) => part !== ''), path: `/${where}`, query: new URLSearchParams(query),
        vhost: element('vhost').value, vhosts: vhostNames, whoami,
        isAdministrator: whoami.tags.includes('administrator'), refresh,
    };
}

function open() {
    if (!whoami)
        return;
    const route = currentRoute();
    const [kind, label, list, one] = PAGES.find(([name]) => name === route.kind) ?? PAGES[0];
    page?.leave?.();
    page = (route.parts.length > 0 && one ? one : list)(route);
    document.title = `${page.title ?? label} · coney`;
    for (const link of element('nav').querySelectorAll('a')) {
        if (link.dataset.kind === kind)
            link.setAttribute('aria-current', 'page');
        else
            link.removeAttribute('aria-current');
    }
    toggleMenu(false);
    put(element('trouble'));
    put(main, page.element);
    scrollTo(0, 0);
    (main.querySelector('h1') ?? main).focus({ preventScroll: true });
    refresh();
}

async function refresh() {
    clearTimeout(timer);
    const mine = page;
    asked += 1;
    const turn = asked;
    main.dataset.busy = '';
    try {
        await mine.refresh();
        if (mine === page)
            put(element('trouble'));
    } catch (error) {
        if (mine === page && whoami)
            put(element('trouble'), h('p', {}, error.message));
        if (!(error instanceof api.ApiError))
            console.error(error);
    }
    if (turn === asked && whoami) {
        delete main.dataset.busy;
        plan();
    }
}

function plan() {
    const chosen = Number(element('every').value);
    const seconds = Math.max(chosen, page?.pause ?? 0);
    clearTimeout(timer);
    if (chosen > 0 && whoami)
        timer = setTimeout(() => (document.hidden ? plan() : refresh()), seconds * 1000);
}

// --- frame ------------------------------------------------------------------------------------

function toggleMenu(isOpen) {
    element('menu').setAttribute('aria-expanded', String(isOpen));
    document.body.classList.toggle('menu-open', isOpen);
}

function showFrame() {
    const mine = PAGES.filter(([, , , , tag]) => !tag || whoami.tags.includes(tag));
    put(element('nav'), h('ul', {}, mine.map(([kind, label]) =>
        h('li', {}, h('a', { href: `#/${kind}`, 'data-kind': kind }, label)))));
    put(element('me'), whoami.name);
    put(element('vhost'), h('option', { value: '' }, 'all'),
        vhostNames.map((name) => h('option', { value: name, selected: name === recall('vhost') }, name)));
    element('top').hidden = false;
    element('nav').hidden = false;
}

async function enter(who) {
    whoami = who;
    const minutes = Number(who.login_session_timeout) || SESSION_MINUTES; // management.login_session_timeout
    sessionEnd = setTimeout(() => leave('The time of this login is over.'), Math.min(minutes * 60000, TIMEOUT_MS_MAX));
    vhostNames = (await api.get('vhosts', { columns: 'name' })).map(({ name }) => name);
    showFrame();
    open();
}

/** Vhosts come and go; the page that adds one says so. */
addEventListener('coney-vhosts', async () => {
    vhostNames = (await api.get('vhosts', { columns: 'name' })).map(({ name }) => name);
    showFrame();
});

function leave(reason) {
    api.logout();
    forgetOverview();
    clearTimeout(timer);
    clearTimeout(sessionEnd);
    page?.leave?.();
    page = null;
    whoami = null;
    document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
    element('top').hidden = true;
    element('nav').hidden = true;
    put(element('trouble'));
    document.title = 'Log in · coney';
    const form = loginForm(reason, enter);
    put(main, form.element);
    form.focus();
}

element('theme').value = recall('theme', '');
element('every').value = recall('every', '5');
showTheme(element('theme').value);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => dispatchEvent(new Event('coney-theme')));
element('theme').addEventListener('change', ({ target }) => {
    remember('theme', target.value);
    showTheme(target.value);
});
element('every').addEventListener('change', ({ target }) => {
    remember('every', target.value);
    plan();
});
element('vhost').addEventListener('change', ({ target }) => {
    remember('vhost', target.value);
    open();
    target.focus();
});
element('now').addEventListener('click', refresh);
element('logout').addEventListener('click', () => leave('Logged out.'));
element('menu').addEventListener('click', ({ target }) => toggleMenu(target.getAttribute('aria-expanded') !== 'true'));
element('skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address says which page this is
    main.focus();
});
addEventListener('hashchange', open);
addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && document.body.classList.contains('menu-open')) {
        toggleMenu(false);
        element('menu').focus();
    }
});
api.whenRefused(() => leave('The broker does not accept this login any more.'));
leave('');
