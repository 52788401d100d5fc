// "Who is not back, and what is left": one key or one click there, one key back.

import { Fault, get, getAll } from "../api.js";
import { el, say } from "../dom.js";
import { street } from "../panel/part.js";
import { ago, clock, has, t } from "../words.js";
import { TIMED, kinds, rowsOf, sums } from "./rows.js";

const EVERY_MS = 30000;
const DETAILED = 4; // timed tasks named one by one; the others are counted by kind
const $ = (id) => document.getElementById(id);

// `ask` tells the address to read; `onRuns(runs)` gets what was read, `onSelect(run)` leads to a round.
export function makeNotBack({ ask, onRuns, onSelect }) {
  const view = { root: $("notback"), body: $("notback").querySelector("tbody"), opener: $("open-notback"), at: null, timer: null, ask, onRuns, onSelect };
  view.opener.addEventListener("click", () => toggle(view));
  $("notback-close").addEventListener("click", () => close(view));
  $("notback-print").addEventListener("click", () => print());
  document.addEventListener("keydown", (event) => onKey(view, event));
  return view;
}

export function close(view) {
  if (view.root.hidden) return;
  clearInterval(view.timer);
  swap(view, false);
  view.opener.focus();
}

function onKey(view, event) {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "F8") toggle(view);
  else if (event.key === "Escape" && !view.root.hidden) close(view);
  else return;
  event.preventDefault();
}

function toggle(view) {
  if (!view.root.hidden) return close(view);
  swap(view, true);
  $("notback-title").focus();
  read(view);
  view.timer = setInterval(() => document.hidden || read(view), EVERY_MS);
  return undefined;
}

function swap(view, on) {
  view.root.hidden = !on;
  $("columns").hidden = on;
  view.opener.setAttribute("aria-expanded", String(on));
}

async function read(view) {
  try {
    const { at, runs } = await readAll(view.ask());
    view.at = at;
    view.onRuns(runs);
    show(view, rowsOf(runs, Date.parse(at)));
    $("notback-fault").hidden = true;
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    $("notback-fault").hidden = false;
    say($("notback-words"), view.at ? t("notback_stale", { at: clock(view.at) }) : "");
  }
}

// Read every page: {at, runs}.
export async function readAll(path) {
  const { at, runs, cursor } = await get(path);
  if (!cursor) return { at, runs };
  const url = new URL(path, location.href);
  url.searchParams.set("cursor", cursor);
  return { at, runs: [...runs, ...(await getAll(url.href, "runs"))] };
}

function show(view, rows) {
  $("notback-empty").hidden = rows.length > 0;
  $("notback-scroll").hidden = rows.length === 0;
  const focused = document.activeElement?.closest?.("tr[data-run]")?.dataset.run;
  view.body.replaceChildren(...rows.map((row) => line(view, row)));
  if (focused) view.body.querySelector(`[data-run="${CSS.escape(focused)}"] button`)?.focus();
  const { n, timed, silent } = sums(rows);
  const parts = [t("notback_at", { at: clock(view.at) })];
  if (n) parts.push(t("notback_n", { n }), t("notback_timed", { n: timed }), t("notback_silent", { n: silent }));
  say($("notback-words"), parts.join(" · "));
}

function line(view, row) {
  const pick = el("button", { type: "button", class: "pick", text: row.round, onclick: () => view.onSelect(row.id) });
  const made = el("tr", { dataset: { run: row.id } },
    el("th", { scope: "row", class: "n-round" }, pick, row.name ? el("span", { class: "sub", text: row.name }) : null),
    el("td", {}, el("span", { text: row.carrier ?? t("nobody") })),
    el("td", { class: "n-phone" }, phone(row)),
    el("td", {}, ...expected(row)),
    el("td", { class: "num" }, el("span", { text: row.stops })),
    el("td", { class: "n-left" }, left(row)),
    el("td", { class: "num" }, el("span", { text: row.things || "–" })),
  );
  const heads = view.root.querySelectorAll("thead th"); // a narrow window shows each row as a card, with the heads before its cells
  [...made.cells].forEach((cell, n) => (cell.dataset.label = heads[n].textContent));
  return made;
}

function phone(row) {
  if (row.state === "paused") return el("span", { class: "state state--paused", text: t("state_paused") });
  if (row.silent) return el("span", { class: "state state--silent", text: row.seenAt ? t("signal_lost", { age: ago(row.age) }) : t("ago_never") });
  return el("span", { class: "state state--ok", text: ago(row.age) });
}

function expected(row) {
  if (!row.expectedAt) return [el("span", { class: "muted", text: t("notback_unknown") })];
  const at = row.earlyAt && row.lateAt
    ? t("next_expected", { at: clock(row.expectedAt), early: clock(row.earlyAt), late: clock(row.lateAt) })
    : clock(row.expectedAt);
  const planned = row.endsAt ? t("notback_planned", { at: clock(row.endsAt) }) : "";
  return [el("span", { class: row.late ? "state state--late" : "", text: at }), el("span", { class: "sub", text: planned })];
}

function left(row) {
  if (!row.tasks.length) return el("span", { class: "muted", text: t("notback_no_task") });
  const timed = row.tasks.filter(({ service }) => service === TIMED).slice(0, DETAILED);
  const others = kinds(row.tasks).filter(([kind]) => kind !== TIMED);
  const more = row.timed - timed.length;
  return el("ul", { class: "plain" },
    ...timed.map((task) => el("li", {}, el("span", { class: task.overdue ? "state state--late" : "state" }, el("span", {}, ...timedWords(task))))),
    more > 0 ? el("li", { text: t("notback_more_timed", { n: more }) }) : null,
    others.length ? el("li", { text: others.map(([kind, n, late]) => kindWords(kind, n, late)).join(" · ") }) : null,
  );
}

function timedWords({ window, address, overdue }) {
  const when = window?.until ? [t(overdue ? "task_was_due" : "task_due", { at: clock(window.until) })] : [];
  const what = el("b", { text: [t("service_timed_task"), ...when].join(" · ") });
  return address ? [what, ` · ${street(address)}`] : [what];
}

function kindWords(kind, n, late) {
  const words = t("notback_kind", { kind: t(has(`service_${kind}`) ? `service_${kind}` : "service_other"), n });
  return late ? `${words} ${t("overdue", { n: late })}` : words;
}
