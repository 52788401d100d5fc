// Replay: a day, some of its rounds, and one clock for all of them.

import { Fault, get, getAll } from "../api.js";
import { measure, piece, pointAt } from "../line.js";
import { clock, config, dayWord, distance, t } from "../words.js";
import { $, announce, badge, el, say } from "../dom.js";
import { five, whyNot } from "../board/five.js";
import { draw, feature, openMap } from "../board/map.js";
import { count, duration, shiftDay } from "../board/told.js";
import { drawChart } from "./chart.js";
import { makePlayer } from "./player.js";
import { span, stand, tracks } from "./together.js";

const MOST = 12;
const BATCHES = 3; // of late positions, shown of each round
const WALKED = new Set(["started", "resumed", "paused", "ended", "reconciled"]);
const site = config.site ? `site=${encodeURIComponent(config.site)}` : "";
const page = { day: null, query: "", list: [], lines: new Map(), map: null, player: null, hand: null };
const runs = five($("runs"), readRuns);

begin();

function begin() {
  $("day").addEventListener("change", askReason);
  for (const button of document.querySelectorAll("[data-by]")) button.addEventListener("click", () => shift(Number(button.dataset.by)));
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    openDay();
  });
  $("choose").addEventListener("change", showChosen);
  $("choose").addEventListener("submit", (event) => {
    event.preventDefault();
    play();
  });
  askReason();
  get(`/v1/rounds?${site}`).then(async ({ features }) => {
    page.features = new Map(features.map((each) => [each.properties.round_id, each.geometry.coordinates]));
    page.map = await openMap(features);
    window.fieldsvcBoard = { map: page.map?.map };
    if (page.player) showMoment(page.player.time());
  }).catch(() => ($("map-fault").hidden = false));
}

function shift(by) {
  const day = shiftDay($("day").value || config.today, by);
  if (day > $("day").max || day < $("day").min) return;
  $("day").value = day;
  askReason();
}

// What is over is opened for a reason; today is not over, and a site's own is opened at once.
function askReason() {
  const past = $("day").value < config.today;
  if (page.day && page.day !== $("day").value) close();
  if (!past && config.site) openDay();
  $("reasons").hidden = !past;
  for (const radio of $("reasons").querySelectorAll("input")) radio.required = past;
  for (const button of document.querySelectorAll("[data-by]")) {
    const day = shiftDay($("day").value || config.today, Number(button.dataset.by));
    button.disabled = day > $("day").max || day < $("day").min;
  }
}

function close() {
  page.day = null;
  page.player?.stop();
  $("show").hidden = $("runs").hidden = true;
}

function openDay() {
  const { day, reason } = Object.fromEntries(new FormData($("ask")));
  page.day = day;
  page.query = [site, day < config.today ? `reason=${encodeURIComponent(reason)}` : ""].filter(Boolean).join("&");
  page.player?.stop();
  $("show").hidden = true;
  $("runs").hidden = false;
  runs.forget();
  runs.load();
}

async function readRuns() {
  const { day } = page;
  const found = (await getAll(`/v1/runs?day=${day}&limit=1000&${page.query}`, "runs")).filter(({ state }) => WALKED.has(state));
  if (day !== page.day) return 1;
  say($("runs-day"), dayWord(day));
  $("boxes").replaceChildren(...found.map((run, n) => el("label", { class: "check" },
    el("input", { type: "checkbox", name: "run", value: run.run_id, checked: found.length <= 3 || n === 0 }),
    el("b", {}, run.round_id), el("span", {}, run.carrier ?? t("nobody")), el("span", { class: "muted" }, run.distance_along_m === null ? null : distance(run.distance_along_m)),
  )));
  showChosen();
  announce(count("replay_found", found.length));
  return found.length;
}

function chosen() {
  return [...$("boxes").querySelectorAll("input:checked")].map(({ value }) => value);
}

function showChosen() {
  const n = chosen().length;
  $("go").disabled = n === 0 || n > MOST;
  say($("chosen"), n > MOST ? t("replay_too_many", { most: MOST }) : count("replay_chosen", n, { most: MOST }));
}

// Read each chosen run, for the reason that was given: each of these looks is noted.
async function play() {
  page.player?.stop();
  say($("go"), t("replay_loading"));
  $("go").disabled = true;
  try {
    const answers = [];
    for (const id of chosen()) answers.push(await get(`/v1/runs/${encodeURIComponent(id)}/replay?${page.query}`));
    show(tracks(answers));
    say($("replay-fault"), "");
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    say($("replay-fault"), whyNot(fault));
  }
  say($("go"), t("replay_go"));
  showChosen();
}

function show(list) {
  page.list = list;
  page.lines = new Map(list.map(({ round, length }) => [round, page.features?.has(round) ? measure(page.features.get(round), length) : null]));
  const all = span(list);
  $("show").hidden = false;
  $("show-nothing").hidden = Boolean(all);
  $("show-box").hidden = !all;
  $("rows").replaceChildren(...list.map(row));
  $("show-title").focus();
  if (!all) return;
  page.hand = drawChart($("chart"), list, all);
  page.fits = true;
  page.player = makePlayer(all, showMoment);
}

function row(track) {
  const late = track.late.slice(0, BATCHES).map(({ at, n }) => el("span", { class: "state state--late" }, count("replay_late_batch", n, { at: clock(at) })));
  if (track.late.length > BATCHES) late.push(el("span", { class: "muted" }, count("and_more", track.late.length - BATCHES)));
  return el("tr", { "data-round": track.round },
    el("th", { scope: "row" }, badge(track.round, track.tone), el("span", { class: "visually-hidden" }, track.round), ` ${track.carrier ?? t("nobody")}`),
    el("td", { "data-now": track.run }),
    el("td", {}, distance(track.far)),
    el("td", {}, duration(track.minutes)),
    el("td", {}, track.gaps ? count("replay_gaps", track.gaps, { minutes: duration(track.gapMinutes) }) : t("replay_no_gap")),
    el("td", {}, late.length ? late : t("replay_no_late")),
  );
}

function showMoment(time) {
  page.hand?.(time);
  const features = [];
  for (const track of page.list) {
    const now = stand(track, time);
    say(document.querySelector(`[data-now="${CSS.escape(track.run)}"]`), sentence(now));
    features.push(...drawn(track, now));
  }
  draw(page.map, features, { fit: Boolean(page.map) && page.fits && features.length > 0 });
  if (page.map && features.length) page.fits = false;
}

function sentence({ when, head, last }) {
  if (when !== "on" && when !== "gap" && when !== "after") return t(`replay_when_${when}`);
  const parts = [head === null ? t(`status_${last.status}`) : distance(head)];
  if (when !== "on") parts.push(t(`replay_when_${when}`));
  else if (last.lateBy) parts.push(t("replay_late", { at: clock(last.received_at) }));
  return parts.join(" · ");
}

function drawn(track, { head, pieces }) {
  const line = page.lines.get(track.round);
  if (!line) return [];
  const found = pieces.map(({ from, to, gap }) => feature(gap ? "gap" : "line", piece(line, from, to), { tone: track.tone }));
  return head === null ? found : [...found, feature("head", pointAt(line, head), { tone: track.tone, label: track.round.slice(-3) })];
}
