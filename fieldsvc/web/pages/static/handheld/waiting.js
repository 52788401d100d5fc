// What a screen of the day shows while the day is still loading: nothing definite, for it might be false a moment later.
import { say } from "../base.js";
import { el } from "./dom.js";

/**
 * Tell whether a screen has to wait for the answer of the service: without a sheet and the services nothing can be said; with
 * kept ones only what is not on the sheet may still come.
 */
export function isAwaited({ day, services }, { stop_id: stop, visit_id: visit, pouch_id: pouch }) {
  if (day.answered) return false;
  if (!day.sheet || !services) return true;
  const subject = visit ? `visit/${visit}` : pouch ? `pouch/${pouch}` : null;
  return Boolean((stop && !day.stop(stop)) || (subject && !day.taskOf(subject)));
}

/** Show that the day is coming; `then()` is called once it is there. Returns what ends the waiting. */
export function showWaiting(root, { ctx, params, then }) {
  root.setAttribute("aria-busy", "true");
  root.append(...Array.from({ length: 3 }, () => el("p", { class: "skeleton skeleton--row", "aria-hidden": "true" })));
  const end = ctx.day.listen(() => isAwaited(ctx, params) || (end(), then()));
  return end;
}

/** Wait until this phone has a sheet, or knows that there is none. */
export function dayIsThere(day) {
  const isThere = () => Boolean(day.sheet || day.answered);
  if (isThere()) return Promise.resolve();
  return new Promise((resolve) => {
    const end = day.listen(() => isThere() && (end(), resolve()));
  });
}
