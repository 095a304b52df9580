/* The page /docs: Swagger UI over this server's own document. */

const place = document.querySelector("#docs");

SwaggerUIBundle({
    domNode: place,
    url: place.dataset.url,
    validatorUrl: null,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    queryConfigEnabled: false,
});

// The theme of the dashboard: what was chosen there, else the system's. Swagger UI has a dark one.
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
    const { theme } = root.dataset;
    root.classList.toggle("dark-mode", theme ? theme === "dark" : system.matches);
};
system.addEventListener("change", follow);
follow();
