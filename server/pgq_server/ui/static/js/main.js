// What every page needs. Everything listens on the document, so that content may come and go.

import { connect } from "./live.js";
import "./times.js";
import "./dialogs.js";
import "./selection.js";
import "./keys.js";
import "./filter.js";
import "./copies.js";
import "./faces.js";
import "./themes.js";
import "./chart.js";
import "./log.js";
import "./login.js";

// On a phone the pages and the states go on beyond the edge.
for (const current of document.querySelectorAll(".nav [aria-current], .tabs [aria-current]")) {
    current.scrollIntoView({ block: "nearest", inline: "center" });
}

// When everyone listens, and after htmx has been over the page, which it does from a timer of its own.
if (document.readyState === "complete") setTimeout(connect);
else addEventListener("load", () => setTimeout(connect));
