// The rounds without a carrier, each with what presses on it.

import { glyph } from "../shapes.js";
import { clock, t } from "../words.js";
import { el } from "../dom.js";
import { count, street } from "../board/told.js";

const SHOWN = 6;

// `known` holds what was read of the stops of runs; a run that is not in it yet says so.
export function missingItem({ run, row, why }, known) {
  const press = known.get(run.run_id);
  return el("li", { class: "missing", "data-run": run.run_id, "data-why": why },
    el("h3", {}, glyph(why === "late" ? "planned" : why), el("span", {}, t("morning_round", { round: run.round_id })), el("span", { class: "muted name" }, placeName(run))),
    el("p", { class: "missing__why" }, reason(run, row, why)),
    press ? facts(run, press) : el("p", { class: "hint" }, t("morning_reading")),
    press?.timed.length ? timed(press.timed) : null,
  );
}

function reason(run, row, why) {
  const carrier = row?.carrier ?? run.carrier;
  if (why === "late") return t("morning_late", { carrier: carrier ?? t("nobody"), at: row?.starts_at ? localClock(row.starts_at) : t("morning_usual") });
  const who = carrier && row?.absence ? t(`morning_away_${row.absence}`, { carrier }) : t("morning_nobody");
  return why === "not_served" ? `${who} ${t("morning_not_served")}` : who;
}

function facts(run, { tasks, timed: hours }) {
  const parts = [count("stops", run.stops), count("tasks_open", tasks)];
  parts.push(hours.length ? count("timed", hours.length) : t("timed_none"));
  return el("p", { class: "missing__facts" }, parts.join(" · "));
}

function timed(stops) {
  const rows = stops.slice(0, SHOWN).map((stop) => el("li", {}, el("b", {}, t("before", { at: clock(stop.window_until) })), ` ${t("timed_task")} · ${street(stop.address) || t("stop_n", { n: stop.sequence })}`));
  if (stops.length > SHOWN) rows.push(el("li", { class: "muted" }, count("and_more", stops.length - SHOWN)));
  return el("ul", { class: "missing__timed" }, rows);
}

// The name of a round without the town and the number that stand before it.
export function placeName(run) {
  const mark = `${run.round_id}: `;
  const at = (run.name ?? "").indexOf(mark);
  return at < 0 ? (run.name ?? "") : run.name.slice(at + mark.length);
}

function localClock(text) {
  const [hour, minute] = text.split(":");
  return t("local_clock", { h: Number(hour), m: minute });
}
