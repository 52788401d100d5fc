// Distance over time of several rounds: solid where the phone spoke, dashed where it did not, a tick where it came late.

import { clock, distance } from "../words.js";
import { el } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDE, HIGH] = [1000, 320];
const HOUR_MS = 3_600_000;

// Draw the tracks into `box`; returns what moves the hand of the clock.
export function drawChart(box, list, { first, last }) {
  const far = Math.max(1, ...list.map((track) => track.far));
  const x = (time) => (WIDE * (time - first)) / (last - first || 1);
  const y = (metres) => HIGH - (HIGH * metres) / far;
  const svg = make("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const ticks = hours(first, last);
  for (const time of ticks) svg.append(line(x(time), 0, x(time), HIGH, "grid"));
  for (const track of list) svg.append(drawTrack(track, x, y));
  const hand = line(0, 0, 0, HIGH, "hand");
  svg.append(hand);
  box.replaceChildren(el("p", { class: "chart__far" }, distance(far)), svg, axis(ticks, first, last));
  return (time) => {
    for (const name of ["x1", "x2"]) hand.setAttribute(name, x(time).toFixed(1));
  };
}

function drawTrack({ replay, tone }, x, y) {
  const group = make("g", { class: `tone-${tone}` });
  const at = (s) => x(replay.first + s * 1000);
  for (const { from, to, fromM, toM, gap } of replay.spans) group.append(line(at(from), y(fromM), at(to), y(toM), gap ? "gap" : "known"));
  for (const { s, lateBy, distance_along_m: metres } of replay.moments) {
    if (lateBy && metres !== null) group.append(line(at(s), y(metres) - 7, at(s), y(metres) + 7, "late"));
  }
  return group;
}

function axis(ticks, first, last) {
  return el("div", { class: "chart__hours", "aria-hidden": "true" }, ticks.map((time) => {
    const made = el("span", {}, clock(time));
    made.style.left = `${(100 * (time - first)) / (last - first || 1)}%`;
    return made;
  }));
}

// Whole hours, as many as can be read beside each other.
function hours(first, last) {
  const step = Math.max(1, Math.ceil((last - first) / HOUR_MS / 8)) * HOUR_MS;
  const found = [];
  for (let time = Math.ceil(first / HOUR_MS) * HOUR_MS; time <= last; time += step) found.push(time);
  return found;
}

function line(x1, y1, x2, y2, name) {
  return make("line", { x1: x1.toFixed(1), y1: y1.toFixed(1), x2: x2.toFixed(1), y2: y2.toFixed(1), class: name });
}

function make(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
