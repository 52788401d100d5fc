// Several values: some of those that are known as buttons to press, others by scanning or typing one after the other.
import { say } from "../base.js";
import { button, el } from "./dom.js";
import { boxed, fieldset, newId } from "./boxes.js";
import { fieldOf } from "./fields.js";
import { valueLabel } from "./labels.js";
import { faultOf } from "./schema.js";

export function list(field) {
  if (field.spec.values) return several(field);
  return field.spec.item.kind === "group" ? groups(field) : gathered(field);
}

function several({ name, spec, label, about }) {
  const values = [...new Set([...spec.values, ...(about.value ?? [])])];
  const inputs = values.map((value) => el("input", { type: "checkbox", checked: about.value?.includes(value) ?? false }));
  const labels = values.map((value, index) => el("label", { class: "pick" }, inputs[index], el("span", {}, valueLabel(value, name, about.event))));
  const get = () => {
    const found = values.filter((_, index) => inputs[index].checked);
    return found.length || about.value ? found : undefined;
  };
  return { ...fieldset({ name, label, about }, el("div", { class: "picks" }, labels)), target: inputs[0], get };
}

/** Typed or scanned (a scanner types, then presses Enter): each stands below with a button that takes it away. */
function gathered({ name, spec, label, about }) {
  const found = [...(about.value ?? [])];
  const control = el("input", { type: "text", id: newId(name), autocomplete: "off", autocapitalize: "none", spellcheck: "false", enterkeyhint: "done" });
  const shown = el("ul", { class: "gathered" });
  const box = boxed({ name, label, about }, control, { extra: [button({ text: say("form.add"), kind: "quiet", big: true, onclick: () => take() }), shown] });
  const draw = () => shown.replaceChildren(...found.map((each, index) => chip(each, () => (found.splice(index, 1), draw(), control.focus()))));
  const take = () => {
    const value = control.value.trim();
    if (!value) return true;
    const wrong = faultOf(spec.item, value);
    box.fault(wrong ? say(wrong.key, wrong.parts) : "");
    if (wrong) return false;
    if (!found.includes(value)) found.push(value);
    control.value = "";
    draw();
    return true;
  };
  control.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    take();
  });
  draw();
  const get = () => {
    const all = [...found, ...(control.value.trim() ? [control.value.trim()] : [])];
    return all.length || about.value ? all : undefined;
  };
  return { ...box, get };
}

function chip(text, onclick) {
  return el("li", {}, el("span", {}, text), button({ text: say("form.remove"), kind: "quiet", "aria-label": `${say("form.remove")} ${text}`, onclick }));
}

/** Groups of fields, one after the other, as many as are wanted. */
function groups({ name, spec, label, about }) {
  const inner = [];
  const shown = el("div", { class: "groups" });
  const add = (value) => {
    const made = fieldOf({ name, required: false, spec: spec.item }, { ...about, label: `${label} ${inner.length + 1}`, value });
    inner.push(made);
    shown.append(made.node);
  };
  (about.value ?? []).forEach(add);
  const more = button({ text: say("form.add"), kind: "quiet", big: true, onclick: () => add() });
  const get = () => {
    const found = inner.map((each) => each.get()).filter((each) => each !== undefined);
    return found.length || about.value ? found : undefined;
  };
  return { ...fieldset({ name, label, about }, shown, more), get, inner };
}
