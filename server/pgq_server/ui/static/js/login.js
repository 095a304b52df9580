// The login's cookie is kept only where the browser holds the page for safe.

const warning = document.getElementById("plain");

if (warning && !isSecureContext) {
    warning.hidden = false;
    document.getElementById("sign-in").disabled = true;
}
