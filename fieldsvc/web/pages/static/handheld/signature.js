// A field to sign in: strokes of a finger or a pen, sharp on every screen. Without drawing there is a code, or a photo.
import { say } from "../base.js";
import { button, el } from "./dom.js";

const WIDTH = 2.4; // of a stroke, in CSS pixels
const PICTURE = { width: 640, height: 240, margin: 12 };
const LEAST = 24; // CSS pixels of stroke: less is a touch, not a signature

/** Make a field to sign in: {node, blob(), empty(), clear()}. `label` names who signs, `onchange` hears of every stroke. */
export function signaturePad({ label = say("sign_label"), onchange = () => {} } = {}) {
  const strokes = [];
  const canvas = el("canvas", { class: "sign__canvas", role: "img", "aria-label": label });
  const hint = el("p", { class: "sign__hint", "aria-hidden": "true" }, say("sign_here"));
  const pad = { strokes, canvas, changed: () => changed() };
  const clear = button({ text: say("sign_clear"), kind: "quiet", class: "sign__clear", onclick: () => wipe() });
  const changed = () => {
    const empty = isEmpty(strokes);
    hint.hidden = strokes.length > 0;
    clear.disabled = strokes.length === 0;
    canvas.setAttribute("aria-label", empty ? label : say("sign_done", { label }));
    onchange(!empty);
  };
  const wipe = () => {
    strokes.length = 0;
    paint(pad);
    changed();
  };
  hear(pad);
  changed();
  const node = el("div", { class: "sign" }, el("p", { class: "sign__label" }, label), el("div", { class: "sign__ground" }, canvas, hint), clear);
  return { node, blob: () => picture(strokes), empty: () => isEmpty(strokes), clear: wipe };
}

function isEmpty(strokes) {
  return strokes.reduce((sum, stroke) => sum + length(stroke), 0) < LEAST;
}

function length(stroke) {
  return stroke.slice(1).reduce((sum, [x, y], n) => sum + Math.hypot(x - stroke[n][0], y - stroke[n][1]), 0);
}

function hear(pad) {
  const { canvas, strokes } = pad;
  let drawing = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    drawing = [at(event)];
    strokes.push(drawing);
    paint(pad);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    const found = event.getCoalescedEvents?.() ?? [];
    drawing.push(...(found.length ? found : [event]).map(at));
    paint(pad);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (drawing) pad.changed();
      if (drawing) canvas.dispatchEvent(new Event("input", { bubbles: true })); // a draft, as typed text is
      drawing = null;
    });
  }
  new ResizeObserver(() => paint(pad)).observe(canvas);
}

function paint({ canvas, strokes }) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.strokeStyle = getComputedStyle(canvas).color;
  draw(pen, strokes, WIDTH);
}

function draw(pen, strokes, width) {
  Object.assign(pen, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes) {
    pen.beginPath();
    pen.moveTo(...stroke[0]);
    for (let n = 1; n < stroke.length; n += 1) {
      const [[ax, ay], [bx, by]] = [stroke[n - 1], stroke[n]];
      pen.quadraticCurveTo(ax, ay, (ax + bx) / 2, (ay + by) / 2);
    }
    pen.lineTo(...stroke.at(-1));
    pen.stroke();
  }
}

// Black on white whatever the screen's colours are, cut to what was drawn: it goes on a document.
async function picture(strokes) {
  if (isEmpty(strokes)) return null;
  const all = strokes.flat();
  const [left, top] = [0, 1].map((axis) => Math.min(...all.map((point) => point[axis])));
  const [right, bottom] = [0, 1].map((axis) => Math.max(...all.map((point) => point[axis])));
  const { margin } = PICTURE;
  const scale = Math.min((PICTURE.width - 2 * margin) / Math.max(1, right - left), (PICTURE.height - 2 * margin) / Math.max(1, bottom - top), 4);
  const made = new OffscreenCanvas(Math.ceil((right - left) * scale) + 2 * margin, Math.ceil((bottom - top) * scale) + 2 * margin);
  const pen = made.getContext("2d");
  Object.assign(pen, { fillStyle: "white", strokeStyle: "black" });
  pen.fillRect(0, 0, made.width, made.height);
  draw(pen, strokes.map((stroke) => stroke.map(([x, y]) => [(x - left) * scale + margin, (y - top) * scale + margin])), WIDTH * scale);
  return made.convertToBlob({ type: "image/png" });
}
