// One alert as it stands in the queue: what happened, where, since when, who has it, what to do next, and the two things to do.

import { glyph } from "../shapes.js";
import { ago, clock, config, moment, t } from "../words.js";
import { el, press } from "../dom.js";
import { count, roundOf, shortDay, street } from "../board/told.js";
import { kindKey } from "./queue.js";

// `names(to)` says who somebody is; `onTake(alert, comment)`, `onAssign(alert, to, comment)`, `onOpen(id | null)`.
export function alertItem(alert, more) {
  const { open, now } = more;
  const age = Math.max(0, (now - Date.parse(alert.raised_at)) / 1000);
  return el("li", { class: "alert", "data-alert": alert.id, "data-level": alert.level, "data-state": alert.state },
    el("h3", {}, glyph(alert.level === "urgent" ? "alert" : "uncovered"), el("span", {}, t(`kind_${kindKey(alert.kind)}`)), el("span", { class: "alert__level" }, t(`level_${alert.level}`))),
    el("p", { class: "alert__where" }, where(alert)),
    alert.note ? el("p", {}, alert.note) : null,
    el("p", { class: "muted alert__since", title: moment(alert.raised_at) }, [`${clock(alert.raised_at)} (${ago(age)})`, ...standing(alert, more)].join(" · ")),
    alert.comment ? el("p", { class: "alert__comment" }, t("alert_comment", { comment: alert.comment })) : null,
    alert.state === "settled" ? null : el("p", { class: "alert__next" }, t(`next_${kindKey(alert.kind)}`)),
    alert.state === "open" ? todo(alert, more) : null,
    open ? form(alert, more) : null,
  );
}

// Where it is: the round, the carrier and the address, as far as they are known; never what a timed task is.
export function where(alert) {
  const parts = [];
  if (alert.run_id) parts.push(onRound(alert.run_id));
  if (alert.carrier) parts.push(alert.carrier);
  if (alert.address) parts.push(street(alert.address));
  else if (alert.place) parts.push(t("alert_at_place", { lat: alert.place.lat.toFixed(5), lon: alert.place.lon.toFixed(5) }));
  if (alert.site && !config.site) parts.push(alert.site);
  return parts.join(" · ");
}

function onRound(runId) {
  const [round, day] = [roundOf(runId), runId.slice(4, 14)];
  return day === config.today ? t("morning_round", { round }) : t("alert_on_round", { round, day: shortDay(day) });
}

function standing(alert, { names }) {
  const found = [];
  if (alert.ids.length > 1) found.push(count("alert_same", alert.ids.length - 1));
  if (alert.told) found.push(t("alert_told", { n: alert.rung + 1 }));
  if (alert.assigned_to && alert.state === "open") found.push(t("alert_assigned", { name: names(alert.assigned_to) }));
  if (alert.acknowledged_at) found.push(t("alert_taken_at", { at: clock(alert.acknowledged_at), name: names(alert.acknowledged_by) }));
  if (alert.settled_at) found.push(t("alert_settled_at", { at: clock(alert.settled_at) }));
  return found;
}

function todo(alert, { open, onOpen, onTake }) {
  const show = alert.run_id ? el("a", { class: "button button--quiet button--small", href: `/supervision#${encodeURIComponent(roundOf(alert.run_id))}` }, t("alert_show_round")) : null;
  const take = press(t("alert_take_it"), () => onTake(alert, null), { kind: "primary", "data-do": "take" });
  return el("div", { class: "buttons" }, take, press(t("alert_more"), () => onOpen(open ? null : alert.id), { "aria-expanded": String(open), "data-do": "more" }), show);
}

function form(alert, { people, desks, onTake, onAssign }) {
  const comment = el("textarea", { id: "comment", rows: 2, maxlength: 280 });
  const choose = el("select", { id: "assign-to" }, el("option", { value: "" }, t("alert_nobody_chosen")),
    people.length ? el("optgroup", { label: t("alert_people") }, people.map((each) => el("option", { value: each.account_id }, each.name))) : null,
    desks.length ? el("optgroup", { label: t("alert_desks") }, desks.map((each) => el("option", { value: each.to }, each.name))) : null,
  );
  const said = () => comment.value.trim() || null;
  const assign = press(t("alert_assign"), () => choose.value && onAssign(alert, choose.value, said()), { disabled: true, "data-do": "assign" });
  choose.addEventListener("change", () => (assign.disabled = !choose.value));
  return el("div", { class: "alert__form" },
    el("div", { class: "field" }, el("label", { for: "comment" }, t("alert_comment_label")), comment),
    el("div", { class: "buttons" }, press(t("alert_take_with"), () => onTake(alert, said()), { "data-do": "take-with" })),
    el("div", { class: "field" }, el("label", { for: "assign-to" }, t("alert_assign_label")), choose),
    el("div", { class: "buttons" }, assign),
  );
}
