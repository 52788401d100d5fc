// What every field stands in: its label, its hint, and the place where its fault is said.
import { el } from "./dom.js";
import { fieldHint } from "./labels.js";

let made = 0;

/** An id that no other element has. */
export function newId(name) {
  made += 1;
  return `f${made}-${name}`;
}

/** A labelled box around a control, with its hint and the place of its fault. */
export function boxed({ name, label, about }, control, { hint, extra } = {}) {
  const id = control.id || newId(name);
  const words = hint ?? fieldHint(name, about.event);
  const fault = el("span", { class: "fault", id: `${id}-fault`, role: "alert" });
  control.id = id;
  control.setAttribute("aria-describedby", [words && `${id}-hint`, fault.id].filter(Boolean).join(" "));
  const node = el("div", { class: "field" }, el("label", { for: id }, label), words && el("span", { class: "hint", id: `${id}-hint` }, words), control, extra, fault);
  return { node, target: control, fault: (text) => faulty(control, fault, text) };
}

/** A group of controls under one name, with the place of its fault. */
export function fieldset({ name, label, about }, ...inside) {
  const id = newId(name);
  const words = fieldHint(name, about.event);
  const fault = el("span", { class: "fault", id, role: "alert" });
  const named = { class: "field field--group", role: "group", "aria-labelledby": `${id}-name`, "aria-describedby": id, tabindex: "-1" };
  const node = el("div", named, el("p", { class: "label", id: `${id}-name` }, label), words && el("span", { class: "hint" }, words), ...inside, fault);
  return { node, target: node, fault: (text) => faulty(node, fault, text) };
}

function faulty(control, fault, text) {
  fault.textContent = text ?? "";
  if (control.getAttribute("role") !== "group") control.setAttribute("aria-invalid", text ? "true" : "false");
}
