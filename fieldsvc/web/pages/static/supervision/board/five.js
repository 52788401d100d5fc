// The five states of a list: loading, empty, normal, stale and error. A list that was shown once is never taken away by a fault.

import { Fault } from "../api.js";
import { clock, t } from "../words.js";
import { say } from "../dom.js";

const KNOWN = new Set([0, 401, 403, 404, 429]);

// `read()` reads and draws, and answers how many there are. `everyMs` reads again while the page is looked at.
export function five(root, read, { everyMs = 0 } = {}) {
  const find = (name) => root.querySelector(`[data-five="${name}"]`);
  const view = { root, find, read, shownAt: null, reading: null, forgotten: false, again: false };
  const load = () => {
    if (view.reading && view.forgotten) view.again = true; // something else is asked for while this is read
    return (view.reading ??= reload(view).finally(after));
  };
  const after = () => {
    const { again } = view;
    view.reading = null;
    view.forgotten = view.again = false;
    return again ? load() : undefined;
  };
  const press = () => {
    view.again = view.reading !== null; // who presses wants what is so now, and not what was asked for before
    return load();
  };
  for (const name of ["retry", "again"]) find(name).addEventListener("click", press);
  if (everyMs) setInterval(() => document.hidden || load(), everyMs);
  root.setAttribute("aria-busy", "true");
  return { load, forget: () => forget(view) };
}

// Show nothing of what was shown: something else is asked for.
function forget(view) {
  view.shownAt = null;
  view.forgotten = view.reading !== null;
  only(view, "loading");
  view.root.setAttribute("aria-busy", "true");
}

async function reload(view) {
  try {
    const count = await view.read();
    if (view.forgotten) return;
    view.shownAt = Date.now();
    only(view, count ? "list" : "empty");
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    if (view.forgotten) return;
    failed(view, fault);
  }
  view.root.removeAttribute("aria-busy");
}

function failed(view, fault) {
  if (view.shownAt === null) {
    only(view, "fault");
    say(view.find("why"), whyNot(fault));
    return;
  }
  view.find("stale").hidden = false;
  view.find("list").classList.add("is-stale");
  say(view.find("age"), t("stale", { at: clock(view.shownAt), why: whyNot(fault) }));
}

function only(view, name) {
  for (const part of ["loading", "fault", "stale", "empty", "list"]) view.find(part).hidden = part !== name;
  view.find("list").classList.remove("is-stale");
}

// Say why something was not answered, and what to do.
export function whyNot(fault) {
  if (fault.status >= 500) return t("fault_server");
  return t(KNOWN.has(fault.status) ? `fault_${fault.status}` : "fault_other");
}
