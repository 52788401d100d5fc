// What a field, a choice or a service is called: the words of the page, else its own name made readable.
import { say, words } from "../base.js";

/** Make a name readable: `box_colour` → "Box colour". */
export function humanise(name) {
  const text = String(name).replaceAll("_", " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The label of an event's field: words for this event's field come before those for the name. */
export function fieldLabel(name, event = "") {
  return known(`field_${flat(event)}_${name}`, `field_${name}`) ?? humanise(name);
}

/** The words of a choice: for this event's field, for the field, or for the value wherever it stands. */
export function valueLabel(value, name = "", event = "") {
  return known(`value_${flat(event)}_${name}_${value}`, `value_${name}_${value}`, `value_${value}`) ?? humanise(value);
}

/** A sentence that explains a field, where there is one. */
export function fieldHint(name, event = "") {
  return known(`hint_${flat(event)}_${name}`, `hint_${name}`);
}

/** The name without its prefix and version: `fieldsvc.item.delivered.v1` → `item.delivered`. */
export function shortType(type) {
  return type.replace(/^fieldsvc\./, "").replace(/\.v\d+$/, "");
}

function known(...keys) {
  const found = keys.find((key) => words[key] !== undefined);
  return found && say(found);
}

function flat(event) {
  return shortType(event).replaceAll(".", "_");
}
