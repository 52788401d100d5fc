// The queue of alerts: live by the shared stream, read again when it says that something changed.

import { Fault, get, getAll, send } from "../api.js";
import { listen } from "../feed.js";
import { config, t } from "../words.js";
import { $, announce, el, say } from "../dom.js";
import { five, whyNot } from "../board/five.js";
import { count, dayOf } from "../board/told.js";
import { alertItem } from "./item.js";
import { filtered, kindKey, ordered, together } from "./queue.js";
import { makeSound } from "./sound.js";

const EVERY_MS = 60000;
const PAST_MOST = 200;
const site = config.site ? `&site=${encodeURIComponent(config.site)}` : "";
const page = { state: "open", alerts: [], reason: null, open: null, people: [], desks: [], seen: null };
const sound = makeSound($("sound"));
const list = five($("queue"), read, { everyMs: EVERY_MS });

begin();

function begin() {
  for (const button of document.querySelectorAll("[data-state]")) button.addEventListener("click", () => choose(button.dataset.state));
  for (const id of ["level", "kind"]) $(id).addEventListener("change", draw);
  $("why").addEventListener("submit", (event) => {
    event.preventDefault();
    page.reason = new FormData($("why")).get("reason");
    $("why").hidden = true;
    list.forget();
    list.load();
  });
  listen(config.live, config.worker, ({ kind, data }) => kind === "event" && data.a?.length && refresh());
  get("/v1/colleagues" + site.replace("&", "?")).then(({ people, desks }) => Object.assign(page, { people, desks })).then(draw, () => null);
  list.load();
}

function refresh() {
  document.dispatchEvent(new Event("alerts-changed"));
  if (page.open === null) list.load();
}

function choose(state) {
  page.state = state;
  page.open = null;
  for (const button of document.querySelectorAll("[data-state]")) button.setAttribute("aria-pressed", String(button.dataset.state === state));
  $("why").hidden = state !== "past" || page.reason !== null;
  $("queue").hidden = !$("why").hidden;
  list.forget();
  if ($("why").hidden) list.load();
}

// Read what is asked for: open ones of any day, as they wait still; taken and settled ones of today; older ones for a reason.
async function read() {
  const { state } = page;
  const today = (alert) => dayOf(alert.raised_at) === config.today;
  if (state === "open") page.alerts = await getAll(`/v1/alerts?state=open&limit=500${site}`, "alerts");
  else if (state === "past") page.alerts = (await get(`/v1/alerts?limit=${PAST_MOST}&reason=${encodeURIComponent(page.reason)}${site}`)).alerts.filter((alert) => !today(alert));
  else page.alerts = (await get(`/v1/alerts?state=${state}&limit=${PAST_MOST}${site}`)).alerts.filter(today);
  if (state !== page.state) return 1;
  $("queue").hidden = false;
  notice();
  draw();
  return page.alerts.length;
}

// Tell of open alerts that were not there before: once in words, and by a sound where somebody wants one.
function notice() {
  if (page.state !== "open") return;
  const ids = new Set(page.alerts.map(({ id }) => id));
  const fresh = page.seen ? page.alerts.filter(({ id }) => !page.seen.has(id)) : [];
  page.seen = ids;
  if (!fresh.length) return;
  announce(count("alert_new", fresh.length, { what: t(`kind_${kindKey(fresh[0].kind)}`) }));
  if (fresh.some(({ level }) => level === "urgent")) sound.ring();
}

function draw() {
  showKinds();
  const shown = ordered(together(filtered(page.alerts, { level: $("level").value, kind: $("kind").value })));
  const more = (alert) => ({ open: page.open === alert.id, now: Date.now(), names, people: page.people, desks: page.desks, onOpen: open, onTake: take, onAssign: assign });
  const held = document.activeElement?.closest?.("[data-alert]")?.dataset.alert;
  const what = document.activeElement?.dataset?.do;
  $("alerts").replaceChildren(...shown.map((alert) => alertItem(alert, more(alert))));
  if (held && what) $("alerts").querySelector(`[data-alert="${CSS.escape(held)}"] [data-do="${what}"]`)?.focus();
  say($("count"), count("alert_count", shown.length, { all: page.alerts.length }));
  $("no-match").hidden = shown.length > 0 || page.alerts.length === 0;
}

function showKinds() {
  const chosen = $("kind").value;
  const kinds = [...new Set(page.alerts.map(({ kind }) => kind))].sort();
  $("kind").replaceChildren(el("option", { value: "" }, t("alert_every_kind")), ...kinds.map((kind) => el("option", { value: kind }, t(`kind_${kindKey(kind)}`))));
  $("kind").value = kinds.includes(chosen) ? chosen : "";
}

function names(to) {
  if (!to) return "";
  const known = page.people.find(({ account_id: id }) => id === to) ?? page.desks.find((desk) => desk.to === to);
  return known?.name ?? t("alert_colleague");
}

function open(id) {
  page.open = id;
  draw();
  if (id) $("comment")?.focus();
}

function take(alert, comment) {
  return tell(alert, "ack", comment ? { comment } : {}, "alert_taken_said");
}

function assign(alert, to, comment) {
  return tell(alert, "assign", comment ? { to, comment } : { to }, "alert_assigned_said", { name: names(to) });
}

// Every alert of the matter is told the same; the first fault ends it, and is said where the buttons are.
async function tell(alert, what, body, words, more = {}) {
  const answers = [];
  try {
    for (const id of alert.ids) answers.push(await send(`/v1/alerts/${encodeURIComponent(id)}/${what}`, body));
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    say($("alert-fault"), fault.code === "settled" ? t("alert_already") : whyNot(fault));
    return;
  }
  const first = what === "ack" ? answers.find(({ acknowledged_by: by }) => by !== config.me) : null; // who was faster has it
  const result = first ? t("alert_others", { name: names(first.acknowledged_by) }) : t(words, more);
  page.open = null;
  say($("alert-fault"), first ? result : "");
  announce(result);
  await list.load();
  refresh();
  if (!$("alerts").contains(document.activeElement)) ($("alerts").querySelector("[data-do]") ?? $("queue-title")).focus();
}
