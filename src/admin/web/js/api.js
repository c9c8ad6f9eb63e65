// api.js: requests to the broker this page came from. The password lives in this module's memory and nowhere else.

let authorization = null;
let isKnown = false; // the broker has once accepted it
let onRefused = () => {};

export class ApiError extends Error {
    constructor(status, reason) {
        super(reason);
        this.status = status;
    }
}

/** path('queues', '/', 'a b') is 'queues/%2F/a%20b'. */
export function path(...segments) {
    return segments.map(encodeURIComponent).join('/');
}

/** The name of an exchange in a path: the default one has no name of its own. */
export function exchangeName(name) {
    return name === '' ? 'amq.default' : name;
}

async function reasonOf(response) {
    const text = await response.text();
    try {
        const { reason, error } = JSON.parse(text);
        return [reason ?? error].flat().join(' ');
    } catch {
        return response.status === 404 ? 'The broker does not know that.' : text || response.statusText;
    }
}

async function request(method, url, { query, body, headers = {} } = {}) {
    const init = { method, headers: { authorization, ...headers }, credentials: 'omit', cache: 'no-store' };
    if (body !== undefined) {
        init.headers['content-type'] = 'application/json';
        init.body = JSON.stringify(body);
    }
    const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== '');
    let response;
    try {
        response = await fetch(given.length > 0 ? `${url}?${new URLSearchParams(given)}` : url, init);
    } catch {
        throw new ApiError(0, 'The broker does not answer.');
    }
    if (response.ok)
        return response;
    const reason = await reasonOf(response);
    // Other refusals are answered with 401 too; only this one says that the login itself is no longer good.
    if (isKnown && response.status === 401 && /^(Login failed|Not_Authorized)$/.test(reason))
        onRefused();
    throw new ApiError(response.status, reason || `HTTP ${response.status}`);
}

async function call(method, where, options) {
    const response = await request(method, `api/${where}`, options);
    const text = await response.text();
    return text === '' ? null : JSON.parse(text);
}

export const get = (where, query) => call('GET', where, { query });
export const putTo = (where, body = {}) => call('PUT', where, { body });
export const post = (where, body = {}) => call('POST', where, { body });
export const remove = (where, query, headers) => call('DELETE', where, { query, headers });

/** coney's own metrics as text; they lie beside the API, not below it. */
export async function metrics() {
    return (await request('GET', 'metrics/detailed', { query: { family: 'coney_metrics' } })).text();
}

/** Who the user is, by /whoami; throws if the broker does not let them in. */
export async function login(name, password) {
    const octets = new TextEncoder().encode(`${name}:${password}`);
    authorization = `Basic ${btoa(String.fromCharCode(...octets))}`;
    try {
        const who = await get('whoami');
        isKnown = true;
        return who;
    } catch (error) {
        logout();
        throw error;
    }
}

export function logout() {
    authorization = null;
    isKnown = false;
}

/** What to do when a login that was good is refused: the user is gone, or has another password. */
export function whenRefused(handler) {
    onRefused = handler;
}
