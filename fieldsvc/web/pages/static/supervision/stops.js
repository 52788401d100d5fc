// The stops that the selected round has still to serve, each with the time at which it is expected; read again every half minute.

import { Fault, get } from "./api.js";
import { say } from "./dom.js";
import { clock, t } from "./words.js";

const SHOWN = 60;

// `root` is the panel; `ask(path)` adds what the page asks with; `onStops(stops)` gets what was read.
export function makeStops(root, ask) {
  const find = (name) => root.querySelector(`[data-next="${name}"]`);
  return { find, ask, row: null, at: null, onStops() {} };
}

// Show the stops of another row, or read those of the same one again.
export async function readNext(view, row) {
  const { find } = view;
  if (view.row?.id !== row?.id) forget(view);
  view.row = row;
  if (!row) return;
  try {
    const told = await get(view.ask(`/v1/runs/${encodeURIComponent(row.id)}/stops`));
    if (view.row?.id !== row.id) return;
    show(view, told);
    view.onStops(told.stops);
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    if (view.row?.id === row.id) say(find("words"), view.at ? t("next_stale", { at: clock(view.at) }) : t("next_fault"));
  }
}

function forget({ find }) {
  find("list").replaceChildren();
  find("list").hidden = true;
  say(find("words"), t("next_loading"));
  for (const name of ["end", "skipped"]) find(name).parentElement.hidden = true;
}

function show(view, told) {
  const { find } = view;
  view.at = told.at;
  const next = told.stops.filter((stop) => stop.eta_at).sort((one, other) => Date.parse(one.eta_at) - Date.parse(other.eta_at));
  const list = find("list");
  const scrolled = list.scrollTop;
  list.replaceChildren(...next.slice(0, SHOWN).map(entry));
  list.hidden = next.length === 0;
  list.scrollTop = scrolled;
  find("end").parentElement.hidden = !told.end_eta_at;
  if (told.end_eta_at) say(find("end"), expected(told.end_eta_at, told.end_early_at, told.end_late_at));
  find("skipped").parentElement.hidden = told.skipped_candidates === 0;
  say(find("skipped"), t("next_skipped", { n: told.skipped_candidates, open: told.skipped_with_open_tasks }));
  say(find("words"), about(told, next));
}

// Say what the list is, or why there is none.
function about(told, next) {
  if (next.length) return t(next.length > SHOWN ? "next_first" : "next_all", { n: next.length, shown: SHOWN, at: clock(told.at) });
  if (told.state === "ended") return t("next_ended");
  return told.stops.some((stop) => stop.state === "ahead") ? t("next_unknown") : t("next_done");
}

function entry(stop) {
  const made = document.createElement("li");
  made.append(
    part("next__where", street(stop.address) || t("next_stop", { n: stop.sequence })),
    part("next__when", expected(stop.eta_at, stop.eta_early_at, stop.eta_late_at)),
  );
  if (stop.late) made.append(part("next__late", t(`next_late_${stop.late}`, { until: clock(stop.window_until) })));
  return made;
}

// Leave out postcode and town: they are those of the round.
function street(address) {
  return (address ?? "").replace(/[\s,]+\d{5}\s.*$/, "");
}

// 10 h 42 (10 h 35 – 10 h 55)
function expected(at, early, late) {
  return t("next_expected", { at: clock(at), early: clock(early), late: clock(late) });
}

function part(name, words) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = words;
  return made;
}
