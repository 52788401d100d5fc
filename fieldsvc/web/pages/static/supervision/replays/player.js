// The common clock: a slider, play and stop, a speed, and the arrow keys from minute to minute.

import { clock, t } from "../words.js";
import { $, say } from "../dom.js";

const FRAME_MS = 100;
const STEP_MS = 60_000;

// `onShow(time)` draws a moment. Returns {stop}.
export function makePlayer({ first, last }, onShow) {
  const view = { first, last, time: first, timer: null, onShow };
  const slider = $("clock");
  Object.assign(slider, { min: first, max: last, step: 1000, value: last });
  slider.oninput = () => go(view, Number(slider.value));
  slider.onkeydown = (event) => onKey(view, event);
  $("play").onclick = () => (view.timer ? stop(view) : start(view));
  say($("clock-from"), clock(first));
  say($("clock-to"), clock(last));
  go(view, last);
  return { stop: () => stop(view), time: () => view.time };
}

function onKey(view, event) {
  const by = { ArrowRight: STEP_MS, ArrowUp: STEP_MS, ArrowLeft: -STEP_MS, ArrowDown: -STEP_MS, PageUp: 10 * STEP_MS, PageDown: -10 * STEP_MS }[event.key];
  if (!by) return;
  event.preventDefault();
  go(view, view.time + by);
}

function start(view) {
  if (view.time >= view.last) go(view, view.first);
  say($("play"), t("replay_pause"));
  view.timer = setInterval(() => {
    if (document.hidden) return;
    go(view, view.time + Number($("speed").value) * FRAME_MS);
    if (view.time >= view.last) stop(view);
  }, FRAME_MS);
}

function stop(view) {
  clearInterval(view.timer);
  view.timer = null;
  say($("play"), t("replay_play"));
}

function go(view, time) {
  view.time = Math.min(view.last, Math.max(view.first, time));
  $("clock").value = view.time;
  $("clock").setAttribute("aria-valuetext", clock(view.time));
  say($("clock-now"), clock(view.time));
  view.onShow(view.time);
}
