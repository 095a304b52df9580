// The keyboard. Nothing here is taken from someone who types into a field.

import { isOpen, openHelp } from "./dialogs.js";
import { toggle } from "./selection.js";
import { switchTheme } from "./themes.js";

const PLACES = { o: "", j: "/jobs", q: "/queues", w: "/workers", d: "/dead" };
const PATIENCE = 1500;

let gone = 0; // when g was pressed

const rows = () => [...document.querySelectorAll("[data-row]")];
const current = () => document.querySelector("[data-row][data-ui-cursor]");

function move(step) {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(current());
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
    current()?.removeAttribute("data-ui-cursor");
    next.setAttribute("data-ui-cursor", "");
    next.querySelector("[data-open]")?.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
}

function isTyping(target) {
    return target.isContentEditable || (target.matches("input, textarea, select") && !target.matches("[type=checkbox], [type=radio]"));
}

function obey(key) {
    if (Date.now() - gone < PATIENCE && key in PLACES) {
        gone = 0;
        location.assign(document.body.dataset.uiRoot + PLACES[key]);
        return true;
    }
    gone = 0;
    switch (key) {
        case "g": gone = Date.now(); return true;
        case "j": move(1); return true;
        case "k": move(-1); return true;
        case "x": toggle(current()); return Boolean(current());
        case "Enter": {
            const link = current()?.querySelector("[data-open]");
            if (!link || document.activeElement?.matches("a, button, summary")) return false;
            link.click();
            return true;
        }
        case "/": {
            const box = document.getElementById("filter-input");
            box?.focus();
            box?.select();
            return Boolean(box);
        }
        case "n": document.querySelector("[data-new-job]")?.click(); return true;
        case "t": switchTheme(); return true;
        case "?": openHelp(); return true;
    }
    return false;
}

document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && event.target.id === "filter-input") event.target.blur();
    if (isOpen() || isTyping(event.target)) return;
    if (obey(event.key)) event.preventDefault();
});

document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.("[data-row]");
    if (!row || row === current()) return;
    current()?.removeAttribute("data-ui-cursor");
    row.setAttribute("data-ui-cursor", "");
});
