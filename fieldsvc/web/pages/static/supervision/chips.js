// The filter chips: one for each state that there is, with how many there are, and one for rounds with a timed task left.

import { el, say } from "./dom.js";
import { SHAPES, glyph } from "./shapes.js";
import { stateWord, t } from "./words.js";

// `states` is the set of chosen states; `onChange()` hears of a choice. `timed` is whether only timed tasks are shown.
export function makeChips(box, filter, onChange) {
  const toggle = (state) => {
    if (!filter.states.delete(state)) filter.states.add(state);
    onChange();
  };
  const chip = (state) => el("button", { type: "button", class: "chip", dataset: { state }, onclick: () => toggle(state) }, glyph(state), ` ${stateWord(state)} `, el("b", { class: "n" }));
  const timed = el("button", { type: "button", class: "chip", onclick: () => {
    filter.timed = !filter.timed;
    onChange();
  } }, `${t("timed_chip")} `, el("b", { class: "n" }));
  box.append(...Object.keys(SHAPES).filter((state) => state !== "hazard").map(chip), timed);
  return { box, filter, timed };
}

// `found` counts rounds by state; `timed` those with a timed task left.
export function showChips({ box, filter, timed: chip }, found, timed) {
  for (const each of box.querySelectorAll("[data-state]")) {
    const { state } = each.dataset;
    show(each, found[state] ?? 0, filter.states.has(state));
  }
  show(chip, timed, filter.timed);
}

function show(chip, n, isOn) {
  chip.hidden = n === 0 && !isOn;
  chip.setAttribute("aria-pressed", String(isOn));
  say(chip.querySelector(".n"), String(n));
}
