// Throughput, drawn by uPlot from the columns that stand in the chart's data-chart attribute.

const TONES = ["--succeeded", "--retrying", "--dead"];
const DASHES = [[], [6, 4], [2, 4]];
const WIDTHS = [2, 2, 2.5];

let plot = null;
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

function read() {
    return JSON.parse(place.dataset.chart);
}

function draw() {
    const { columns, from, to } = read();
    const muted = tone("chart-muted");
    const line = tone("chart-line");
    plot?.destroy();
    plot = new uPlot({
        width: place.clientWidth,
        height: place.clientHeight,
        legend: { show: false },
        padding: [8, 16, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { x: { range: () => { const now = read(); return [now.from, now.to]; } }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 4)] } },
        axes: [
            { stroke: muted, grid: { show: false }, ticks: { stroke: line, size: 4 }, size: 28, font: "11px system-ui", values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })) },
            { stroke: muted, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 48, values: (_, ticks) => ticks.map(spell) },
        ],
        series: [{}, ...TONES.map((name, n) => ({
            stroke: tone(`chart${name}`), width: WIDTHS[n], dash: DASHES[n], points: { show: false }, spanGaps: true,
            ...(n === 0 ? { fill: tone(`chart${name}`).replace("rgb(", "rgba(").replace(")", ", 0.10)") } : {}),
        }))],
        hooks: { setCursor: [(it) => legend(it.cursor.idx)] },
    }, columns, place);
    legend();
}

function begin() {
    place = document.getElementById("chart");
    if (!place || typeof uPlot === "undefined") return;
    draw();
    new MutationObserver(() => {
        plot.setData(read().columns);
        legend(plot.cursor.idx);
    }).observe(place, { attributes: true, attributeFilter: ["data-chart"] });
    let size = 0;
    new ResizeObserver(() => {
        cancelAnimationFrame(size);
        size = requestAnimationFrame(() => plot.setSize({ width: place.clientWidth, height: place.clientHeight }));
    }).observe(place);
    document.addEventListener("pgq:theme", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

begin();
