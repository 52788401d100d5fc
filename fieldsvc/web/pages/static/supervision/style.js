// The map's style, made of the page's own tokens: paper, water, parks, streets, buildings, labels, and the rounds on top.

const FONT = ["DejaVu Sans"];
const NOTHING = { type: "FeatureCollection", features: [] };
const TOKENS = ["paper", "surface", "raised", "ink", "muted", "line", "edge", "accent", "action", "ok", "warning", "danger"];

// Read the tokens that are in force: {name: "#rrggbb"}, and the colours mixed of them.
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const found = Object.fromEntries(TOKENS.map((name) => [name, hex(style.getPropertyValue(`--${name}`).trim())]));
  const dark = luminance(found.paper) < 0.5;
  return {
    ...found,
    dark,
    ground: dark ? found.paper : mix(found.raised, found.line, 0.12),
    water: mix(found.paper, found.action, dark ? 0.2 : 0.17),
    waterName: mix(found.paper, found.action, 0.75),
    park: mix(found.paper, found.ok, dark ? 0.14 : 0.13),
    parkName: mix(found.ink, found.ok, 0.7),
    building: dark ? mix(found.paper, found.raised, 0.9) : mix(found.raised, found.line, 0.95),
    street: dark ? mix(found.raised, found.line, 0.75) : found.surface,
    edgeOfStreet: dark ? found.paper : mix(found.line, found.edge, 0.28),
    streetName: found.muted,
    planned: mix(found.paper, found.muted, 0.75),
    walked: mix(found.muted, found.action, 0.25),
  };
}

export function mapStyle(colours, basemap) {
  const line = { "line-cap": "round", "line-join": "round" };
  const sources = {
    rounds: { type: "geojson", data: NOTHING, promoteId: "round_id" },
    walked: { type: "geojson", data: NOTHING, promoteId: "round_id" },
    stops: { type: "geojson", data: NOTHING },
    hazards: { type: "geojson", data: NOTHING },
    carriers: { type: "geojson", data: NOTHING, promoteId: "run_id" },
    replayed: { type: "geojson", data: NOTHING },
  };
  const layers = [{ id: "paper", type: "background" }];
  if (basemap) {
    sources.basemap = { type: "geojson", data: basemap.url, attribution: basemap.attribution, tolerance: 0.5, buffer: 32 };
    layers.push(
      of("water", "fill", "basemap", { filter: kind("water") }),
      of("parks", "fill", "basemap", { filter: kind("park") }),
      of("edges", "line", "basemap", { filter: kind("street"), layout: line, minzoom: 12.5 }),
      of("streets", "line", "basemap", { filter: kind("street"), layout: line }),
      of("buildings", "fill", "basemap", { filter: kind("building"), minzoom: 13 }),
    );
  }
  layers.push(
    of("planned", "line", "rounds", { layout: line }),
    of("walked", "line", "walked", { layout: line }),
    of("stops", "circle", "stops", { minzoom: 13 }),
    of("replay-done", "line", "replayed", { layout: line, filter: ["==", ["get", "part"], "done"] }),
    of("replay-gap", "line", "replayed", { layout: { "line-join": "round" }, filter: ["==", ["get", "part"], "gap"] }),
  );
  if (basemap) {
    layers.push(
      of("names", "symbol", "basemap", {
        filter: ["all", ["has", "name"], ["in", ["geometry-type"], ["literal", ["LineString", "MultiLineString"]]]],
        minzoom: 13.2,
        layout: {
          "symbol-placement": "line",
          "symbol-spacing": 320,
          "text-field": ["get", "name"],
          "text-font": FONT,
          "text-size": ["interpolate", ["linear"], ["zoom"], 13, 10, 17, 13],
          "text-max-angle": 30,
        },
      }),
      of("places", "symbol", "basemap", {
        filter: ["all", kind("label"), ["==", ["geometry-type"], "Point"], ["!=", ["get", "rank"], "town"]],
        minzoom: 12,
        layout: {
          "text-field": ["get", "name"],
          "text-font": FONT,
          "text-size": ["match", ["get", "rank"], "site", 12, 10.5],
          "text-max-width": 9,
          "text-offset": ["match", ["get", "rank"], "site", ["literal", [0, 1.6]], ["literal", [0, 0]]],
        },
      }),
    );
  }
  layers.push(
    of("hazards", "circle", "hazards"),
    of("hazard-marks", "symbol", "hazards", {
      layout: {
        "icon-image": "hazard",
        "icon-size": 0.8,
        "icon-allow-overlap": true,
        "text-field": ["step", ["zoom"], "", 14, ["get", "words"]],
        "text-font": FONT,
        "text-size": 11,
        "text-anchor": "top",
        "text-offset": [0, 0.9],
        "text-optional": true,
      },
    }),
    of("halo", "circle", "carriers"),
    of("carriers", "symbol", "carriers", {
      layout: {
        "icon-image": ["get", "state"],
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
        "symbol-sort-key": ["get", "order"],
        "text-field": ["get", "initials"],
        "text-font": FONT,
        "text-size": 11,
        "text-anchor": "top",
        "text-offset": [0, 1.05],
        "text-optional": true,
      },
    }),
    of("replay-head", "circle", "replayed", { filter: ["==", ["get", "part"], "head"] }),
  );
  return { version: 8, sources, layers: layers.map((layer) => ({ ...layer, paint: paints(colours)[layer.id] })) };
}

// The colours and widths of every layer, so that a change of theme sets them anew without a new style.
export function paints(c) {
  const isSelected = ["boolean", ["feature-state", "selected"], false];
  const byZoom = (...stops) => ["interpolate", ["exponential", 1.5], ["zoom"], ...stops];
  const rank = (large, small, path) => ["match", ["get", "rank"], "large", large, "small", small, path];
  const halo = { "text-halo-color": c.ground, "text-halo-width": 1.4 };
  return {
    paper: { "background-color": c.ground },
    water: { "fill-color": c.water },
    parks: { "fill-color": c.park },
    edges: { "line-color": c.edgeOfStreet, "line-width": byZoom(12, rank(3, 1.8, 1.4), 17, rank(18, 12.5, 11)) },
    streets: { "line-color": c.street, "line-width": byZoom(12, rank(2, 1, 0.8), 17, rank(16, 10.5, 9)) },
    buildings: { "fill-color": c.building, "fill-opacity": ["interpolate", ["linear"], ["zoom"], 13, 0.2, 14, 1] },
    names: { "text-color": ["match", ["get", "rank"], "water", c.waterName, c.streetName], ...halo },
    places: { "text-color": ["match", ["get", "rank"], "park", c.parkName, c.ink], ...halo },
    planned: {
      "line-color": ["case", isSelected, c.action, c.planned],
      "line-width": byZoom(12, ["case", isSelected, 1.6, 0.8], 16, ["case", isSelected, 2.2, 1.4]),
      "line-dasharray": [2, 3],
      "line-opacity": ["case", isSelected, 1, 0.8],
    },
    walked: {
      "line-color": ["case", isSelected, c.action, c.walked],
      "line-width": byZoom(12, ["case", isSelected, 3, 1.8], 16, ["case", isSelected, 5, 3.2]),
      "line-opacity": ["case", isSelected, 0.95, c.dark ? 0.5 : 0.7],
    },
    stops: {
      "circle-radius": byZoom(13, 0.7, 14, 1.3, 16, 3, 18, 6),
      "circle-color": c.surface,
      "circle-stroke-color": c.action,
      "circle-stroke-width": byZoom(13, 0.3, 16, 1.3),
      "circle-pitch-alignment": "map",
    },
    "replay-done": { "line-color": c.warning, "line-width": 5, "line-opacity": 0.9 },
    "replay-gap": { "line-color": c.warning, "line-width": 3, "line-dasharray": [1.5, 2] },
    "replay-head": {
      "circle-radius": 9,
      "circle-color": c.accent,
      "circle-stroke-color": c.dark ? c.paper : c.ink,
      "circle-stroke-width": 2.5,
    },
    halo: {
      "circle-radius": 20,
      "circle-color": c.action,
      "circle-opacity": ["case", isSelected, 0.18, 0],
      "circle-stroke-color": c.action,
      "circle-stroke-width": 2.5,
      "circle-stroke-opacity": ["case", isSelected, 1, 0],
    },
    hazards: {
      // metres at the equator: 78,271.5 m of ground are one pixel at zoom 0 in tiles of 512
      "circle-radius": ["interpolate", ["exponential", 2], ["zoom"], 0, ["/", ["get", "radius"], 78271.5], 22, ["/", ["get", "radius"], 78271.5 / 2 ** 22]],
      "circle-color": c.warning,
      "circle-opacity": 0.14,
      "circle-stroke-color": c.warning,
      "circle-stroke-width": 1,
    },
    "hazard-marks": { "text-color": c.ink, "text-halo-color": c.surface, "text-halo-width": 2 },
    carriers: { "text-color": c.ink, "text-halo-color": c.surface, "text-halo-width": 2 },
  };
}

function of(id, type, source, more = {}) {
  return { id, type, source, ...more };
}

function kind(name) {
  return ["==", ["get", "kind"], name];
}

export function mix(one, other, share) {
  const [a, b] = [channels(one), channels(other)];
  return `#${a.map((value, n) => Math.round(value + (b[n] - value) * share).toString(16).padStart(2, "0")).join("")}`;
}

function luminance(colour) {
  const [r, g, b] = channels(colour);
  return (0.3 * r + 0.59 * g + 0.11 * b) / 255;
}

function channels(colour) {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

function hex(colour) {
  return colour.length === 4 ? `#${[...colour.slice(1)].map((digit) => digit + digit).join("")}` : colour;
}
