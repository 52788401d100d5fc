// The map: rounds, what is walked of them, and carriers that advance on their lines.

import { addControls, options } from "./controls.js";
import { boundsOf, measure, piece, pointAt } from "./line.js";
import { ON_MAP, icon } from "./shapes.js";
import { initials } from "./state.js";
import { mapStyle, paints, palette } from "./style.js";
import { has, t } from "./words.js";

const MOST_CHANGES = 900; // from 1,000 on the whole source is loaded anew
const EASE_MS = 950; // a delta comes each second
const FRAME_MS = 80;
const JUMP_M = 400;
const ORDER = { paused: 0, lost: 1, vague: 2, off: 3, on: 4, late: 5, alert: 6 };

// Make the map in `container`. `rounds` are LineStrings with `round_id`; `onSelect(runId | null)` is told of clicks,
// `onFollow(false)` when somebody moves the map away from the one they followed.
export async function makeMap(container, { maplibre, worker, basemap, rounds, onSelect, onFollow }) {
  const library = await import(maplibre);
  library.setWorkerUrl(new URL(worker, location.href).href);
  const colours = palette();
  const map = new library.Map({
    container,
    style: mapStyle(colours, basemap && { ...basemap, url: new URL(basemap.url, location.href).href }),
    ...startingAt(rounds),
    ...options(),
  });
  addControls(map, library);
  const view = {
    map,
    home: startingAt(rounds),
    lines: new Map(),
    carriers: new Map(),
    frame: null,
    drawnAt: 0,
    selected: null,
    following: false,
    onFollow,
  };
  map.once("style.load", () => addIcons(map, colours));
  await new Promise((resolve, reject) => {
    map.once("load", resolve);
    map.on("error", ({ error }) => (map.loaded() || error?.status === 404 ? null : reject(error)));
  });
  setRounds(view, rounds);
  listenTo(view, onSelect);
  return view;
}

export function setRounds(view, rounds) {
  view.lines = new Map(rounds.map((each) => [each.properties.round_id, { coordinates: each.geometry.coordinates }]));
  view.map.getSource("rounds").setData({ type: "FeatureCollection", features: rounds });
}

// Draw the rows that are at work; what moved less than a jump is eased to its place, unless nobody sees it or wants it.
export function showRows(view, rows, places) {
  const wanted = new Map(rows.filter((row) => row.live && ON_MAP.includes(row.state)).map((row) => [row.id, row]));
  const diff = { remove: [], add: [], update: [] };
  for (const [id, carrier] of view.carriers) {
    if (wanted.has(id)) continue;
    diff.remove.push(id);
    view.carriers.delete(id);
    view.map.getSource("walked").updateData({ remove: [carrier.round] });
  }
  for (const row of wanted.values()) {
    const carrier = view.carriers.get(row.id) ?? add(view, row, places.get(row.id), diff);
    if (carrier.state !== row.state) {
      carrier.state = row.state;
      diff.update.push({ id: row.id, addOrUpdateProperties: looks(row) });
    }
    aim(view, carrier, row, places.get(row.id));
  }
  send(view.map.getSource("carriers"), diff);
  if (isStill()) finish(view);
  else if (!view.frame) view.frame = requestAnimationFrame(() => step(view));
}

export function select(view, row) {
  for (const [source, key] of [["carriers", "id"], ["rounds", "round"], ["walked", "round"]]) {
    if (view.selected) view.map.setFeatureState({ source, id: view.selected[key] }, { selected: false });
    if (row) view.map.setFeatureState({ source, id: row[key] }, { selected: true });
  }
  view.selected = row ? { id: row.id, round: row.round } : null;
  if (!row) showStops(view, []);
}

// Show the stops of the selected round.
export function showStops(view, features) {
  view.map.getSource("stops").setData({ type: "FeatureCollection", features });
}

const LAYERS = { planned: ["planned"], walked: ["walked"], stops: ["stops"], hazards: ["hazards", "hazard-marks"] };

export function showLayer(view, name, on) {
  for (const layer of LAYERS[name]) view.map.setLayoutProperty(layer, "visibility", on ? "visible" : "none");
}

// Show hazards: a place and how far it reaches.
export function showHazards(view, hazards) {
  const features = hazards.map(({ hazard_id: id, point, radius_m: radius, state, kind }) => ({
    type: "Feature",
    geometry: { type: "Point", coordinates: [point.lon, point.lat] },
    properties: { id, state, words: has(`hazard_${kind}`) ? t(`hazard_${kind}`) : t("hazard_other"), radius: radius / Math.cos((point.lat * Math.PI) / 180) },
  }));
  view.map.getSource("hazards").setData({ type: "FeatureCollection", features });
}

export function follow(view, on) {
  view.following = on;
  const carrier = on && view.selected && view.carriers.get(view.selected.id);
  if (carrier) goTo(view, carrier.at, Math.max(view.map.getZoom(), 15));
}

export function showAll(view) {
  if (view.home.bounds) view.map.fitBounds(view.home.bounds, { ...view.home.fitBoundsOptions, animate: !isStill() });
}

// Show a moment of a replay: pieces of the round as {from, to, gap}, and the distance where it stands; or nothing.
export function showReplay(view, round, pieces, head) {
  const line = lineOf(view, round);
  const features = [];
  if (line) {
    for (const { from, to, gap } of pieces) features.push(drawn("LineString", piece(line, from, to), gap ? "gap" : "done"));
    if (head !== null) features.push(drawn("Point", pointAt(line, head), "head"));
  }
  view.map.getSource("replayed").setData({ type: "FeatureCollection", features });
}

export function setColours(view) {
  const colours = palette();
  for (const [layer, paint] of Object.entries(paints(colours))) {
    if (!view.map.getLayer(layer)) continue;
    for (const [name, value] of Object.entries(paint)) view.map.setPaintProperty(layer, name, value);
  }
  for (const state of [...ON_MAP, "hazard"]) view.map.updateImage(state, icon(state, colours).data);
}

// Where each carrier is drawn at this moment: {run: [lon, lat]}.
export function places(view) {
  return Object.fromEntries([...view.carriers].map(([id, carrier]) => [id, carrier.at]));
}

function add(view, row, place, diff) {
  const carrier = { round: row.round, state: row.state, at: place, shown: row.distance, target: row.distance, from: 0, since: 0 };
  view.carriers.set(row.id, carrier);
  const properties = { run_id: row.id, ...Object.fromEntries(looks(row).map(({ key, value }) => [key, value])) };
  diff.add.push({ type: "Feature", geometry: { type: "Point", coordinates: place }, properties });
  drawWalked(view, row, carrier, true);
  return carrier;
}

function looks(row) {
  return [
    { key: "state", value: row.state },
    { key: "initials", value: initials(row.carrier) },
    { key: "order", value: ORDER[row.state] },
  ];
}

function aim(view, carrier, row, place) {
  const line = lineOf(view, row.round, row.length);
  if (carrier.target === row.distance && carrier.drawn) return;
  const isFar = carrier.shown === null || row.distance === null || Math.abs(row.distance - carrier.shown) > JUMP_M;
  carrier.line = line;
  carrier.place = place;
  carrier.from = carrier.shown;
  carrier.target = row.distance;
  carrier.drawn = false;
  carrier.since = isFar || !line ? -Infinity : performance.now();
}

function step(view) {
  view.frame = null;
  const now = performance.now();
  if (now - view.drawnAt >= FRAME_MS) {
    view.drawnAt = now;
    advance(view, now);
  }
  if (!isStill() && [...view.carriers.values()].some((carrier) => !carrier.drawn)) {
    view.frame = requestAnimationFrame(() => step(view));
  }
}

function finish(view) {
  advance(view, Infinity);
}

function advance(view, now) {
  const update = [];
  for (const [id, carrier] of view.carriers) {
    if (carrier.drawn) continue;
    const share = Math.min(1, (now - carrier.since) / EASE_MS);
    carrier.shown = share < 1 ? carrier.from + (carrier.target - carrier.from) * share : carrier.target;
    carrier.at = carrier.line && carrier.shown !== null && share < 1 ? pointAt(carrier.line, carrier.shown) : carrier.place;
    carrier.drawn = share >= 1;
    update.push({ id, newGeometry: { type: "Point", coordinates: carrier.at } });
    if (carrier.drawn) drawWalked(view, { round: carrier.round, distance: carrier.target }, carrier, false);
    if (view.following && view.selected?.id === id) view.map.setCenter(carrier.at);
  }
  send(view.map.getSource("carriers"), { remove: [], add: [], update });
}

function drawWalked(view, row, carrier, isNew) {
  const line = lineOf(view, row.round, row.length);
  if (!line) return;
  const geometry = { type: "LineString", coordinates: piece(line, 0, row.distance ?? 0) };
  const source = view.map.getSource("walked");
  if (isNew) source.updateData({ add: [{ type: "Feature", geometry, properties: { round_id: row.round } }] });
  else source.updateData({ update: [{ id: row.round, newGeometry: geometry }] });
}

function lineOf(view, round, length = null) {
  const known = view.lines.get(round);
  if (!known) return null;
  if (!known.measured || (length && Math.abs(known.measured.length - length) > 0.01)) {
    known.measured = measure(known.coordinates, length ?? known.measured?.length);
  }
  return known.measured;
}

function send(source, { remove, add: added, update }) {
  if (remove.length || added.length) source.updateData({ remove, add: added });
  for (let n = 0; n < update.length; n += MOST_CHANGES) source.updateData({ update: update.slice(n, n + MOST_CHANGES) });
}

function isStill() {
  return document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches;
}

function goTo(view, center, zoom) {
  view.map.easeTo({ center, zoom, duration: isStill() ? 0 : 400 });
}

function listenTo(view, onSelect) {
  const { map } = view;
  map.on("click", ({ point }) => {
    const box = [[point.x - 12, point.y - 12], [point.x + 12, point.y + 12]];
    const [found] = map.queryRenderedFeatures(box, { layers: ["carriers"] });
    onSelect(found?.properties.run_id ?? null);
  });
  map.on("mousemove", ({ point }) => {
    const over = map.queryRenderedFeatures(point, { layers: ["carriers"] }).length > 0;
    map.getCanvas().classList.toggle("is-over", over);
  });
  map.on("dragstart", ({ originalEvent }) => originalEvent && view.following && view.onFollow(false));
  document.addEventListener("visibilitychange", () => document.hidden && finish(view));
}

function addIcons(map, colours) {
  for (const state of [...ON_MAP, "hazard"]) {
    const { data, options } = icon(state, colours);
    map.addImage(state, data, options);
  }
}

function startingAt(rounds) {
  const bounds = boundsOf(rounds.map((each) => each.geometry.coordinates));
  return bounds ? { bounds, fitBoundsOptions: { padding: 32, maxZoom: 15 } } : { center: [2.4, 46.7], zoom: 5 };
}

function drawn(type, coordinates, part) {
  return { type: "Feature", geometry: { type, coordinates }, properties: { part } };
}
