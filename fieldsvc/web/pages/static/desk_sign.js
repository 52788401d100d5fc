// A field to sign in, for who can draw; on paper, and without a signature, needs no script.
const pad = document.getElementById("pad");
const form = document.getElementById("hand-over");
const SIDE = 255; // the points of a drawing are two numbers from 0 to this
const MOST = 480; // points that the form takes

if (pad && form) begin(pad, form);

function begin(place, sheet) {
  const canvas = place.querySelector("canvas");
  const field = sheet.elements.drawing;
  const strokes = [];
  let drawing = null;

  const chosen = () => sheet.elements.signing.value === "screen";
  const show = () => {
    place.hidden = !chosen();
    if (!place.hidden) paint(canvas, strokes);
  };
  for (const each of sheet.elements.signing) each.addEventListener("change", show);

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((part) =>
      Math.max(0, Math.min(SIDE, Math.round(part * SIDE))),
    );
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    drawing = [at(event)];
    strokes.push(drawing);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    drawing.push(at(event));
    paint(canvas, strokes);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      drawing = null;
      field.value = written(strokes);
    });
  }
  document.getElementById("pad-clear").addEventListener("click", () => {
    strokes.length = 0;
    field.value = "";
    paint(canvas, strokes);
  });
  show();
}

function paint(canvas, strokes) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  Object.assign(pen, { lineWidth: 2.4 * scale, lineCap: "round", lineJoin: "round", strokeStyle: getComputedStyle(canvas).color });
  for (const stroke of strokes) {
    pen.beginPath();
    for (const [x, y] of stroke) pen.lineTo((x / SIDE) * canvas.width, (y / SIDE) * canvas.height);
    pen.stroke();
  }
}

function written(strokes) {
  const count = strokes.reduce((sum, stroke) => sum + stroke.length, 0);
  const every = Math.ceil(count / MOST);
  const thinned = strokes.map((stroke) => stroke.filter((_, n) => n % every === 0 || n === stroke.length - 1));
  const two = (number) => number.toString(16).padStart(2, "0");
  const text = thinned.map((stroke) => stroke.map(([x, y]) => two(x) + two(y)).join("")).join(".");
  return text.length <= 2000 ? text : text.slice(0, 2000).replace(/\.[0-9a-f]*$/, "");
}
