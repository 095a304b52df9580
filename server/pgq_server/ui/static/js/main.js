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

// When everyone listens, and after htmx has been over the page, which it does from a timer of its own.
if (document.readyState === "complete") setTimeout(connect);
else addEventListener("load", () => setTimeout(connect));
