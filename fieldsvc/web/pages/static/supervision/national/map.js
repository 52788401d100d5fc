// The map of the sites: one shape each, as large as it has rounds, in its worst state; carriers are on the page of a site.

import { boundsOf } from "../line.js";
import { icon } from "../shapes.js";
import { mapStyle, paints, palette } from "../style.js";
import { addControls, options } from "../controls.js";
import { number, t } from "../words.js";
import { sizeOf } from "./sites.js";

const STATES = ["alert", "uncovered", "not_served", "late", "lost", "off", "on", "paused", "planned", "ended"];

// `onSelect(site)` is told of clicks on a shape.
export async function makeMap(container, { maplibre, worker, basemap, rows, onSelect }) {
  const library = await import(maplibre);
  library.setWorkerUrl(new URL(worker, location.href).href);
  const colours = palette();
  const places = rows.filter((row) => row.lon !== null).map((row) => [row.lon, row.lat]);
  const bounds = boundsOf([places]);
  const map = new library.Map({
    container,
    style: mapStyle(colours, basemap && { ...basemap, url: new URL(basemap.url, location.href).href }),
    ...(bounds ? { bounds, fitBoundsOptions: { padding: 64, maxZoom: 12 } } : { center: [2.4, 46.7], zoom: 5 }),
    ...options(),
  });
  addControls(map, library);
  await new Promise((resolve, reject) => {
    map.once("load", resolve);
    map.on("error", ({ error }) => (map.loaded() || error?.status === 404 ? null : reject(error)));
  });
  for (const state of STATES) map.addImage(state, ...Object.values(icon(state, colours)));
  map.addSource("sites", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  map.addLayer({ ...LAYER, paint: paints(colours).carriers });
  listenTo(map, onSelect);
  return { map };
}

export function showRows(view, rows) {
  const features = rows.filter((row) => row.lon !== null).map((row) => ({
    type: "Feature",
    geometry: { type: "Point", coordinates: [row.lon, row.lat] },
    properties: { site: row.site, state: row.state, order: -row.rank, size: sizeOf(row.runs), words: `${row.site}\n${t("national_rounds", { n: number(row.runs) })}` },
  }));
  view.map.getSource("sites").setData({ type: "FeatureCollection", features });
}

export function setColours(view) {
  const colours = palette();
  for (const [layer, paint] of Object.entries({ ...paints(colours), sites: paints(colours).carriers })) {
    if (!view.map.getLayer(layer)) continue;
    for (const [name, value] of Object.entries(paint)) view.map.setPaintProperty(layer, name, value);
  }
  for (const state of STATES) view.map.updateImage(state, icon(state, colours).data);
}

const LAYER = {
  id: "sites",
  type: "symbol",
  source: "sites",
  layout: {
    "icon-image": ["get", "state"],
    "icon-size": ["interpolate", ["linear"], ["zoom"], 4, ["*", 0.5, ["get", "size"]], 9, ["get", "size"]],
    "icon-allow-overlap": true,
    "symbol-sort-key": ["get", "order"],
    "text-field": ["step", ["zoom"], "", 7, ["get", "words"]],
    "text-font": ["DejaVu Sans"],
    "text-size": 11,
    "text-max-width": 16,
    "text-anchor": "top",
    "text-offset": [0, 1.4],
    "text-optional": true,
  },
};

function listenTo(map, onSelect) {
  map.on("click", "sites", ({ features }) => onSelect(features[0].properties.site));
  map.on("mouseenter", "sites", () => map.getCanvas().classList.add("is-over"));
  map.on("mouseleave", "sites", () => map.getCanvas().classList.remove("is-over"));
}
