// Who is there today: the table in which an absence is entered by two touches, and taken back by one.

import { t } from "../words.js";
import { $, el, press } from "../dom.js";

const KINDS = JSON.parse($("kinds").textContent);

// `onAway(person, kind, until)`; kind null: is there after all.
export function personRow(person, { open, day, onOpen, onAway, editable }) {
  const away = person.absence;
  const cells = [
    el("th", { scope: "row" }, person.carrier),
    el("td", {}, person.round ?? el("span", { class: "muted" }, t("morning_no_round"))),
    el("td", { class: "people__trained" }, person.qualifications.map(trained).join(" · ")),
    el("td", {}, away ? el("span", { class: "state state--late" }, t(`morning_kind_${away}`)) : t(`morning_duty_${person.duty}`)),
    el("td", { class: "people__do" }, editable ? action(person, { open, onOpen, onAway }) : null),
  ];
  const rows = [el("tr", { "data-carrier": person.carrier, class: away ? "is-away" : "" }, cells)];
  if (open) rows.push(chooser(person, { day, onAway, onOpen }));
  return rows;
}

function action(person, { open, onOpen, onAway }) {
  if (person.absence) return press(t("morning_back"), () => onAway(person, null), { "aria-label": t("morning_back_who", { carrier: person.carrier }) });
  if (person.duty === "at_work" || person.duty === "over") return null;
  return press(t("morning_away"), () => onOpen(open ? null : person), { "aria-expanded": String(open), "aria-label": t("morning_away_who", { carrier: person.carrier }) });
}

// The second touch: what the roster keeps of an absence, and until when.
function chooser(person, { day, onAway, onOpen }) {
  const until = el("input", { type: "date", id: "until", value: day, min: day });
  const choose = (kind) => onAway(person, kind, until.value >= day ? until.value : day);
  const kinds = KINDS.map((kind) => press(t(`morning_kind_${kind}`), () => choose(kind), { "data-kind": kind }));
  const close = press(t("morning_close"), () => onOpen(null), { "data-kind": "close" });
  return el("tr", { class: "people__choose" }, el("td", { colspan: 5 }, el("div", { class: "choose" },
    el("label", { for: "until" }, t("morning_until")), until,
    el("div", { class: "buttons", role: "group", "aria-label": t("morning_kinds", { carrier: person.carrier }) }, kinds, close),
  )));
}

// Note where somebody is in the table and the day they typed, and answer how to lead them back once it is drawn anew.
export function keepPlace(rows) {
  const at = rows.contains(document.activeElement) ? document.activeElement : null;
  const typed = rows.querySelector("#until")?.value;
  const { carrier } = at?.closest("[data-carrier]")?.dataset ?? {};
  const part = at?.dataset.kind ? `[data-kind="${at.dataset.kind}"]` : at?.id && `#${at.id}`;
  return () => {
    const until = rows.querySelector("#until");
    if (until && typed && typed >= until.min) until.value = typed;
    if (at) rows.querySelector(part || `[data-carrier="${CSS.escape(carrier ?? "")}"] button`)?.focus();
  };
}

function trained(name) {
  const known = `trained_${name}`;
  return ["visits", "pouches", "keys", "fridge", "pets", "meters"].includes(name) ? t(known) : name;
}
