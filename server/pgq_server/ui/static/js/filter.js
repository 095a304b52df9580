// The filter box completes its last word.

const PAUSE = 120;

let timer = 0;
let asked = null;
let choice = -1;

const box = () => document.getElementById("filter-input");
const list = () => document.getElementById("suggestions");
const options = () => [...list().querySelectorAll("[role=option]")];

function close() {
    if (!list()) return;
    clearTimeout(timer);
    asked?.abort();
    list().hidden = true;
    box().setAttribute("aria-expanded", "false");
    box().removeAttribute("aria-activedescendant");
    choice = -1;
}

function show(found) {
    list().replaceChildren(...found.map(({ text, note }, n) => {
        const option = document.createElement("div");
        option.role = "option";
        option.id = `suggestion-${n}`;
        option.dataset.text = text;
        option.setAttribute("aria-selected", "false");
        const name = document.createElement("b");
        name.textContent = text;
        const words = document.createElement("span");
        words.textContent = note;
        option.append(name, words);
        return option;
    }));
    choice = -1;
    list().hidden = found.length === 0;
    box().setAttribute("aria-expanded", String(found.length > 0));
}

function word() {
    const input = box();
    const before = input.value.slice(0, input.selectionStart);
    const start = before.search(/(?:[^\s"]|"[^"]*"?)*$/);
    return { start, text: before.slice(start) };
}

async function ask() {
    asked?.abort();
    asked = new AbortController();
    const address = new URL(box().form.dataset.suggest, location.href);
    address.searchParams.set("word", word().text);
    try {
        const answer = await fetch(address, { signal: asked.signal, headers: { Accept: "application/json" } });
        if (answer.ok) show((await answer.json()).suggestions);
    } catch (error) {
        if (error.name !== "AbortError") close();
    }
}

function choose(step) {
    const all = options();
    if (!all.length) return;
    all[choice]?.setAttribute("aria-selected", "false");
    choice = (choice + step + all.length + (choice < 0 && step < 0 ? 1 : 0)) % all.length;
    all[choice].setAttribute("aria-selected", "true");
    all[choice].scrollIntoView({ block: "nearest" });
    box().setAttribute("aria-activedescendant", all[choice].id);
}

function take(option) {
    const input = box();
    const { start } = word();
    const isWhole = !option.dataset.text.endsWith(":") && !option.dataset.text.endsWith(".");
    input.setRangeText(option.dataset.text + (isWhole ? " " : ""), start, input.selectionStart, "end");
    input.focus();
    close();
    if (!isWhole) later();
}

function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
}

document.addEventListener("input", (event) => event.target === box() && later());
document.addEventListener("focusin", (event) => event.target === box() && later());
document.addEventListener("focusout", (event) => event.target === box() && setTimeout(close, 150));
document.addEventListener("mousedown", (event) => {
    const option = event.target.closest("#suggestions [role=option]");
    if (!option) return;
    event.preventDefault();
    take(option);
});
document.addEventListener("keydown", (event) => {
    if (event.target !== box() || !list() || list().hidden) return;
    if (event.key === "ArrowDown") choose(1);
    else if (event.key === "ArrowUp") choose(-1);
    else if ((event.key === "Enter" || event.key === "Tab") && choice >= 0) take(options()[choice]);
    else if (event.key === "Escape") { close(); event.stopImmediatePropagation(); }
    else return;
    event.preventDefault();
}, true);
