// Choices as big buttons: radio buttons underneath, so that keyboards and screen readers know them.
import { say } from "../base.js";
import { el } from "./dom.js";
import { boxed, fieldset, newId } from "./boxes.js";
import { fieldOf } from "./fields.js";
import { valueLabel } from "./labels.js";

const MOST_BUTTONS = 6;

/** One of some values: up to six as buttons, more as a list to pull down. */
export function choices(field) {
  const { name, spec, about } = field;
  const options = spec.values.map((value) => ({ value, text: valueLabel(value, name, about.event) }));
  return options.length > MOST_BUTTONS && !spec.big ? pulled(field, options) : pressed(field, options);
}

/** Yes or no. */
export function yesNo(field) {
  return pressed(field, [{ value: true, text: say("form.yes") }, { value: false, text: say("form.no") }], "picks--short");
}

/** Buttons of which one is on; a second touch lets go of it where nothing is needed. */
export function pressed({ name, label, required, about }, options, more = "") {
  const group = newId(name);
  const inputs = options.map(({ value }) => el("input", { type: "radio", name: group, checked: value === about.value }));
  const labels = options.map(({ text, hint }, index) => el("label", { class: "pick" }, inputs[index], el("span", {}, text, hint && el("small", {}, hint))));
  const box = fieldset({ name, label, about }, el("div", { class: `picks ${more || (options.length % 2 ? "picks--one" : "")}` }, labels));
  const get = () => options[inputs.findIndex((each) => each.checked)]?.value;
  if (!required) inputs.forEach(lettingGo);
  box.node.addEventListener("change", () => (box.fault(""), about.onchange?.(get())));
  return { ...box, target: inputs[0], get, set: (value) => options.forEach((each, index) => (inputs[index].checked = each.value === value)) };
}

function lettingGo(input) {
  let was = input.checked;
  input.parentElement.addEventListener("pointerdown", () => (was = input.checked));
  input.addEventListener("click", () => {
    if (!was) return;
    input.checked = was = false;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

function pulled({ name, label, about }, options) {
  const made = options.map(({ text }, index) => el("option", { value: String(index) }, text));
  const control = el("select", {}, el("option", { value: "" }, say("form.choose")), made);
  const at = options.findIndex((each) => each.value === about.value);
  control.value = at < 0 ? "" : String(at);
  const get = () => options[Number(control.value || "-1")]?.value;
  control.addEventListener("change", () => about.onchange?.(get()));
  return { ...boxed({ name, label, about }, control), get };
}

/** A value of several possible kinds: first which kind, then the value. */
export function variants(field) {
  const { name, spec, label, about } = field;
  const fits = spec.arms.findIndex((arm) => FITS[arm.kind]?.(about.value, arm));
  const arms = spec.arms.map((arm, index) => fieldOf({ name, required: false, spec: arm }, { ...about, label: say("form.variant_value"), value: index === fits ? about.value : undefined }));
  const shown = arms.map((each) => el("div", { class: "variant", hidden: true }, each.node));
  const show = (index) => shown.forEach((node, at) => (node.hidden = at !== index || isAlone(spec.arms[at])));
  const options = spec.arms.map((arm, index) => ({ value: index, text: armWords(arm, name, about.event) }));
  const which = pressed({ ...field, label, about: { ...about, value: fits < 0 ? undefined : fits, onchange: show } }, options);
  show(fits);
  const get = () => (which.get() === undefined ? undefined : valueOf(spec.arms[which.get()], arms[which.get()]));
  const node = el("div", { class: "variants" }, which.node, shown);
  return { ...which, node, get, chosen: () => arms[which.get()] };
}

const FITS = {
  yes: (value) => typeof value === "boolean",
  number: (value) => typeof value === "number",
  text: (value) => typeof value === "string",
  choice: (value, arm) => arm.values.includes(value),
  group: (value) => typeof value === "object" && value !== null,
  list: (value) => Array.isArray(value),
};

function isAlone(arm) {
  return arm.kind === "choice" && arm.values.length === 1;
}

function valueOf(arm, field) {
  return isAlone(arm) ? arm.values[0] : field.get();
}

function armWords(arm, name, event) {
  if (isAlone(arm)) return valueLabel(arm.values[0], name, event);
  return arm.kind === "group" ? valueLabel(`${name}_group`, "", event) : say(`form.variant_${arm.kind}`);
}
