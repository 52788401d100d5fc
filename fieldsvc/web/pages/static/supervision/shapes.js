// The glyphs of a round's states: one drawing for list, filters, legend and map. Colours are names of tokens.

const CIRCLE = (r) => `M${12 - r} 12a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
const TRIANGLE = "M12 3L22 21H2z";
const DIAMOND = "M12 2L22 12L12 22L2 12z";

export const SHAPES = {
  on: { path: CIRCLE(9), token: "ok" },
  late: { path: TRIANGLE, token: "warning" },
  paused: { path: "M5 4h5v16H5zM14 4h5v16h-5z", token: "muted" },
  lost: { path: CIRCLE(8.5), token: "muted", width: 3, dash: [4.4, 2.275] },
  vague: { path: CIRCLE(8), token: "muted", width: 3.2 },
  off: { path: DIAMOND, token: "ink", width: 2.6 },
  alert: { path: DIAMOND, token: "danger" },
  planned: { path: CIRCLE(5.5), token: "muted", width: 2 },
  private: { path: "M5 12h14", token: "muted", width: 3 },
  ended: { path: "M4 12.5l5.5 5.5L20 6.5", token: "muted", width: 3 },
  hazard: { path: "M12 2L22 12L12 22L2 12zM12 7v6M12 15.6v.8", token: "warning", width: 2.2 },
  uncovered: { path: TRIANGLE, token: "warning", width: 2.6 },
  not_served: { path: "M4 4L20 20M20 4L4 20", token: "warning", width: 3.4 },
};
export const ON_MAP = ["on", "late", "paused", "lost", "vague", "off", "alert"];

const CLOSED = new Set(["off", "uncovered", "hazard"]);
const SVG = "http://www.w3.org/2000/svg";

export function glyph(state) {
  const shape = SHAPES[state];
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `glyph glyph--${shape.token}${shape.width ? " glyph--drawn" : ""}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", shape.path);
  if (shape.width) path.setAttribute("stroke-width", shape.width);
  if (shape.dash) path.setAttribute("stroke-dasharray", shape.dash.join(" "));
  svg.append(path);
  return svg;
}

// Draw a state as an icon of the map: on a soft ground, so that it is told apart from what is under it.
export function icon(state, palette, { size = 26, ratio = 2 } = {}) {
  const shape = SHAPES[state];
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * ratio;
  const pen = canvas.getContext("2d");
  pen.scale((size * ratio) / 28, (size * ratio) / 28);
  pen.translate(2, 2);
  const path = new Path2D(shape.path);
  if (shape.width || state === "paused") {
    pen.fillStyle = palette.surface;
    pen.fill(new Path2D(CLOSED.has(state) ? shape.path : CIRCLE(13)));
  }
  pen.lineJoin = "round";
  pen.strokeStyle = palette.surface;
  pen.lineWidth = shape.width ? 0 : 4;
  if (!shape.width && state !== "paused") pen.stroke(path);
  pen.fillStyle = pen.strokeStyle = palette[shape.token];
  if (shape.width) {
    pen.lineWidth = shape.width;
    pen.setLineDash(shape.dash ?? []);
    pen.stroke(path);
  } else {
    pen.fill(path);
  }
  return { data: pen.getImageData(0, 0, canvas.width, canvas.height), options: { pixelRatio: ratio } };
}
