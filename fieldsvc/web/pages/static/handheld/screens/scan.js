// The scanner: where the page opens on duty. A scan decides; what is common needs no touch.
import { say } from "../../base.js";
import { placeOf, windowInWords } from "../acts.js";
import { hasCamera, openCamera } from "../camera.js";
import { cardOf } from "../cards.js";
import { button, el } from "../dom.js";
import { MODES, loading } from "../scan.js";
import { openScanner } from "../scanner.js";
import { showWarnings } from "../warnings.js";

export const name = "scan";
export const title = "scan_title";
export const tab = "scan";

export function render(root, params, ctx) {
  const scanner = openScanner(ctx);
  const parts = { modes: el("div", { class: "modes", role: "group", "aria-label": say("mode") }), now: el("div", { class: "scan-now" }), warned: el("div", { class: "warned" }) };
  const hand = byHand((code) => scanner.hear(code));
  const camera = cameraPart((code) => scanner.hear(code));
  root.append(parts.modes, parts.now, camera.view, parts.warned, hand, camera.node, soundSwitch(scanner));
  const draw = () => drawNow(parts, { scanner, ctx });
  scanner.show = draw;
  draw();
  const ends = [ctx.day.listen(() => drawModes(parts.modes, scanner)), showWarnings(parts.warned, ctx), camera.stop];
  return () => {
    scanner.show = () => {};
    for (const end of ends) end();
  };
}

function drawNow(parts, { scanner, ctx }) {
  drawModes(parts.modes, scanner);
  const { view } = scanner;
  parts.now.replaceChildren(view ? cardOf(view, { day: ctx.day, act: scanner.act }) : waiting(scanner, ctx));
  clearTimeout(drawNow.timer);
  if (view?.believed) drawNow.timer = setTimeout(() => parts.now.querySelector(".elsewhere")?.remove(), 10_000);
}

function drawModes(root, scanner) {
  const buttons = MODES.map((mode) => {
    const made = button({ text: say(`mode_${mode}`), kind: "quiet", class: "modes__one", onclick: () => scanner.choose(mode).then(() => root.querySelector("[aria-pressed=true]")?.focus()) });
    made.setAttribute("aria-pressed", String(scanner.mode === mode));
    made.dataset.mode = mode;
    return made;
  });
  root.replaceChildren(...buttons);
}

// Before the first scan: what the scanner waits for, and where to go next.
function waiting({ mode }, { day }) {
  const next = mode === "deliver" ? day.next() : null;
  const { all, open } = loading(day);
  const detail = mode === "load" && all ? el("p", { class: "hint" }, say("load_expected", { n: all - open.length, all })) : null;
  return el(
    "section",
    { class: "scan-card scan-card--wait", dataset: { kind: "wait" } },
    el("h2", { class: "scan-card__title" }, el("span", { class: "scan-card__beam", "aria-hidden": "true" }), say(`wait_${mode}`)),
    el("p", { class: "hint" }, say(`wait_${mode}_what`)),
    detail,
    next && nextStop(next, day),
  );
}

function nextStop(stop, day) {
  const open = stop.tasks.filter((task) => day.isOpen(task));
  const window = windowInWords(open.find((task) => task.window)?.window, new Date());
  const place = placeOf(stop);
  const text = el("span", { class: "next__text" }, el("span", { class: "muted" }, say("next_stop")), el("strong", {}, place.street), window && el("span", { class: `window window--${window.state}` }, window.text));
  return el("a", { class: "next", href: `#/stop/${encodeURIComponent(stop.stop_id)}` }, text, el("span", { "aria-hidden": "true", class: "next__go" }, "›"));
}

function byHand(take) {
  const input = el("input", { id: "by-hand", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", inputmode: "text", enterkeyhint: "done", class: "mono", maxlength: "64" });
  const digits = button({ text: "123", kind: "quiet", class: "by-hand__keys", "aria-pressed": "false", "aria-label": say("digits_keys") });
  digits.addEventListener("click", () => {
    const on = input.inputMode !== "numeric";
    input.inputMode = on ? "numeric" : "text";
    digits.setAttribute("aria-pressed", String(on));
    input.focus();
  });
  const send = () => {
    const code = input.value.trim();
    input.value = "";
    if (code) take(code);
    else input.focus();
  };
  const form = el("form", { class: "by-hand", onsubmit: (event) => (event.preventDefault(), send()) });
  form.append(el("label", { for: "by-hand" }, say("by_hand")), el("div", { class: "by-hand__row" }, input, digits, el("button", { class: "press", type: "submit" }, say("by_hand_ok"))));
  return form;
}

// The camera where the browser can read codes; elsewhere one line says that the scanner and the keyboard do it.
function cameraPart(take) {
  const view = el("div", { class: "camera", hidden: true });
  if (!hasCamera()) return { view, node: el("p", { class: "hint camera-none" }, say("camera_none")), stop: () => {} };
  const video = el("video", { class: "camera__video", muted: true, playsinline: true, "aria-label": say("camera_view") });
  let open = null;
  const stop = () => {
    open?.stop();
    open = null;
    view.hidden = true;
    toggle.lastChild.textContent = say("camera_open");
  };
  const begin = async () => {
    try {
      open = await openCamera({ video, onCode: take });
    } catch {
      said.textContent = say("camera_refused");
      return;
    }
    torch.hidden = !open.hasTorch;
    view.hidden = false;
    toggle.lastChild.textContent = say("camera_close");
  };
  let lit = false;
  const torch = button({ text: say("torch"), kind: "quiet", hidden: true, onclick: async () => torch.setAttribute("aria-pressed", String((lit = (await open.torch(!lit)) ? !lit : lit))) });
  const said = el("p", { class: "hint", role: "status" });
  const toggle = button({ text: say("camera_open"), kind: "quiet", big: true, icon: "camera", class: "camera-toggle", onclick: () => (open ? stop() : begin()) });
  view.append(video, torch);
  return { view, node: el("div", {}, toggle, said), stop };
}

function soundSwitch(scanner) {
  const made = button({ text: say(scanner.settings.sound ? "sound_on" : "sound_off"), kind: "quiet", big: true, icon: "sound" });
  made.addEventListener("click", async () => {
    await scanner.keep({ sound: !scanner.settings.sound });
    made.lastChild.textContent = say(scanner.settings.sound ? "sound_on" : "sound_off");
  });
  return made;
}
