// One report: before and after with the difference in words, what is known of it, and the decision.

import { clock, has, moment, t } from "../words.js";
import { el, press } from "../dom.js";
import { number, shortDay, dayOf } from "../board/told.js";
import { differing, isPicture, needsPlace, written } from "./judging.js";

// `stops(round)` gives the stops of a round as far as they were read; `rounds` those that may be chosen.
export function reportCard(report, more) {
  const before = written(report.before.address) ?? report.before.planned_address ?? "";
  const after = written(report.after.placement?.normalised) ?? written(report.after.address);
  return el("article", { class: "report", "aria-labelledby": "report-title", "data-report": report.report_id },
    el("h3", { id: "report-title", tabindex: "-1" }, t(`change_${report.change}`)),
    el("p", { class: "muted", title: moment(report.reported_at) }, t("report_when", { day: shortDay(dayOf(report.reported_at)), at: clock(report.reported_at) })),
    comparison(before, after),
    facts(report, more),
    ...(report.state === "review" ? [decision(report, more)] : decided(report)),
  );
}

// What was decided, by whom and when; nobody decided of what was sure from the start.
function decided({ state, decided_at: at, decided_by: by }) {
  const words = el("p", { class: `state ${state === "rejected" ? "state--late" : "state--ok"}` }, t(`report_state_${state}`));
  if (!at) return [words];
  const when = { day: shortDay(dayOf(at)), at: clock(at) };
  const said = by ? t("report_decided", { ...when, name: has(`decider_${by}`) ? t(`decider_${by}`) : by }) : t("report_decided_when", when);
  return [words, el("p", { class: "muted report__decided", title: moment(at) }, said)];
}

function comparison(before, after) {
  if (!after) return el("dl", { class: "compare" }, el("div", {}, el("dt", {}, t("report_now")), el("dd", {}, before)));
  const [one, other] = differing(before, after);
  return el("dl", { class: "compare" },
    el("div", {}, el("dt", {}, t("report_before")), el("dd", {}, one.map((part) => marked(part, "del", "report_gone")))),
    el("div", {}, el("dt", {}, t("report_after")), el("dd", {}, other.map((part) => marked(part, "ins", "report_new")))),
  );
}

// The difference is said, not only shown.
function marked({ words, same }, tag, key) {
  if (same) return `${words} `;
  return [el(tag, {}, el("span", { class: "visually-hidden" }, `${t(key)} `), words), " "];
}

function facts(report, { stopName }) {
  const { placement } = report.after;
  const rows = [["report_confidence", t(`confidence_${report.confidence}`)]];
  if (report.addressee) rows.push(["report_addressee", report.addressee]);
  if (report.before.round_id) rows.push(["report_from_round", t("report_at_stop", { round: report.before.round_id, stop: stopName(report.before.round_id, report.before.stop_id) })]);
  if (placement?.round_id) rows.push(["report_to_round", between(placement, stopName)]);
  else if (report.after.address) rows.push(["report_to_round", t("report_no_round")]);
  if (placement?.cost_m !== undefined && placement?.cost_m !== null) rows.push(["report_cost", t("metres", { n: number(Math.round(placement.cost_m)) })]);
  if (placement?.score !== undefined && placement?.score !== null) rows.push(["report_score", t("percent", { n: Math.round(100 * placement.score) })]);
  if (report.effective_on) rows.push(["report_effective", shortDay(report.effective_on)]);
  if (report.note) rows.push(["report_note", report.note]);
  if (report.consent) rows.push(["report_consent", t("report_consent_given", { day: shortDay(report.consent.on) })]);
  const list = rows.map(([key, words]) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, words)));
  return el("dl", { class: "report__facts" }, list, evidence(report.evidence));
}

function between({ round_id: round, after_stop_id: one, before_stop_id: other }, stopName) {
  const names = { round, one: stopName(round, one), other: stopName(round, other) };
  if (one && other) return t("report_between", names);
  return one ? t("report_last", names) : other ? t("report_first", names) : t("report_round", names);
}

function evidence(found) {
  const all = [found].flat().filter(Boolean);
  if (!all.length) return el("div", {}, el("dt", {}, t("report_evidence")), el("dd", { class: "muted" }, t("report_no_evidence")));
  return el("div", {}, el("dt", {}, t("report_evidence")), el("dd", {}, all.map((each) => (isPicture(each) ? picture(each) : el("p", {}, each)))));
}

// A picture that has not arrived, or is not for this reader, says so in its place.
function picture(sha256) {
  const box = el("p", {}, el("img", { src: `/v1/media/${sha256}`, alt: t("report_picture"), class: "report__picture" }));
  box.firstChild.addEventListener("error", () => box.replaceChildren(t("report_picture_missing")));
  return box;
}

function decision(report, { rounds, stops, chosen, onRound, onStop, onAccept, onReject }) {
  const must = needsPlace(report);
  const reason = el("textarea", { id: "reason", rows: 2, maxlength: 280 });
  const why = () => reason.value.trim() || null;
  const ready = !must || (chosen.round && chosen.stop);
  return el("div", { class: "decide" },
    must ? el("p", { class: "notice notice--warning" }, t(report.after.placement?.ambiguous ? "report_ambiguous" : "report_unplaced")) : null,
    must ? chooser({ rounds, stops, chosen, onRound, onStop }) : null,
    el("div", { class: "field" }, el("label", { for: "reason" }, t("report_reason")), reason),
    el("div", { class: "buttons" },
      press(t("report_accept"), () => onAccept(report, why()), { kind: "primary", disabled: !ready, "data-do": "accept" }),
      press(t("report_reject"), () => onReject(report, why()), { "data-do": "reject" })),
  );
}

function chooser({ rounds, stops, chosen, onRound, onStop }) {
  const option = (value, words, selected) => el("option", { value, selected: selected ? "" : null }, words);
  const round = el("select", { id: "round" }, option("", t("report_choose"), !chosen.round), rounds.map((each) => option(each, t("morning_round", { round: each }), each === chosen.round)));
  const stop = el("select", { id: "stop" }, option("", t("report_choose"), !chosen.stop), stops.map((each) => option(each.id, `${each.sequence} · ${each.name}`, each.id === chosen.stop)));
  round.addEventListener("change", () => onRound(round.value));
  stop.addEventListener("change", () => onStop(stop.value));
  return el("div", { class: "decide__place" },
    el("div", { class: "field" }, el("label", { for: "round" }, t("report_which_round")), round),
    el("div", { class: "field" }, el("label", { for: "stop" }, t("report_after_stop")), stop),
  );
}
