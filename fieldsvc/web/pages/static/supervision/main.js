// The supervision page: what the list, the stream and the alarms say, put into table, map, panel and banner.

import { Fault, get, getAll, post } from "./api.js";
import { sayFault, showAlarms } from "./alarms.js";
import { makeChips, showChips } from "./chips.js";
import { el, say } from "./dom.js";
import { listen } from "./feed.js";
import { keep, remembered } from "./kept.js";
import { makeLayers } from "./layers.js";
import { close as closeNotBack, makeNotBack, readAll } from "./notback/notback.js";
import { askAs, closeReplay, freshen, makePanel, refreshNext, showFollowing, showPanel } from "./panel.js";
import { leave, makePast } from "./past.js";
import { makePrint } from "./print.js";
import { ON_MAP, glyph } from "./shapes.js";
import { counts, empty, filtered, freshness, rows, take, takeAlarms, takeBack, takeList, tells } from "./state.js";
import * as table from "./table.js";
import { clock, config, lasted, stateWord, t } from "./words.js";

const LIST_EVERY_MS = 30000;
const LIST_AT_LEAST_MS = 3000;
const BACK_EVERY_MS = 60000;
const PANEL_EVERY_MS = 1500; // what a customer asks is on the screen within two seconds
const BACK_MOST = 500; // rounds of which it is read who is not back without being asked
const AGES_EVERY_MS = 5000;
const $ = (id) => document.getElementById(id);
const query = config.site ? `?site=${encodeURIComponent(config.site)}` : "";

const page = {
  state: empty(),
  heardAt: Date.now(),
  said: "opening",
  offset: null, // milliseconds by which the server's clock is ahead; what arrives late makes it too small, never too great
  listed: false,
  listedAt: 0,
  paused: false,
  past: null, // what is known of the past day that is shown
  states: new Set(),
  timed: false,
  search: "",
  selected: null,
  announced: new Set(),
  rows: [],
  map: null,
  lib: null,
};
const list = table.makeTable($("rounds"), { onSelect: choose, onSort: () => draw({ reorder: true }) });
const panel = makePanel($("panel"), {
  query,
  onClose() {
    const back = list.rows.get(page.selected)?.button;
    choose(null);
    back?.focus();
  },
  onFollow: setFollowing,
  onReplay: (round, pieces, head) => page.map && page.lib.showReplay(page.map, round, pieces, head),
  runs: (row) => page.rows.filter((each) => each.site === row.site && each.id !== row.id && each.work !== "ended"),
  onChanged: () => readList(true).catch(sayNothing),
});
const chips = makeChips($("chips"), page, () => draw({ reorder: true }));
const notBack = makeNotBack({
  ask: () => `/v1/runs/not-back${query}`,
  onRuns(runs) {
    takeBack(page.state, runs);
    draw();
  },
  onSelect(id) {
    closeNotBack(notBack);
    choose(id, { reveal: true });
    list.rows.get(id)?.button.focus();
  },
});

const past = makePast($("past"), $("past-bar"), { opener: $("open-past"), query, onShow: showDay, onLeave: () => showDay(null) });

begin();

function begin() {
  $("search").addEventListener("input", () => {
    page.search = $("search").value;
    draw({ reorder: true });
  });
  $("pause").addEventListener("click", togglePause);
  $("dense").addEventListener("click", () => setDense($("dense").getAttribute("aria-pressed") !== "true"));
  $("retry").addEventListener("click", loadAll);
  $("show-everything").addEventListener("click", showEverything);
  $("show-all").addEventListener("click", () => page.map && page.lib.showAll(page.map));
  makePrint($("print"), { frame: $("frame"), legend: $("legend-box"), map: () => page.map?.map });
  $("legend").prepend(...ON_MAP.map((state) => el("li", {}, glyph(state), stateWord(state))));
  setDense(remembered("dense") ?? matchMedia("(min-width: 1200px) and (pointer: fine)").matches);
  page.stream = listen(config.live, config.worker, hear);
  addEventListener("online", () => page.stream.hurry());
  document.addEventListener("visibilitychange", () => document.hidden || catchUp());
  setInterval(showFreshness, 1000);
  setInterval(() => document.hidden || draw(), AGES_EVERY_MS);
  setInterval(() => document.hidden || readList(), LIST_EVERY_MS);
  setInterval(() => document.hidden || page.paused || page.past || refreshNext(panel), LIST_EVERY_MS);
  setInterval(() => document.hidden || page.paused || page.past || freshen(panel), PANEL_EVERY_MS);
  setInterval(() => document.hidden || readBack(), BACK_EVERY_MS);
  loadAll();
}

async function loadAll() {
  $("fault").hidden = true;
  try {
    const [rounds] = await Promise.all([get(`/v1/rounds${query}`), readList(true), readAlarms()]);
    page.selected = page.rows.find((row) => `#${encodeURIComponent(row.round)}` === location.hash)?.id ?? null;
    draw({ reorder: true });
    if (!page.map) await openMap(rounds.features);
    if (page.selected) choose(page.selected);
    await readBack();
  } catch (error) {
    sayWhy(error);
  }
}

async function openMap(rounds) {
  try {
    page.lib = await import("./map.js");
    page.map = await page.lib.makeMap($("map"), {
      maplibre: config.maplibre,
      worker: config.maplibreWorker,
      basemap: config.basemap,
      rounds,
      onSelect: (id) => choose(id, { reveal: true }),
      onFollow: setFollowing,
    });
    window.fieldsvcMap = { places: () => page.lib.places(page.map), map: page.map.map };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.lib.setColours(page.map));
    makeLayers($("layers"), { query, lib: page.lib, map: page.map });
    $("map").classList.add("is-ready");
    draw();
  } catch (error) {
    page.map = null;
    $("map-fault").hidden = false;
    console.warn(error);
  }
}

async function readList(first = false) {
  if (!first && Date.now() - page.listedAt < LIST_AT_LEAST_MS) return;
  page.listedAt = Date.now();
  try {
    takeList(page.state, await getAll(`/v1/runs${query}`, "runs"));
    page.listed = true;
    draw();
  } catch (error) {
    if (first) throw error;
    sayNothing(error);
  }
}

// Who is not back tells who is behind and where a timed task is left; of a whole country it is read only when asked for.
async function readBack() {
  if (page.rows.length > BACK_MOST) return;
  try {
    takeBack(page.state, (await readAll(`/v1/runs/not-back${query}`)).runs);
    draw();
  } catch (error) {
    sayNothing(error);
  }
}

async function readAlarms() {
  takeAlarms(page.state, await getAll(`/v1/alerts?state=open${query.replace("?", "&")}`, "alerts"));
  document.dispatchEvent(new Event("alerts-changed"));
  draw();
}

function hear(message) {
  if (message.age !== undefined) page.heardAt = Math.max(page.heardAt, Date.now() - message.age);
  if (message.kind === "state") {
    page.said = message.state;
    if (message.state === "expired" || message.state === "refused") expired();
    if (message.state === "open") $("expired").hidden = true;
  }
  if (message.kind === "event") {
    const took = take(page.state, message.name, message.data);
    page.offset = page.offset === null ? message.ahead : Math.max(page.offset, message.ahead);
    if (took.unlisted && page.listed) readList();
    if (took.alarms || message.data.a?.length) readAlarms().catch(sayNothing);
    if (took.changed.size) draw();
    if (page.selected && !page.paused && tells(message.data, page.selected)) refreshNext(panel, { soon: true });
  }
  showFreshness();
}

// Draw what is known. A hidden page draws nothing, a paused one only what its reader asks for.
function draw({ reorder = false } = {}) {
  if (!page.listed || document.hidden || (page.paused && !reorder)) return;
  const now = serverNow();
  if (!page.paused) page.rows = rows(page.past ?? page.state, now);
  const shown = filtered(page.rows, page);
  $("list").removeAttribute("aria-busy");
  $("skeleton").hidden = true;
  $("scroll").hidden = shown.length === 0;
  $("empty").hidden = page.rows.length > 0;
  $("no-match").hidden = page.rows.length === 0 || shown.length > 0;
  table.show(list, shown, { reorder });
  const working = page.rows.filter((row) => row.live).length;
  say($("count"), t(shown.length === page.rows.length ? "count" : "count_of", { shown: shown.length, all: page.rows.length, working }));
  showChips(chips, counts(page.rows), page.rows.filter((row) => row.timed).length);
  const selected = page.rows.find((row) => row.id === page.selected) ?? null;
  showPanel(panel, selected);
  showAlarmsNow();
  if (!page.map) return;
  const places = new Map([...page.state.live.values()].map((run) => [run.run_id, [run.lon, run.lat]]));
  page.lib.showRows(page.map, page.rows, places);
}

// Show a past day instead of what is live; nothing: what is live again.
function showDay(day) {
  if (page.paused) togglePause();
  choose(null);
  page.past = day && empty();
  if (day) takeList(page.past, day.runs);
  askAs(panel, day?.query ?? query, Boolean(day));
  $("open-notback").disabled = Boolean(day);
  draw({ reorder: true });
  showFreshness();
}

function choose(id, { reveal = false } = {}) {
  page.selected = page.rows.some((row) => row.id === id) ? id : null;
  const row = page.rows.find((each) => each.id === page.selected) ?? null;
  table.select(list, page.selected, { reveal });
  closeReplay(panel);
  showPanel(panel, row);
  setFollowing(false);
  history.replaceState(null, "", row ? `#${encodeURIComponent(row.round)}` : location.pathname + location.search);
  if (!page.map) return;
  page.lib.select(page.map, row);
  if (row) readStops(row);
}

async function readStops(row) {
  const { features } = await get(`/v1/rounds/${encodeURIComponent(row.round)}${query}`).catch(() => ({ features: [] }));
  if (page.selected !== row.id) return;
  page.lib.showStops(page.map, features.filter(({ geometry }) => geometry.type === "Point"));
}

function setFollowing(on) {
  showFollowing(panel, on);
  if (page.map) page.lib.follow(page.map, on);
}

function showAlarmsNow() {
  const alarms = [...page.state.alarms.values()];
  const fresh = alarms.filter((alarm) => !page.announced.has(alarm.id));
  for (const alarm of fresh) page.announced.add(alarm.id);
  if (fresh.length) say($("announce"), t("alarm_announced", { n: alarms.length }));
  showAlarms($("alarms"), alarms, {
    roundOf: (id) => page.state.listed.get(id)?.round_id ?? page.state.live.get(id)?.round_id ?? null,
    onSelect(id) {
      leave(past);
      choose(id, { reveal: true });
    },
    onTake: takeAlarmOver,
  });
}

async function takeAlarmOver(id) {
  try {
    await post(`/v1/alerts/${encodeURIComponent(id)}/ack`);
    page.state.alarms.delete(id);
    document.dispatchEvent(new Event("alerts-changed"));
    draw({ reorder: page.paused });
    say($("announce"), t("alarm_taken"));
  } catch (error) {
    if (error.status === 401) expired();
    else sayFault($("alarms"), id);
  }
}

function showEverything() {
  page.states.clear();
  page.timed = false;
  $("search").value = page.search = "";
  draw({ reorder: true });
  $("search").focus();
}

function togglePause() {
  page.paused = !page.paused;
  $("pause").setAttribute("aria-pressed", String(page.paused));
  if (page.paused) page.pausedAt = serverNow();
  else draw();
  showFreshness();
}

function showFreshness() {
  const silence = (Date.now() - page.heardAt) / 1000;
  const at = page.state.at;
  const level = page.said === "expired" || page.said === "refused" ? "silent" : freshness(silence);
  document.body.dataset.fresh = page.past && level === "live" ? "stale" : level;
  $("pause").disabled = Boolean(page.past);
  let words = at ? t("fresh_live", { at: clock(at) }) : t("fresh_opening");
  if (level !== "live") words = t(at ? `fresh_${level}` : "fresh_never", { age: lasted(silence), at: at ? clock(at) : "" });
  else if (page.past) words = t("fresh_past");
  else if (page.said === "lost") words = t("fresh_lost", { at: at ? clock(at) : "" });
  else if (page.paused) words = t("fresh_paused", { at: clock(page.pausedAt) });
  say($("fresh"), words);
}

function serverNow() {
  return Date.now() + (page.offset ?? 0);
}

function catchUp() {
  showFreshness();
  draw();
  readList().catch(sayNothing);
  if (!page.paused && !page.past) refreshNext(panel);
}

function expired() {
  const box = $("expired");
  if (box.hidden) {
    box.hidden = false;
    say($("announce"), box.querySelector("p").textContent);
  }
}

function sayWhy(error) {
  if (!(error instanceof Fault)) throw error;
  if (error.status === 401) {
    expired();
    return;
  }
  $("list").removeAttribute("aria-busy");
  $("skeleton").hidden = true;
  $("fault").hidden = false;
}

function sayNothing(error) {
  if (!(error instanceof Fault)) throw error;
  if (error.status === 401) expired();
}

function setDense(on) {
  $("dense").setAttribute("aria-pressed", String(on));
  $("rounds").classList.toggle("table--dense", on);
  keep("dense", on);
}
