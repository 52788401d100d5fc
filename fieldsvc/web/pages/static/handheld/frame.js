// The frame around every screen: the way to another screen, the bar that offers to undo, and what is said aloud.
import { say } from "../base.js";
import { $, button, el } from "./dom.js";

/** Every screen by its name; main.js puts them in. A screen: {name, title, tab?, render(root, params, ctx) → cleanup or nothing}. */
export const screens = new Map();

let shown = null; // what the bar offers now: {settle, timer}

/** Go to a screen: `go("#/today")`. */
export function go(hash) {
  if (location.hash === hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
}

/** Say something to those who hear the page, without showing it. */
export function announce(text) {
  $("announce").textContent = "";
  requestAnimationFrame(() => ($("announce").textContent = text));
}

/**
 * Show a bar at the thumb. With `undo` it offers to take back what was done, for `ms`; one bar at a time: a new one settles
 * the older. Returns a function that takes the bar away.
 */
export function toast(text, { undo, ms = undo ? 10_000 : 4_000 } = {}) {
  shown?.();
  const bar = $("toast");
  const settle = () => {
    if (shown !== settle) return;
    clearTimeout(timer);
    shown = null;
    bar.replaceChildren();
  };
  const back = undo && button({ text: say("undo"), kind: "quiet", class: "toast__undo", onclick: () => (settle(), undo()) });
  bar.replaceChildren(el("p", {}, text), ...(back ? [back] : []));
  const timer = setTimeout(settle, ms);
  shown = settle;
  return settle;
}
