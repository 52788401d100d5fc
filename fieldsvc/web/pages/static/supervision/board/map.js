// The map of the pages beside the live one: rounds as ever, and on top lines and points in the tones of their owners.

import { boundsOf } from "../line.js";
import { makeMap } from "../map.js";
import { mix, palette } from "../style.js";
import { config } from "../words.js";
import { $ } from "../dom.js";

const NOTHING = { type: "FeatureCollection", features: [] };
const ROUND = { "line-cap": "round", "line-join": "round" };

// The same ten as the classes tone-0 … tone-9 of board.css.
function tones(c) {
  return [
    c.action, c.warning, c.ok, c.danger, mix(c.action, c.danger, 0.5), mix(c.ok, c.action, 0.5), mix(c.warning, c.ink, 0.5),
    mix(c.danger, c.ink, 0.45), mix(c.ok, c.ink, 0.5), c.muted,
  ];
}

// Open the map in #map; null where it cannot be shown, which the page says.
export async function openMap(rounds) {
  try {
    const view = await makeMap($("map"), {
      maplibre: config.maplibre,
      worker: config.maplibreWorker,
      basemap: config.basemap,
      rounds,
      onSelect() {},
      onFollow() {},
    });
    view.map.addSource("board", { type: "geojson", data: NOTHING });
    for (const layer of layers()) view.map.addLayer(layer);
    setTones(view);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTones(view));
    $("map").classList.add("is-ready");
    return view;
  } catch (error) {
    $("map-fault").hidden = false;
    console.warn(error);
    return null;
  }
}

function layers() {
  const part = (name) => ["==", ["get", "part"], name];
  const label = { "text-field": ["get", "label"], "text-font": ["DejaVu Sans"], "text-size": ["case", [">", ["length", ["get", "label"]], 1], 9, 12], "text-allow-overlap": true, "text-ignore-placement": true };
  const of = (id, type, filter, layout = {}) => ({ id, type, source: "board", filter, layout });
  return [
    of("board-under", "line", part("line"), ROUND),
    of("board-line", "line", part("line"), ROUND),
    of("board-gap", "line", part("gap"), { "line-join": "round" }),
    of("board-stops", "circle", part("stop")),
    of("board-heads", "circle", part("head")),
    of("board-labels", "symbol", part("head"), label),
  ];
}

function setTones(view) {
  const colours = palette();
  const tone = ["match", ["get", "tone"], ...tones(colours).flatMap((colour, n) => [n, colour]), colours.ink];
  const paints = {
    "board-under": { "line-color": colours.surface, "line-width": 8, "line-opacity": 0.85 },
    "board-line": { "line-color": tone, "line-width": 4.5 },
    "board-gap": { "line-color": tone, "line-width": 3, "line-dasharray": [1.4, 1.6] },
    "board-stops": { "circle-radius": 3.5, "circle-color": colours.surface, "circle-stroke-color": tone, "circle-stroke-width": 2 },
    "board-heads": { "circle-radius": ["case", [">", ["length", ["get", "label"]], 1], 13, 11], "circle-color": tone, "circle-stroke-color": colours.surface, "circle-stroke-width": 2.5 },
    "board-labels": { "text-color": colours.surface },
  };
  for (const [layer, paint] of Object.entries(paints)) {
    for (const [name, value] of Object.entries(paint)) view.map.setPaintProperty(layer, name, value);
  }
}

export function feature(part, coordinates, properties = {}) {
  const type = part === "line" || part === "gap" ? "LineString" : "Point";
  return { type: "Feature", geometry: { type, coordinates }, properties: { part, ...properties } };
}

// Draw features; `fit` brings them into view, without moving where that is not wished.
export function draw(view, features, { fit = false } = {}) {
  if (!view) return;
  view.map.getSource("board").setData({ type: "FeatureCollection", features });
  if (!fit || !features.length) return;
  const lines = features.map(({ geometry }) => (geometry.type === "Point" ? [geometry.coordinates] : geometry.coordinates));
  const animate = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  view.map.fitBounds(boundsOf(lines), { padding: 48, maxZoom: 16, animate, duration: 400 });
}
