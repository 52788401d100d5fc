// The national page: counts of every site, read again every ten seconds, as a table and as shapes on a map.

import { Fault, get } from "../api.js";
import { el, say } from "../dom.js";
import { ON_MAP, SHAPES, glyph } from "../shapes.js";
import { freshness } from "../state.js";
import { ago, clock, config, lasted, number, stateWord, t } from "../words.js";
import { filtered, rowsOf, totals } from "./sites.js";
import { makeTable, show } from "./table.js";

const EVERY_MS = 10000;
const $ = (id) => document.getElementById(id);
const page = { rows: [], at: null, heardAt: Date.now(), states: new Set(), search: "", map: null, lib: null };
const table = makeTable($("sites"), { onSort: () => draw({ reorder: true }) });

begin();

function begin() {
  $("search").addEventListener("input", () => {
    page.search = $("search").value;
    draw({ reorder: true });
  });
  $("retry").addEventListener("click", read);
  $("show-everything").addEventListener("click", showEverything);
  $("legend").append(...[...ON_MAP, "uncovered"].map((state) => el("li", {}, glyph(state), stateWord(state))));
  setInterval(showFreshness, 1000);
  setInterval(() => document.hidden || read(), EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || read());
  read();
}

async function read() {
  try {
    const told = await get("/v1/overview");
    page.rows = rowsOf(told);
    page.at = told.t;
    page.heardAt = Date.now();
    $("fault").hidden = $("expired").hidden = true;
    draw();
    if (!page.map && !page.lib) await openMap();
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    $("expired").hidden = fault.status !== 401;
    $("fault").hidden = fault.status === 401 || page.at !== null; // with figures on the screen the freshness says it
    if (page.at === null) settled();
  }
  showFreshness();
}

async function openMap() {
  try {
    page.lib = await import("./map.js");
    const { maplibre, maplibreWorker: worker, basemap } = config;
    page.map = await page.lib.makeMap($("map"), { maplibre, worker, basemap, rows: page.rows, onSelect: open });
    window.fieldsvcMap = { map: page.map.map };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.lib.setColours(page.map));
    draw();
    $("map").classList.add("is-ready");
  } catch (error) {
    $("map-fault").hidden = false;
    console.warn(error);
  }
}

function open(site) {
  location.assign(`/supervision?site=${encodeURIComponent(site)}`);
}

function draw({ reorder = false } = {}) {
  if (page.at === null) return;
  const shown = filtered(page.rows, page);
  settled();
  $("scroll").hidden = shown.length === 0;
  $("empty").hidden = page.rows.length > 0;
  $("no-match").hidden = page.rows.length === 0 || shown.length > 0;
  show(table, shown, { reorder });
  say($("count"), t(shown.length === page.rows.length ? "national_count" : "national_count_of", { shown: number(shown.length), all: number(page.rows.length) }));
  showTotals(totals(shown));
  showChips();
  if (page.map) page.lib.showRows(page.map, shown);
}

function settled() {
  $("list").removeAttribute("aria-busy");
  $("skeleton").hidden = true;
}

function showTotals(sums) {
  for (const place of document.querySelectorAll("[data-total]")) say(place, number(sums[place.dataset.total]));
}

function showChips() {
  const found = {};
  for (const { state } of page.rows) found[state] = (found[state] ?? 0) + 1;
  const box = $("chips");
  if (!box.children.length) box.append(...Object.keys(SHAPES).filter((state) => state !== "hazard").map(chip));
  for (const each of box.children) {
    const { state } = each.dataset;
    each.hidden = !found[state] && !page.states.has(state);
    each.setAttribute("aria-pressed", String(page.states.has(state)));
    say(each.querySelector(".n"), number(found[state] ?? 0));
  }
}

function chip(state) {
  const toggle = () => {
    if (!page.states.delete(state)) page.states.add(state);
    draw({ reorder: true });
  };
  return el("button", { type: "button", class: "chip", dataset: { state }, onclick: toggle }, glyph(state), ` ${stateWord(state)} `, el("b", { class: "n" }));
}

function showEverything() {
  page.states.clear();
  $("search").value = page.search = "";
  draw({ reorder: true });
  $("search").focus();
}

function showFreshness() {
  const silence = (Date.now() - page.heardAt) / 1000;
  const level = freshness(silence);
  document.body.dataset.fresh = level;
  const at = page.at && clock(page.at);
  let words = at ? t("national_fresh", { at, age: ago(silence) }) : t("fresh_opening");
  if (level !== "live") words = t(at ? `fresh_${level}` : "fresh_never", { age: lasted(silence), at: at ?? "" });
  say($("fresh"), words);
}
