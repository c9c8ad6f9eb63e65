// format.js: numbers, octets, times and durations as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

export const NOTHING = '–';

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

export function count(value) {
    return isNumber(value) ? whole.format(value) : NOTHING;
}

/** Short, for axes: 1.2k, 3M. */
export function brief(value) {
    for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
        if (Math.abs(value) >= size)
            return tenth.format(value / size) + unit;
    }
    return tenth.format(value);
}

export function octets(value) {
    if (!isNumber(value))
        return NOTHING;
    let unit = 0;
    while (Math.abs(value) >= 1000 && unit < UNITS.length - 1) {
        value /= 1000;
        unit += 1;
    }
    return `${(value < 100 ? tenth : whole).format(value)} ${UNITS[unit]}`;
}

export function rate(value) {
    return isNumber(value) ? `${(value < 100 ? tenth : whole).format(value)}/s` : NOTHING;
}

export function duration(ms) {
    if (!isNumber(ms))
        return NOTHING;
    if (ms < 1000)
        return `${whole.format(ms)} ms`;
    const seconds = Math.floor(ms / 1000);
    const days = Math.floor(seconds / 86400);
    const hours = Math.floor(seconds / 3600) % 24;
    const minutes = Math.floor(seconds / 60) % 60;
    if (days > 0)
        return `${days} d ${hours} h`;
    if (hours > 0)
        return `${hours} h ${minutes} min`;
    return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export function time(ms) {
    return isNumber(ms) ? new Date(ms).toLocaleString('sv') : NOTHING;
}

/** A field of any type, as one line of text. */
export function value(any) {
    if (any === null || any === undefined)
        return NOTHING;
    return typeof any === 'object' ? JSON.stringify(any) : String(any);
}

/** The rate of a counter, e.g. rateOf(queue.message_stats, 'publish'); 0 when nothing was counted yet. */
export function rateOf(stats, name) {
    return stats?.[`${name}_details`]?.rate ?? 0;
}
