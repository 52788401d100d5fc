// The replay of one run: its moments on a time line, with the gaps shown as gaps.

import { clock, distance, t } from "./words.js";

export const GAP_S = 600; // a phone that stands still reports every 5 minutes
const LATE_S = 120;
const FRAME_MS = 100;
const SVG = "http://www.w3.org/2000/svg";

// Prepare a replay: moments with `s` (seconds from the first), and the pieces between them. Pure.
export function prepare(points) {
  const first = points.length ? Date.parse(points[0].at) : 0;
  const moments = points.map((point) => ({ ...point, s: (Date.parse(point.at) - first) / 1000, lateBy: lateness(point) }));
  const spans = [];
  let last = null;
  let lost = false; // off the round, or unknown, since the last known place
  for (const moment of moments) {
    if (moment.distance_along_m === null) {
      lost = true;
      continue;
    }
    if (last) {
      const gap = lost || moment.s - last.s > GAP_S;
      spans.push({ from: last.s, to: moment.s, fromM: last.distance_along_m, toM: moment.distance_along_m, gap });
    }
    last = moment;
    lost = false;
  }
  return { moments, spans, length: moments.at(-1)?.s ?? 0, first };
}

// What is known at a moment: how far along, the pieces walked until then, and the last point heard of. Pure.
export function at(replay, s) {
  const pieces = [];
  let head = null;
  let inGap = false;
  for (const span of replay.spans) {
    if (span.from > s) break;
    const share = span.gap && s < span.to ? 0 : Math.min(1, (s - span.from) / (span.to - span.from || 1));
    const reached = span.fromM + (span.toM - span.fromM) * share;
    head = reached;
    inGap = span.gap && s > span.from && s < span.to;
    const before = pieces.at(-1);
    if (share === 0) continue;
    if (before && before.gap === span.gap && before.to === span.fromM && reached >= before.to) before.to = reached;
    else pieces.push({ from: Math.min(span.fromM, reached), to: Math.max(span.fromM, reached), gap: span.gap });
  }
  const last = replay.moments.findLast((moment) => moment.s <= s) ?? null;
  if (head === null) head = last?.distance_along_m ?? null;
  return { head, pieces, last, inGap };
}

export function lateness({ at: happened, received_at: received }) {
  const late = (Date.parse(received) - Date.parse(happened)) / 1000;
  return late > LATE_S ? late : 0;
}

// Put the controls of a replay into `box`; `onShow(pieces, head)` draws a moment on the map.
export function makeReplay(box, points, onShow) {
  const replay = prepare(points);
  if (replay.moments.length < 2) {
    box.textContent = t("replay_nothing");
    return { stop() {} };
  }
  const find = (name) => box.querySelector(`[data-replay="${name}"]`);
  const view = { replay, s: 0, timer: null, slider: find("slider"), words: find("words"), play: find("play"), speed: find("speed"), onShow };
  find("line").replaceChildren(timeLine(replay));
  find("from").textContent = clock(replay.first);
  find("to").textContent = clock(replay.first + replay.length * 1000);
  view.slider.max = replay.length;
  view.slider.oninput = () => go(view, Number(view.slider.value));
  view.slider.onkeydown = (event) => onKey(view, event);
  view.play.onclick = () => (view.timer ? pause(view) : start(view));
  go(view, replay.length);
  return { stop: () => pause(view) };
}

function onKey(view, event) {
  const { moments } = view.replay;
  const next = {
    ArrowRight: () => moments.find((moment) => moment.s > view.s),
    ArrowUp: () => moments.find((moment) => moment.s > view.s),
    ArrowLeft: () => moments.findLast((moment) => moment.s < view.s),
    ArrowDown: () => moments.findLast((moment) => moment.s < view.s),
  }[event.key];
  if (!next) return;
  event.preventDefault();
  const moment = next();
  if (moment) go(view, moment.s);
}

function start(view) {
  if (view.s >= view.replay.length) go(view, 0);
  view.play.textContent = t("replay_pause");
  view.timer = setInterval(() => {
    if (document.hidden) return;
    go(view, Math.min(view.replay.length, view.s + (Number(view.speed.value) * FRAME_MS) / 1000));
    if (view.s >= view.replay.length) pause(view);
  }, FRAME_MS);
}

function pause(view) {
  clearInterval(view.timer);
  view.timer = null;
  view.play.textContent = t("replay_play");
}

function go(view, s) {
  view.s = s;
  const found = at(view.replay, s);
  const words = sentence(view.replay, s, found);
  view.slider.value = s;
  view.slider.setAttribute("aria-valuetext", words);
  view.words.textContent = words;
  view.onShow(found.pieces, found.head);
}

function sentence(replay, s, { head, last, inGap }) {
  const parts = [clock(replay.first + s * 1000)];
  if (head !== null) parts.push(distance(head));
  parts.push(inGap ? t("replay_gap") : t(`status_${last.status}`));
  if (last.lateBy && !inGap) parts.push(t("replay_late", { at: clock(last.received_at) }));
  return parts.join(" · ");
}

// Draw when something is known: solid where the phone spoke, dashed where it did not, a tick where it came late.
function timeLine(replay) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1000 16");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const x = (s) => ((1000 * s) / (replay.length || 1)).toFixed(1);
  const add = (name, from, to, y0 = 8, y1 = 8) => {
    const line = document.createElementNS(SVG, "line");
    for (const [key, value] of Object.entries({ x1: x(from), x2: x(to), y1: y0, y2: y1 })) line.setAttribute(key, value);
    line.setAttribute("class", name);
    svg.append(line);
  };
  for (const span of replay.spans) add(span.gap ? "gap" : "known", span.from, span.to);
  for (const moment of replay.moments) if (moment.lateBy) add("late", moment.s, moment.s, 1, 15);
  return svg;
}
