// An address that leads to nothing: said calmly, with a way back, and nothing can be saved there.
import { say } from "../base.js";
import { el, linkButton } from "./dom.js";

/** Show that there is nothing here. */
export function lost(root) {
  root.append(el("div", { class: "empty" }, el("p", {}, el("strong", {}, say("lost"))), el("p", {}, say("lost_what"))), linkButton({ text: say("today_back"), href: "#/today", big: true }));
}
