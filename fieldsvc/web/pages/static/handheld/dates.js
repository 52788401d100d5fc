// Which day a run is of, told by its name; and whether that is over where this phone is.
import { dayOf } from "./cases.js";

/** The day in a name such as run-2026-11-22-T01; empty where it has none. */
export function dateIn(name) {
  return /\d{4}-\d\d-\d\d/.exec(name ?? "")?.[0] ?? "";
}

/** Whether a run is of a day before today, by this phone's own calendar. */
export function isOver(runId, now = Date.now()) {
  const day = dateIn(runId);
  return day !== "" && day < dayOf(new Date(now));
}
