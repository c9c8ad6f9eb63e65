// login.js: the first thing on the page.

import { login } from './api.js';
import { h, put } from './dom.js';

/** The form; calls DONE(whoami) once the broker knows the user. */
export function loginForm(reason, done) {
    const trouble = h('p', { class: 'error', role: 'alert' }, reason);
    const name = h('input', { id: 'user', name: 'user', autocomplete: 'username', required: true,
        autocapitalize: 'none', spellcheck: false });
    const password = h('input', { id: 'password', name: 'password', type: 'password', autocomplete: 'current-password' });
    const button = h('button', { type: 'submit', class: 'main' }, 'Log in');
    const form = h('form', {
        class: 'login',
        onsubmit: async (event) => {
            event.preventDefault();
            button.disabled = true;
            put(trouble);
            try {
                done(await login(name.value, password.value));
            } catch (error) {
                put(trouble, error.status === 401 && /failed|^Not_Authorized$/.test(error.message)
                    ? 'User name or password is wrong.' : error.message);
                password.value = '';
                password.focus();
            }
            button.disabled = false;
        },
    },
    h('img', { src: 'favicon.svg', alt: '', width: 56, height: 56 }),
    h('h1', { tabIndex: -1 }, 'coney'),
    h('div', { class: 'field' }, h('label', { for: 'user' }, 'User'), name),
    h('div', { class: 'field' }, h('label', { for: 'password' }, 'Password'), password),
    trouble, button,
    h('p', { class: 'quiet' }, 'The password is kept until the page is closed or loaded again, and stored nowhere.'));
    return { element: form, focus: () => name.focus() };
}
