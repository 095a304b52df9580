// Throughput, drawn by uPlot from the columns that stand in the chart's data-chart attribute.

import { skew } from "./times.js";

const TONES = ["--succeeded", "--retrying", "--dead"];
const DASHES = [[], [6, 4], [2, 4]];
const WIDTHS = [2, 2, 2.5];

// The counters that each line is made of, as pgq.sample sums them.
const LINES = [
    ({ metric, label }) => metric === "transition" && label.endsWith(">succeeded"),
    ({ metric, label }) => metric === "attempt" && ["error", "timeout", "crashed", "lost"].includes(label),
    ({ metric }) => metric === "dead",
];
const SHORTEST = 5; // seconds since the last sample that make a rate

const counts = new Map(); // as the stream of events tells them
let plot = null;
let shown = null;
let place = null;

const tone = (name) => {
    // light-dark() is resolved only as a colour in use.
    const probe = document.createElement("i");
    probe.className = name;
    place.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
};

const spell = (value) => (value == null ? "–" : value >= 10_000 ? `${(value / 1000).toFixed(1)}k` : value >= 10 || value === 0 ? Math.round(value).toLocaleString("en") : value.toFixed(1));

function legend(at) {
    const columns = plot.data;
    const n = at ?? columns[0].length - 1;
    for (const value of document.querySelectorAll("[data-legend]")) {
        value.textContent = spell(columns[Number(value.dataset.legend)]?.[n]);
    }
}

// What was sampled, and one more point for what has happened since.
function read() {
    const chart = JSON.parse(place.dataset.chart);
    const now = (Date.now() + skew) / 1000;
    const passed = chart.last ? now - chart.last.at : 0;
    if (!counts.size || passed < SHORTEST) return chart;
    const totals = LINES.map(() => 0);
    for (const each of counts.values()) {
        const line = LINES.findIndex((belongs) => belongs(each));
        if (line >= 0) totals[line] += each.n;
    }
    chart.columns[0].push(now);
    totals.forEach((total, n) => chart.columns[n + 1].push(Math.max(total - chart.last.totals[n], 0) / passed * 60));
    chart.to = Math.max(chart.to, now);
    return chart;
}

function listen({ detail }) {
    if (detail.event === "snapshot") counts.clear();
    for (const each of JSON.parse(detail.data).items) counts.set(`${each.queue}\n${each.metric}\n${each.label}\n${each.bucket}`, each);
    redraw();
}

function redraw() {
    shown = read();
    plot.setData(shown.columns);
    legend(plot.cursor.idx);
}

function draw() {
    shown = read();
    const muted = tone("chart-muted");
    const line = tone("chart-line");
    plot?.destroy();
    plot = new uPlot({
        width: place.clientWidth,
        height: place.clientHeight,
        legend: { show: false },
        padding: [8, 16, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { x: { range: () => [shown.from, shown.to] }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 4)] } },
        axes: [
            { stroke: muted, grid: { show: false }, ticks: { stroke: line, size: 4 }, size: 28, font: "11px system-ui", values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })) },
            { stroke: muted, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 48, values: (_, ticks) => ticks.map(spell) },
        ],
        series: [{}, ...TONES.map((name, n) => ({
            stroke: tone(`chart${name}`), width: WIDTHS[n], dash: DASHES[n], points: { show: false }, spanGaps: true,
            ...(n === 0 ? { fill: tone(`chart${name}`).replace("rgb(", "rgba(").replace(")", ", 0.10)") } : {}),
        }))],
        hooks: { setCursor: [(it) => legend(it.cursor.idx)] },
    }, shown.columns, place);
    legend();
}

function begin() {
    place = document.getElementById("chart");
    if (!place || typeof uPlot === "undefined") return;
    draw();
    document.addEventListener("pgq:counts", listen);
    new MutationObserver(redraw).observe(place, { attributes: true, attributeFilter: ["data-chart"] });
    let size = 0;
    new ResizeObserver(() => {
        cancelAnimationFrame(size);
        size = requestAnimationFrame(() => plot.setSize({ width: place.clientWidth, height: place.clientHeight }));
    }).observe(place);
    document.addEventListener("pgq:theme", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

begin();
