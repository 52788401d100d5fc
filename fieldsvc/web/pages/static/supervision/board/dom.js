// What the pages beside the live one share in making nodes.

import { $, el } from "../../handheld/dom.js";

export { $, el };

// Set a text only when it changes, so that a reader hears it once.
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

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
