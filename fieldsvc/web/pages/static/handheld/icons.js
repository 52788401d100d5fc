// Small pictures drawn by code: no font has to have them. Each is a path of strokes on 24 by 24.
const PATHS = {
  letter: "M3 5h18v14H3zM3 6l9 7 9-7",
  sign: "M4 21h16M6 17l1-5 9-9 4 4-9 9z",
  person: "M16 7a4 4 0 1 1-8 0 4 4 0 0 1 8 0zM4 21c0-5 3-8 8-8s8 3 8 8",
  cross: "M9 3h6v6h6v6h-6v6H9v-6H3V9h6z",
  key: "M11 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0zM11 12h10v4M17 12v3",
  paw: "M12 12c-3 0-5 3-5 5s2 3 5 3 5-1 5-3-2-5-5-5zM5 10v.01M9 6v.01M15 6v.01M19 10v.01",
  meter: "M4 18a9 9 0 1 1 16 0zM12 15l4-5",
  code: "M9 4L7 20M17 4l-2 16M4 9h16M3 15h16",
  house: "M3 11l9-8 9 8M5 9.5V21h14V9.5M10 21v-7h4v7",
  change: "M4 8h15l-4-4M20 16H5l4 4",
  barred: "M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0zM5.6 5.6l12.8 12.8",
  danger: "M12 3l10 18H2zM12 10v5M12 18v.01",
  plus: "M12 4v16M4 12h16",
  scan: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M4 12h16",
  call: "M6 3h3l2 5-2.5 2a12 12 0 0 0 5.5 5.5l2-2.5 5 2v3a2 2 0 0 1-2 2A16 16 0 0 1 4 5a2 2 0 0 1 2-2z",
  camera: "M3 8h4l2-3h6l2 3h4v11H3zM16 13a4 4 0 1 1-8 0 4 4 0 0 1 8 0z",
  sound: "M4 9v6h4l5 4V5L8 9zM17 9a4 4 0 0 1 0 6",
  pause: "M8 4v16M16 4v16",
  out: "M6 18L18 6M9 6h9v9",
  in: "M6 6l12 12M18 9v9H9",
  back: "M15 4l-8 8 8 8",
  ask: "M8 8a4 4 0 1 1 6 3.5c-1.5 1-2 1.7-2 3.5M12 19v.01",
  urgent: "M12 2l10 10-10 10L2 12zM12 7v6M12 16v.01",
  dot: "M12 12v.01",
  place: "M12 22c-5-6-7-9-7-12a7 7 0 0 1 14 0c0 3-2 6-7 12zM12 10v.01",
  north: "M12 20V4M6 10l6-6 6 6",
  south: "M12 4v16M6 14l6 6 6-6",
  west: "M20 12H4M10 6l-6 6 6 6",
  east: "M4 12h16M14 6l6 6-6 6",
};
const SVG = "http://www.w3.org/2000/svg";

/** Draw an icon by its name; what reads the page aloud passes over it. */
export function icon(name) {
  const [picture, path] = ["svg", "path"].map((tag) => document.createElementNS(SVG, tag));
  for (const [key, value] of Object.entries({ class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" })) picture.setAttribute(key, value);
  path.setAttribute("d", PATHS[name]);
  picture.append(path);
  return picture;
}
