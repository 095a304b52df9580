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
