// One field of a form for one kind of value: {node, get() → value, undefined or NaN for what cannot be read, fault(words), target}.
import { say } from "../base.js";
import { boxed, fieldset } from "./boxes.js";
import { el } from "./dom.js";
import { choices, variants, yesNo } from "./fields_choice.js";
import { picture, point } from "./fields_made.js";
import { list } from "./fields_list.js";
import { fieldLabel } from "./labels.js";

/**
 * Draw a field. `about` is {event, value, at, questions, words?}; `at` is the stop that stands for "here", `words` other words
 * than the field's own. A required field says nothing of it, an optional one stands under the details.
 */
export function fieldOf({ name, spec, required }, about) {
  const label = about.label ?? fieldLabel(name, about.event);
  const drawn = (KINDS[spec.kind] ?? none)({ name, spec, required, label, about });
  return { name, spec, required, label, ...drawn };
}

const KINDS = { text, number, day, moment, list, point, picture, group, record, yes: yesNo, choice: choices, variants };

function text({ name, spec, required, label, about }) {
  const was = about.value;
  const written = was !== undefined && was !== null && typeof was !== "object" ? String(was) : "";
  const control = spec.long
    ? el("textarea", { rows: 3, value: written })
    : el("input", { type: "text", value: written, autocomplete: "off", ...(spec.pattern ? { autocapitalize: "none", spellcheck: "false" } : {}) });
  const counter = spec.long && spec.max ? el("span", { class: "hint counter" }) : null;
  const count = () => counter && (counter.textContent = say("form.counter", { n: [...control.value].length, most: spec.max }));
  control.addEventListener("input", count);
  count();
  const get = () => {
    const now = spec.pattern ? control.value.trim() : control.value;
    if (now === written && was !== undefined) return was;
    return now.trim() === "" ? undefined : now;
  };
  return { ...boxed({ name, label, about, required }, control, { extra: counter }), get };
}

function number({ name, spec, label, about }) {
  const written = about.value === undefined || about.value === null ? "" : String(about.value);
  const control = el("input", { type: "text", inputmode: spec.whole ? "numeric" : "decimal", autocomplete: "off", value: written });
  const get = () => {
    const now = control.value.replaceAll(/\s/g, "").replace(",", ".");
    if (now === "") return undefined;
    return /^-?\d+(\.\d+)?$/.test(now) ? Number(now) : Number.NaN;
  };
  return { ...boxed({ name, label, about }, control), get };
}

function day({ name, label, about }) {
  const written = (about.value ?? "").slice(0, 10);
  const control = el("input", { type: "date", value: written });
  const get = () => (written && control.value === written ? about.value : (unread(control) ?? (control.value || undefined)));
  return { ...boxed({ name, label, about }, control), get };
}

function moment({ name, label, about }) {
  const written = about.value ? localTime(new Date(about.value)) : "";
  const control = el("input", { type: "datetime-local", value: written });
  const get = () => {
    if (control.value === written && about.value) return about.value;
    return unread(control) ?? (control.value ? new Date(control.value).toISOString() : undefined);
  };
  return { ...boxed({ name, label, about }, control), get };
}

function unread(control) {
  return control.validity.badInput ? Number.NaN : undefined;
}

/** A moment as an input of the phone's own time writes it. */
export function localTime(date) {
  const two = (part) => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

function group({ name, spec, required, label, about }) {
  const value = about.value ?? {};
  const known = new Set(spec.fields.map((each) => each.name));
  const kept = Object.fromEntries(Object.entries(value).filter(([key]) => !known.has(key)));
  const isThere = about.value !== undefined || (required && !spec.fields.some((each) => each.required));
  const inner = spec.fields.filter((each) => !about.hidden?.(each.name)).map((each) => fieldOf(each, { ...about, label: undefined, value: value[each.name] }));
  const get = () => {
    const found = Object.fromEntries(inner.map((each) => [each.name, each.get()]).filter(([, each]) => each !== undefined));
    return Object.keys(found).length || isThere ? { ...kept, ...found } : undefined;
  };
  return { ...fieldset({ name, label, about }, ...inner.map((each) => each.node)), get, inner };
}

/** Answers that a task's form asks for: each question has a kind; without questions those that are there already. */
function record({ name, label, about }) {
  const value = about.value ?? {};
  const questions = about.questions?.length ? about.questions : Object.entries(value).map(([key, each]) => ({ name: key, kind: kindOfAnswer(each) }));
  const inner = questions.map((each) => fieldOf({ name: each.name, required: false, spec: specOfQuestion(each) }, { ...about, label: each.label, value: value[each.name] }));
  const asked = new Set(questions.map((each) => each.name));
  const kept = Object.fromEntries(Object.entries(value).filter(([key]) => !asked.has(key)));
  const get = () => ({ ...kept, ...Object.fromEntries(inner.map((each) => [each.name, each.get()]).filter(([, each]) => each !== undefined)) });
  return { ...fieldset({ name, label, about }, ...inner.map((each) => each.node)), get, inner };
}

function kindOfAnswer(value) {
  if (Array.isArray(value)) return "choices";
  return { boolean: "boolean", number: "number" }[typeof value] ?? "text";
}

function specOfQuestion({ kind, choices: offered }) {
  if (kind === "boolean") return { kind: "yes" };
  if (kind === "number") return { kind: "number" };
  if (kind === "choices") return { kind: "list", values: offered, item: { kind: "text", max: 280 }, least: 0 };
  return { kind: "text", max: 280, long: true };
}

/** What no control can show passes through as it is. */
function none({ about }) {
  return { node: el("span", { hidden: true }), get: () => about.value, fault: () => {}, target: null };
}
