// The tab's one stream of events: says how it is, and that something has changed.

const CHANGE = "pgq:change";

// What the reader has unfolded stays so when fresh content is merged in.
htmx.registerExtension("keep", {
    htmx_before_morph_attr: (element, detail) =>
        !(detail.attrName === "open" && element.matches("details, dialog")),
});

export function tell(state, words) {
    const place = document.getElementById("link-state");
    if (!place || place.dataset.uiLink === state) return;
    place.dataset.uiLink = state;
    place.textContent = words;
}

export function connect() {
    const place = document.querySelector("#events[data-stream]");
    if (!place || place.hasAttribute("hx-sse:connect")) return;
    place.setAttribute("hx-sse:connect", place.dataset.stream);
    htmx.process(place);
}

export function changed() {
    document.body.dispatchEvent(new CustomEvent(CHANGE));
}

export function toast(words, isFailure = false) {
    const place = document.getElementById("toasts");
    const made = document.createElement("div");
    made.className = isFailure ? "toast is-failed" : "toast";
    made.textContent = words;
    place.append(made);
    setTimeout(() => made.remove(), isFailure ? 10_000 : 5_000);
}

document.addEventListener("htmx:sse:after:connection", () => tell("live", "live"));
document.addEventListener("htmx:sse:error", () => tell("lost", "reconnecting"));
let isFresh = true; // the page is as new as the first snapshot

document.addEventListener("htmx:sse:before:message", (event) => {
    const { message } = event.detail;
    event.preventDefault(); // nothing of it is swapped in: pages are fetched as fragments
    tell("live", "live");
    document.dispatchEvent(new CustomEvent("pgq:counts", { detail: message }));
    if (message.event !== "snapshot" || !isFresh) changed();
    isFresh = false;
});

document.addEventListener("htmx:error", () => tell("lost", "no answer"));
document.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (ctx.response.status >= 500) tell("lost", "server in trouble");
});
document.addEventListener("htmx:after:swap", (event) => {
    const { ctx } = event.detail;
    if (ctx.target?.id === "main" && ctx.response?.status < 400) tell("live", "live");
});

// A page that nobody looks at asks for nothing, and makes up for it when it is looked at again.
document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden && event.detail.ctx.sourceElement.id === "main") event.preventDefault();
});
document.addEventListener("visibilitychange", () => document.hidden || changed());

// HX-Trigger: pgq:done {"words": …} — something was done.
document.addEventListener("pgq:done", (event) => {
    if (event.detail?.words) toast(event.detail.words);
    changed();
});
