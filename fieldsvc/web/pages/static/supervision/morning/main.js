// The morning: who is missing, what presses on their rounds, who could take which piece, and one confirmation.

import { Fault, get, getAll, send } from "../api.js";
import { config, t } from "../words.js";
import { $, announce, el, press, say } from "../dom.js";
import { five, whyNot } from "../board/five.js";
import { draw, openMap } from "../board/map.js";
import { count, listed, roundOf, shiftDay, shortDay } from "../board/told.js";
import { covered, days, missing, people, pressing } from "./day.js";
import { makeCovering } from "./covering.js";
import { missingItem } from "./missing.js";
import { keepPlace, personRow } from "./people.js";
import { missingFeatures, pieceFeatures } from "./pieces.js";

const EVERY_MS = 30000;
const site = config.site ? `site=${encodeURIComponent(config.site)}` : "";
const page = { day: config.today, read: null, known: new Map(), open: null, lines: new Map(), drawn: "", map: null, fits: true };
const list = five($("missing"), readDay, { everyMs: EVERY_MS });
const covering = makeCovering({ dayOf: () => page.day, reload: readAgain, onShow: showProposed, onFault: complain });

begin();

function begin() {
  for (const button of document.querySelectorAll("[data-day]")) button.addEventListener("click", () => choose(Number(button.dataset.day)));
  showDay();
  list.load();
  get(`/v1/rounds?${site}`).then(async ({ features }) => {
    page.lines = new Map(features.map((each) => [each.properties.round_id, each]));
    page.map = await openMap(features);
    window.fieldsvcBoard = { map: page.map?.map };
    drawMap();
  }).catch(() => ($("map-fault").hidden = false));
}

function choose(by) {
  page.day = shiftDay(config.today, by);
  page.read = page.open = null; // nothing of another day stands under this one's name
  page.drawn = "";
  $("people-rows").replaceChildren();
  page.known.clear();
  page.fits = true;
  covering.drop();
  $("done").hidden = true;
  showDay();
  list.forget();
  list.load();
}

function showDay() {
  for (const button of document.querySelectorAll("[data-day]")) button.setAttribute("aria-pressed", String(shiftDay(config.today, Number(button.dataset.day)) === page.day));
  say($("day"), shortDay(page.day));
}

// Read the day; without a site there are only the sites to choose from.
async function readDay() {
  const day = page.day;
  const [runs, roster] = await Promise.all([getAll(`/v1/runs?day=${day}&limit=1000&${site}`, "runs"), readRoster(day)]);
  if (day !== page.day) return 1;
  page.read = { runs, roster };
  show();
  readPressing();
  return config.site ? missing(page.read).length : runs.length;
}

async function readRoster(day) {
  const path = `/v1/roster?from=${day}&until=${day}&limit=1000&${site}`;
  const first = await get(path);
  return first.cursor ? { ...first, rows: await getAll(path, "rows") } : first;
}

// Read what presses on each missing round, one after the other.
async function readPressing() {
  const { read } = page;
  for (const { run } of missing(read)) {
    if (page.known.has(run.run_id)) continue;
    try {
      page.known.set(run.run_id, pressing((await get(`/v1/runs/${encodeURIComponent(run.run_id)}/stops?${site}`)).stops));
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      return;
    }
    if (page.read !== read) return;
    show();
  }
}

function show() {
  const gone = missing(page.read);
  if (!config.site) return showSites();
  $("missing-list").replaceChildren(...gone.map((each) => missingItem(each, page.known)));
  const others = covered(page.read).map(({ round_id: round }) => round);
  $("covered").hidden = others.length === 0;
  say($("covered"), others.length ? count("morning_covered", others.length, { rounds: listed(others) }) : "");
  say($("missing-count"), gone.length ? count("morning_missing", gone.length) : "");
  showAsk();
  showPeople();
  drawMap();
  return undefined;
}

// Somebody of every site chooses one first.
function showSites() {
  const sites = [...new Set(page.read.runs.map((run) => run.site))].sort();
  $("missing-list").replaceChildren(...sites.map((name) => {
    const gone = missing({ ...page.read, runs: page.read.runs.filter((run) => run.site === name) });
    return el("li", { class: "missing" }, el("h3", {}, el("a", { href: `?site=${encodeURIComponent(name)}` }, name)), el("p", {}, gone.length ? count("morning_missing", gone.length) : t("morning_all_there")));
  }));
  $("people").hidden = true;
}

// Draw who is there anew only when something is different: whoever is in the table keeps their place and what they typed.
function showPeople() {
  const rows = people(page.read);
  const mark = JSON.stringify([page.day, page.open, rows]);
  if (mark === page.drawn) return;
  page.drawn = mark;
  const more = (person) => ({ open: page.open === person.carrier, day: page.day, onOpen: open, onAway: away, editable: true });
  const back = keepPlace($("people-rows"));
  $("people-rows").replaceChildren(...rows.flatMap((person) => personRow(person, more(person))));
  back();
  $("people-table").hidden = rows.length === 0;
  $("people-empty").hidden = rows.length > 0;
}

function open(person) {
  const before = page.open;
  page.open = person?.carrier ?? null;
  showPeople();
  const row = $("people-rows").querySelector(`[data-carrier="${CSS.escape(page.open ?? before ?? "")}"]`);
  (page.open ? row?.nextElementSibling?.querySelector("[data-kind]") : row?.querySelector("button"))?.focus();
}

// Enter an absence, or take it back; the round is without a carrier at once.
async function away(person, kind, until = page.day) {
  const from = page.day;
  try {
    await send(`/v1/roster?${site}`, { absences: days(from, until).map((day) => ({ day, carrier: person.carrier, kind })) }, { method: "PUT" });
  } catch (fault) {
    return complain(fault);
  }
  page.open = null;
  page.known.clear();
  covering.drop();
  await list.load();
  const words = kind ? t(until > from ? "morning_noted_until" : "morning_noted", { carrier: person.carrier, until: shortDay(until) }) : t("morning_noted_back", { carrier: person.carrier });
  $("noted").replaceChildren(el("p", {}, words), kind ? press(t("morning_undo"), () => undo(person, until)) : "");
  $("noted").hidden = false;
  announce(words);
  return undefined;
}

async function undo(person, until) {
  await away(person, null, until);
  $("missing-title").focus();
}

async function readAgain() {
  await list.load();
  return page.read?.runs ?? [];
}

// A proposal came, or went: it stands in the place of the question.
function showProposed() {
  page.fits = true;
  if (!page.read) return;
  showAsk();
  drawMap();
}

function showAsk() {
  $("ask").hidden = Boolean(covering.proposal) || !missing(page.read).some(({ why }) => why !== "late");
}

function complain(fault) {
  if (!(fault instanceof Fault)) throw fault;
  const words = fault.code === "nothing_uncovered" ? t("cover_nothing") : whyNot(fault);
  if (fault.code === "nothing_uncovered") list.load();
  $("noted").replaceChildren(el("p", {}, words));
  $("noted").hidden = false;
  announce(words);
}

function drawMap() {
  if (!page.map || !page.read) return;
  const features = covering.proposal ? pieceFeatures(covering.proposal, covering.documents, roundOf) : missingFeatures(missing(page.read), page.lines);
  draw(page.map, features, { fit: page.fits && features.length > 0 });
  if (features.length) page.fits = false;
}
