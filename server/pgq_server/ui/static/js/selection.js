// Rows that are ticked, and the bar that acts on them or on all that the filter finds.

const ticked = () => [...document.querySelectorAll("input[data-select]:checked")];

export function refresh() {
    const bulk = document.querySelector("[data-bulk]");
    if (!bulk) return;
    const n = ticked().length;
    bulk.querySelector("[data-bulk-some]").hidden = n === 0;
    bulk.querySelector("[data-bulk-none]").hidden = n > 0;
    bulk.querySelector("[data-bulk-count]").textContent = n;
    bulk.querySelector("[data-select-none]").hidden = n === 0;
    const all = document.querySelector("[data-select-all]");
    const boxes = document.querySelectorAll("input[data-select]").length;
    all.checked = n > 0 && n === boxes;
    all.indeterminate = n > 0 && n < boxes;
}

export function toggle(row) {
    const box = row?.querySelector("input[data-select]");
    if (!box) return;
    box.checked = !box.checked;
    refresh();
}

document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-all]")) {
        for (const box of document.querySelectorAll("input[data-select]")) box.checked = event.target.checked;
    }
    if (event.target.matches("[data-select], [data-select-all]")) refresh();
});

document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-select-none]")) return;
    for (const box of ticked()) box.checked = false;
    refresh();
});

document.addEventListener("htmx:after:swap", refresh);
refresh();
