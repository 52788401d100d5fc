// The buttons of the phone, as high as a thumb needs.
import { el } from "../dom.js";
import { icon as drawn } from "./icons.js";

export { $, el } from "../dom.js";

/** Make a button: `kind` is primary, quiet or danger; `big` fills the width; `icon` is a name of icons.js. */
export function button({ text, kind = "primary", big = false, onclick, icon, ...more }) {
  const classes = ["press", kind === "primary" ? "" : `press--${kind}`, big ? "press--big" : "", more.class ?? ""];
  return el("button", { type: "button", onclick, ...more, class: classes.filter(Boolean).join(" ") }, icon && drawn(icon), el("span", {}, text));
}

/** Make a link that looks and is hit like a button. */
export function linkButton({ text, href, kind = "primary", big = false, icon, ...more }) {
  const classes = ["press", kind === "primary" ? "" : `press--${kind}`, big ? "press--big" : "", more.class ?? ""];
  return el("a", { ...more, href, class: classes.filter(Boolean).join(" ") }, icon && drawn(icon), el("span", {}, text));
}
