// What the supervisor's pages make besides plain nodes.
import { $, el, say } from "../dom.js";

export { $, el, say };

export function announce(words) {
  say($("announce"), words);
}

export function press(text, onclick, { kind = "quiet", ...more } = {}) {
  return el("button", { type: "button", class: `button--small${kind === "quiet" ? " button--quiet" : ""}`, onclick, ...more }, text);
}

// A letter on a ground of its own colour: the same on the list, the map and the chart.
export function badge(letter, tone) {
  return el("span", { class: `badge tone-${tone}`, "aria-hidden": "true" }, letter);
}
