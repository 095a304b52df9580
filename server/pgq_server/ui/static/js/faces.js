// What a dialog shows of itself as SQL, curl, command line and Python follows its form.

const PAUSE = 250; // milliseconds without a change

let timer = 0;

const place = (form) => form?.querySelector("#faces[hx-post]");

// A dialog whose form says how many jobs it is for is asked also while the snippets are folded.
const isSeen = (form) => form.querySelector("details.faces").open || form.querySelector("#meant");

function ask(form) {
    clearTimeout(timer);
    timer = 0;
    if (place(form)?.isConnected) place(form).dispatchEvent(new CustomEvent("pgq:faces"));
}

function changed({ target }) {
    const { form } = target;
    if (!place(form)) return;
    place(form).setAttribute("aria-busy", "true"); // of another form than the one that is shown
    if (!isSeen(form)) return;
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE, form);
}

document.addEventListener("input", changed);
document.addEventListener("change", changed);
document.addEventListener("toggle", ({ target }) => {
    if (target.matches("details.faces") && target.open) ask(target.closest("form"));
}, true);
document.addEventListener("htmx:after:swap", ({ detail }) => {
    if (detail.ctx.target?.id === "faces" && !timer) detail.ctx.target.removeAttribute("aria-busy");
});
