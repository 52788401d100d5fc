// The proposal: who takes which piece, what it costs, which hours hold, and what nobody can take.

import { clock, t } from "../words.js";
import { badge, el } from "../dom.js";
import { count, duration, listed, roundOf, street } from "../board/told.js";
import { outcome, sums, takers } from "./cover.js";

// Say what a proposal comes to, in one sentence or two.
export function summary(proposal) {
  const sum = sums(proposal);
  if (!proposal.pieces.length) return t("cover_nobody");
  const parts = [count("cover_sum", sum.takers, { stops: count("stops", sum.stops), added: duration(sum.added) })];
  parts.push(sum.overtime >= 1 ? t("cover_overtime", { n: duration(sum.overtime) }) : t("cover_no_overtime"));
  if (sum.kept + sum.missed) parts.push(t("cover_windows", { kept: sum.kept, all: sum.kept + sum.missed }));
  parts.push(sum.left ? count("cover_left", sum.left) : t("cover_nothing_left"));
  return parts.join(" ");
}

// `names(runId)` tells of a run's stops: (stopId) → "point 12, 3 rue du Moulin".
export function takerItem(taker, names) {
  const more = taker.overtime >= 1 ? t("taker_overtime", { n: duration(taker.overtime) }) : t("taker_no_overtime");
  return el("li", { class: "taker", "data-run": taker.run },
    el("h3", {}, badge(taker.letter, taker.tone % 10), el("span", {}, taker.carrier ?? t("nobody")), el("span", { class: "muted name" }, t("taker_own", { round: roundOf(taker.run) }))),
    el("p", { class: "taker__sum" }, el("b", {}, t("taker_added", { n: duration(taker.added) })), ` · ${more}`),
    el("ul", { class: "taker__pieces" }, taker.pieces.map((piece) => pieceItem(piece, names))),
  );
}

function pieceItem(piece, names) {
  const of = names(piece.run_id);
  const where = { round: roundOf(piece.run_id), from: of(piece.from_stop), to: of(piece.to_stop) };
  const single = piece.stop_ids.length <= 1;
  const what = piece.stop_ids.length ? count("piece", piece.stop_ids.length, where) : t("piece_task", where);
  const when = piece.before_stop ? t("piece_before", { stop: names(piece.to_run)(piece.before_stop), at: clock(piece.starts_at) }) : t("piece_after", { at: clock(piece.starts_at) });
  return el("li", { "data-stops": piece.stop_ids.length },
    el("p", {}, what, single ? "" : el("span", { class: "muted" }, ` ${t("piece_from_to", where)}`)),
    el("p", { class: "muted" }, `${when} · ${duration(piece.minutes)}`),
    piece.critical.filter(({ window }) => window).map(windowLine),
    el("p", { class: "piece__marks" }, marks(piece)),
  );
}

function marks(piece) {
  const words = [piece.known_face ? t("face_known") : t("face_new")];
  if (!piece.qualifications_ok) words.push(t("not_trained"));
  return words.join(" · ");
}

function windowLine({ window, expected_at: at, in_time: inTime, carrier }) {
  const word = inTime && at ? t("window_kept", { until: clock(window.until), at: clock(at) }) : t(inTime ? "window_kept_sometime" : "window_missed", { until: clock(window.until) });
  const face = carrier ? ` ${t(carrier === "usual" ? "visit_usual" : "visit_substitute")}` : "";
  return el("p", { class: `state ${inTime ? "state--ok" : "state--late"} piece__window` }, word + face);
}

export function undoneItem(line, names) {
  const of = names(line.run_id);
  const where = line.stops.length ? count("undone_stops", line.stops.length, { round: roundOf(line.run_id), from: of(line.stops[0]), to: of(line.stops.at(-1)) }) : t("undone_tasks", { round: roundOf(line.run_id), n: line.tasks.length });
  const hours = line.windows.map(({ until }) => t("undone_window", { until: clock(until) }));
  return el("li", { "data-reason": line.reason }, el("span", { class: "state state--late" }, where), el("p", { class: "muted" }, [t(`undone_${line.reason}`), ...hours].join(" ")));
}

// Say whom a confirmation tells what; it cannot be taken back.
export function telling(proposal) {
  const { covered, notServed } = outcome(proposal);
  const names = takers(proposal).map(({ carrier }) => carrier).filter(Boolean);
  const found = [count("tell_sheets", names.length, { names: listed(names) })];
  if (covered.length) found.push(count("tell_covered", covered.length, { rounds: listed(covered.map(roundOf)) }));
  if (notServed.length) found.push(count("tell_not_served", notServed.length, { rounds: listed(notServed.map(roundOf)) }));
  if (proposal.pieces.some(({ critical }) => critical.some(({ carrier }) => carrier))) found.push(t("tell_visits"));
  found.push(t("tell_final"));
  return found;
}

// A stop's name: the street first, where its address is known; the number of the stop otherwise.
export function stopName(stop) {
  if (!stop) return t("stop_unknown");
  return street(stop.address) || t("stop_n", { n: stop.sequence });
}
