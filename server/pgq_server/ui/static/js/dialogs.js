// One dialog, filled by htmx; without scripts its links lead to pages that hold the same form.

const dialog = document.getElementById("dialog");
const help = document.getElementById("help");
let opener = null;

export const isOpen = () => dialog?.open || help?.open;

export function openHelp() {
    if (!isOpen()) help.showModal();
}

document.addEventListener("click", (event) => {
    const opening = event.target.closest("[data-dialog]");
    if (opening) opener = opening;
    if (event.target.closest("[data-help]")) openHelp();
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
    if (event.target === dialog || event.target === help) event.target.close();
});

document.addEventListener("htmx:after:swap", (event) => {
    const body = document.getElementById("dialog-body");
    if (event.detail.ctx.target !== body || !body.firstElementChild) return;
    if (!dialog.open) dialog.showModal();
    const first = body.querySelector("[autofocus], input:not([type=hidden]), textarea, select");
    if (!body.contains(document.activeElement) || document.activeElement.matches("[data-close]")) (first ?? body.querySelector("button"))?.focus();
});

// HX-Trigger: pgq:close
document.addEventListener("pgq:close", () => dialog?.close());

dialog?.addEventListener("close", () => {
    document.getElementById("dialog-body").replaceChildren();
    if (opener?.isConnected) opener.focus();
    opener = null;
});

// A form with a raw JSON mode: radios named `mode` show the part of that name.
function showMode(form) {
    const mode = new FormData(form).get("mode");
    for (const part of form.querySelectorAll("[data-mode]")) {
        part.hidden = part.dataset.mode !== mode;
        for (const field of part.querySelectorAll("input, select, textarea")) field.disabled = part.hidden;
    }
}

document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (form && event.target.name === "mode") showMode(form);
});
document.addEventListener("htmx:after:swap", () => {
    for (const form of document.querySelectorAll("form[data-modes]")) showMode(form);
});
for (const form of document.querySelectorAll("form[data-modes]")) showMode(form);
