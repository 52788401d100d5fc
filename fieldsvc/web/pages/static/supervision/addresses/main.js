// Address changes that wait for a person: one after the other, by buttons or by j and k, with the points on the map.

import { Fault, get, getAll, send } from "../api.js";
import { clock, config, t } from "../words.js";
import { $, announce, el, press, say } from "../dom.js";
import { five, whyNot } from "../board/five.js";
import { draw, feature, openMap } from "../board/map.js";
import { stopOf, between, trace } from "../board/trace.js";
import { count, street } from "../board/told.js";
import { needsPlace, placeOf, written } from "./judging.js";
import { reportCard } from "./report.js";

const EVERY_MS = 60000;
const [OLD, NEW] = [3, 2];
const site = config.site ? `&site=${encodeURIComponent(config.site)}` : "";
const page = { state: "review", reports: [], at: 0, documents: new Map(), rounds: [], chosen: {}, decided: new Map(), map: null };
const list = five($("reports"), read, { everyMs: EVERY_MS });

begin();

function begin() {
  for (const button of document.querySelectorAll("[data-state]")) button.addEventListener("click", () => choose(button.dataset.state));
  $("earlier").addEventListener("click", () => step(-1));
  $("later").addEventListener("click", () => step(1));
  $("reports").addEventListener("keydown", (event) => {
    const by = { j: 1, k: -1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    event.preventDefault();
    step(by);
  });
  list.load();
  openMap([]).then((view) => {
    page.map = view;
    window.fieldsvcBoard = { map: view?.map };
    drawMap();
  });
}

function choose(state) {
  page.state = state;
  page.at = 0;
  say($("reports-title"), document.querySelector(`[data-state="${state}"]`).textContent);
  showNone(state);
  for (const button of document.querySelectorAll("[data-state]")) button.setAttribute("aria-pressed", String(button.dataset.state === state));
  list.forget();
  list.load();
}

// What is said where there is none: the page's own words for what waits, others for what is over.
function showNone(state) {
  const [title, next] = $("reports").querySelectorAll('[data-five="empty"] > *');
  page.none ??= [title.textContent, next.textContent];
  const words = state === "review" ? page.none : [t("report_none"), t("report_none_next")];
  say(title, words[0]);
  say(next, words[1]);
}

async function read() {
  const { state } = page;
  const open = page.reports[page.at]?.report_id;
  const found = await getAll(`/v1/address-changes?state=${state}&limit=500${site}`, "address_changes");
  if (state !== page.state) return 1;
  const busy = open && $("report").contains(document.activeElement) && $("reason")?.value;
  page.reports = state === "review" ? found : found.reverse();
  page.at = Math.max(0, page.reports.findIndex(({ report_id: id }) => id === open));
  if (!busy) show();
  return page.reports.length;
}

function step(by) {
  const to = Math.min(page.reports.length - 1, Math.max(0, page.at + by));
  if (to === page.at) return;
  page.at = to;
  show();
  $("report-title")?.focus();
}

function show() {
  const report = page.reports[page.at];
  page.chosen = {};
  showQueue();
  if (!report) return;
  showReport();
  readRounds(report);
}

function showQueue() {
  say($("where"), page.reports.length ? t("report_of", { n: page.at + 1, all: page.reports.length }) : "");
  $("earlier").disabled = page.at === 0;
  $("later").disabled = page.at >= page.reports.length - 1;
  $("others").replaceChildren(...page.reports.map((report, n) => el("li", {}, press(`${t(`change_${report.change}`)} · ${street(written(report.before.address) ?? report.before.planned_address)}`, () => {
    page.at = n;
    show();
    $("report-title").focus();
  }, { "aria-current": n === page.at ? "true" : null }))));
}

function showReport() {
  const report = page.reports[page.at];
  const { chosen } = page;
  const stops = stopsOf(chosen.round).map((stop) => ({ ...stop, name: street(stop.address) || t("stop_n", { n: stop.sequence }) }));
  $("report").replaceChildren(reportCard(report, { stopName, rounds: page.rounds, stops, chosen, onRound, onStop, onAccept, onReject }));
  drawMap();
}

// Read the rounds that the report is about; where a place must be chosen, also which rounds there are.
async function readRounds(report) {
  try {
    await Promise.all([report.before.round_id, report.after.placement?.round_id].filter(Boolean).map(readRound));
    const own = page.documents.get(report.before.round_id)?.[0]?.properties.site ?? config.site;
    if (needsPlace(report) && own) page.rounds = (await get(`/v1/rounds?site=${encodeURIComponent(own)}`)).features.map(({ properties }) => properties.round_id);
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
  }
  if (page.reports[page.at] === report && !$("report").contains(document.activeElement)) showReport();
  else drawMap();
}

async function readRound(id) {
  if (!page.documents.has(id)) page.documents.set(id, (await get(`/v1/rounds/${encodeURIComponent(id)}`)).features);
}

function stopsOf(round) {
  const points = (page.documents.get(round) ?? []).filter(({ geometry }) => geometry.type === "Point");
  return points.map(({ geometry, properties }) => ({ ...stopOf(properties), place: geometry.coordinates }));
}

function stopName(round, id) {
  const stop = stopsOf(round).find((each) => each.id === id);
  return stop ? street(stop.address) || t("stop_n", { n: stop.sequence }) : t("stop_unknown");
}

async function onRound(round) {
  page.chosen = { round };
  if (round) await readRound(round).catch(() => null);
  showReport();
  $("stop")?.focus();
}

function onStop(stop) {
  page.chosen = { ...page.chosen, stop };
  showReport();
  $("stop")?.focus();
}

function onAccept(report, reason) {
  const stop = stopsOf(page.chosen.round).find(({ id }) => id === page.chosen.stop);
  const place = needsPlace(report) ? { place: placeOf(page.chosen.round, stop, report.after.placement) } : {};
  return decide(report, "confirm", { ...place, ...(reason ? { reason } : {}) });
}

function onReject(report, reason) {
  return decide(report, "reject", reason ? { reason } : {});
}

async function decide(report, word, body) {
  try {
    await send(`/v1/address-changes/${encodeURIComponent(report.report_id)}/${word}`, { ...body, seen_as: report.state });
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    say($("decide-fault"), ["place_needed", "report_withdrawn", "decided_meanwhile"].includes(fault.code) ? t(`fault_${fault.code}`) : whyNot(fault));
    return;
  }
  settle();
  const words = t(`report_done_${word}`, { at: clock(Date.now()) });
  say($("decide-fault"), "");
  say($("decided"), words);
  $("decided").hidden = false;
  announce(words);
  page.documents.clear();
  await list.load();
  ($("report-title") ?? $("reports-title")).focus();
}

// What is decided takes no second decision while the next report is read.
function settle() {
  $("reason").value = "";
  for (const each of $("report").querySelectorAll("button, textarea, select")) each.disabled = true;
}

// The old point, the new one, and the two stops between which it comes.
function drawMap() {
  const report = page.reports[page.at];
  if (!page.map || !report) return;
  const { placement } = report.after;
  const old = stopsOf(report.before.round_id).find(({ id }) => id === report.before.stop_id);
  const chosen = stopsOf(page.chosen.round).find(({ id }) => id === page.chosen.stop);
  const next = placement?.round_id ? stopsOf(placement.round_id).filter(({ id }) => [placement.after_stop_id, placement.before_stop_id].includes(id)) : [];
  const way = next.length === 2 ? between(trace(page.documents.get(placement.round_id)), next[0].id, next[1].id) : null;
  const features = [
    ...(way ? [feature("line", way, { tone: NEW })] : []),
    ...[...next, ...(chosen ? [chosen] : [])].map(({ place }) => feature("stop", place, { tone: NEW })),
    ...(old ? [feature("head", old.place, { tone: OLD, label: t("map_old") })] : []),
    ...(placement?.lat ? [feature("head", [placement.lon, placement.lat], { tone: NEW, label: t("map_new") })] : []),
  ];
  draw(page.map, features, { fit: features.length > 0 });
  $("map-words").textContent = [old ? t("map_has_old") : t("map_no_old"), placement?.lat ? t("map_has_new") : t("map_no_new"), count("map_next", next.length)].join(" ");
}
