// Runs before the page is painted, so that it never shows in the wrong theme first.
try {
    const chosen = localStorage.getItem("pgq-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
    // No storage: the theme of the system.
}
