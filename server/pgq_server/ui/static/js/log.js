// The log of a job as it is written. Follows the end until the reader scrolls up.

import { changed, tell } from "./live.js";

const NEAR = 24; // pixels from the end that count as being there
const PATIENCE = 2000; // milliseconds before a stream that was refused is tried again
const KEPT = 5000; // lines; older ones leave the page, not the database

const place = document.getElementById("log");
const card = document.getElementById("log-card"); // says in data-over whether the job has ended
const follow = document.querySelector("[data-follow]");
let follows = true;
let stream = null;
let last = 0;

function count() {
    document.getElementById("log-count").textContent = last ? `${last.toLocaleString("en")} line${last === 1 ? "" : "s"}` : "";
    place.querySelector("[data-log-empty]").hidden = last > 0;
}

function toEnd() {
    if (follows) place.scrollTop = place.scrollHeight;
}

function cell(tag, name, text) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.textContent = text;
    return made;
}

function add(line) {
    if (line.n <= last) return;
    last = line.n;
    const row = cell("div", "line", "");
    row.dataset.n = line.n;
    const at = cell("time", "", new Date(line.at).toISOString().slice(11, 23));
    at.dateTime = line.at;
    at.title = line.at;
    const share = line.progress == null || line.message.includes("%") ? "" : `${Math.round(100 * line.progress)} % `;
    row.append(cell("span", "n", line.n), at, cell("span", `level-${line.level}`, line.level), cell("span", "text", share + line.message));
    place.insertBefore(row, place.querySelector("[data-log-empty]"));
    const lines = place.querySelectorAll(".line");
    if (lines.length > KEPT) lines[0].remove();
}

function open() {
    if (stream || document.hidden || "over" in card.dataset) return;
    const address = new URL(place.dataset.log, location.href);
    address.searchParams.set("after", last);
    stream = new EventSource(address);
    stream.addEventListener("open", () => tell("live", "live"));
    stream.addEventListener("error", () => {
        tell("lost", "reconnecting");
        if (stream?.readyState === EventSource.CLOSED) {
            close();
            setTimeout(open, PATIENCE);
        }
    });
    stream.addEventListener("log", (event) => {
        const line = JSON.parse(event.data);
        add(line);
        count();
        toEnd();
        if (line.progress != null) changed();
    });
    stream.addEventListener("end", () => {
        close();
        card.dataset.over = "";
        changed();
    });
}

function close() {
    stream?.close();
    stream = null;
}

if (place) {
    last = Number(place.dataset.after);
    count();
    toEnd();
    place.addEventListener("scroll", () => {
        follows = place.scrollHeight - place.scrollTop - place.clientHeight < NEAR;
        follow.hidden = follows;
    });
    follow.addEventListener("click", () => {
        follows = true;
        follow.hidden = true;
        toEnd();
    });
    document.addEventListener("visibilitychange", () => {
        if (document.hidden) close();
        else open();
    });
    document.addEventListener("htmx:after:swap", open); // it may have been retried
    if ("over" in card.dataset) tell("live", "live"); // it is looked at now and then
    open();
}
