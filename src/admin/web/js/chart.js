// chart.js: figures over time, drawn by uPlot (vendor/uplot.js, which defines the global uPlot). The colours are the style
// sheet's: each line has that of the swatch in its legend. The legend is what a screen reader gets.

import { h, put } from './dom.js';
import { brief } from './format.js';

const HEIGHT_PX = 150;
const POINTS_MAX = 720;

/** Figures by name over time: as many points as a chart can show, the oldest go. Times are in seconds. */
export class History {
    constructor(...names) {
        this.names = names;
        this.times = [];
        this.values = Object.fromEntries(names.map((name) => [name, []]));
    }

    push(time, figures) {
        if (this.times.length > 0 && time <= this.times.at(-1))
            return;
        this.times.push(time);
        for (const name of this.names)
            this.values[name].push(figures[name] ?? null);
        if (this.times.length > POINTS_MAX) {
            this.times.shift();
            for (const name of this.names)
                this.values[name].shift();
        }
    }

    /**
     * Begin with what the broker remembers: SAMPLES by name, as in its *_details, newest first. NAMES in COUNTERS count
     * up, and their rate is what is kept.
     */
    begin(samples, counters = []) {
        if (this.times.length > 0)
            return;
        const points = new Map();
        for (const name of this.names) {
            const list = [...(samples[name] ?? [])].reverse();
            list.forEach(({ sample, timestamp }, i) => {
                const time = Math.round(timestamp / 1000);
                const figures = points.get(time) ?? points.set(time, {}).get(time);
                if (!counters.includes(name))
                    figures[name] = sample;
                else if (i > 0)
                    figures[name] = Math.max(0, (sample - list[i - 1].sample) * 1000 / (timestamp - list[i - 1].timestamp));
            });
        }
        for (const time of [...points.keys()].sort((a, b) => a - b))
            this.push(time, points.get(time));
    }
}

function clock(seconds) {
    const shown = { hour: '2-digit', minute: '2-digit', second: seconds % 60 === 0 ? undefined : '2-digit' };
    return new Date(seconds * 1000).toLocaleTimeString('sv', shown);
}

function colourOf(element, property) {
    return getComputedStyle(element)[property];
}

/** A chart of HISTORY. A line is { name, label, colour }, where colour is a class of the style sheet: c1 … c7. */
export class Chart {
    constructor({ title, history, lines, format }) {
        this.history = history;
        this.lines = lines;
        this.format = format;
        this.swatches = lines.map((line) => h('i', { class: `swatch ${line.colour}` }));
        this.figures = lines.map(() => h('b'));
        this.plot = h('div', { class: 'plot', role: 'img', 'aria-label': `Chart: ${title}` });
        this.element = h('figure', { class: 'chart' }, h('figcaption', {}, title), this.plot,
            h('ul', { class: 'legend' }, lines.map((line, i) =>
                h('li', {}, this.swatches[i], ' ', h('span', {}, line.label), ' ', this.figures[i]))));
        this.observer = new ResizeObserver(() => this.fit());
        this.observer.observe(this.plot);
        this.themed = () => this.drawing?.redraw(false, true);
        addEventListener('coney-theme', this.themed);
    }

    /** To be called when the page is left. */
    leave() {
        this.observer.disconnect();
        removeEventListener('coney-theme', this.themed);
        this.drawing?.destroy();
    }

    options(width) {
        const axis = {
            stroke: () => colourOf(this.plot, 'color'),
            grid: { stroke: () => colourOf(this.plot, 'borderTopColor'), width: 1 },
            ticks: { show: false },
            font: '11px system-ui, sans-serif',
        };
        return {
            width, height: HEIGHT_PX, legend: { show: false }, padding: [8, 8, 0, 0],
            cursor: { y: false, points: { size: 6 }, drag: { x: false } },
            scales: { x: { range: () => this.span() }, y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
            axes: [
                { ...axis, size: 28, space: 80, values: (_, times) => times.map(clock) },
                { ...axis, size: 52, values: (_, ticks) => ticks.map(this.format.axis ?? brief) },
            ],
            series: [{}, ...this.lines.map((_, i) => ({
                stroke: () => colourOf(this.swatches[i], 'backgroundColor'), width: 1.75, spanGaps: true, points: { show: false },
            }))],
            hooks: { setCursor: [(drawing) => this.tell(drawing.cursor.idx)] },
        };
    }

    /** What the axis of time shows: all there is, and a minute at least. */
    span() {
        const { times } = this.history;
        const last = times.at(-1) ?? 60;
        return [Math.min(times[0] ?? 0, last - 60), last];
    }

    data() {
        return [this.history.times, ...this.lines.map((line) => this.history.values[line.name])];
    }

    fit() {
        const width = Math.floor(this.plot.clientWidth);
        if (width > 0)
            this.drawing?.setSize({ width, height: HEIGHT_PX });
    }

    /** The legend's figures: those at INDEX, or the last. */
    tell(index) {
        const at = index ?? this.history.times.length - 1;
        this.lines.forEach((line, i) => {
            const figure = this.history.values[line.name][at];
            put(this.figures[i], figure === null || figure === undefined ? '–' : this.format(figure));
        });
    }

    refresh() {
        const width = Math.floor(this.plot.clientWidth);
        if (!this.drawing && width > 0)
            this.drawing = new globalThis.uPlot(this.options(width), this.data(), this.plot);
        else
            this.drawing?.setData(this.data());
        this.tell(this.drawing?.cursor.idx);
    }
}
