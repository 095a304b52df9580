// Ages stay true while the page is open. The server's clock counts, not this machine's.

const UNITS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
const LONGEST = 100 * 86_400;

export const skew = Date.parse(document.body.dataset.now) - Date.now() || 0;

export function age(at, now) {
    const passed = (now - at) / 1000;
    const seconds = Math.abs(passed);
    if (seconds > LONGEST) return new Date(at).toISOString().slice(0, 10);
    const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? UNITS.at(-1);
    const rough = `${Math.floor(seconds / size)} ${unit}`;
    return passed < -1 ? `in ${rough}` : `${rough} ago`;
}

function refresh() {
    const now = Date.now() + skew;
    for (const element of document.querySelectorAll("time[data-ago]")) {
        const words = age(Date.parse(element.dateTime), now);
        if (element.textContent !== words) element.textContent = words;
    }
}

setInterval(() => document.hidden || refresh(), 1000);
