// Light, dark: the switch. theme.js applies what was chosen.

export function switchTheme() {
    const root = document.documentElement;
    const isDark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    try {
        localStorage.setItem("pgq-theme", root.dataset.theme);
    } catch {
        // It holds for this page.
    }
    document.dispatchEvent(new CustomEvent("pgq:theme"));
}

document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-switch]")) switchTheme();
});
