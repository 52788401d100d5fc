// The fields of a new address, begun with what stays of the old one.
import { say } from "../base.js";
import { begun, faultOfParts, join, newAddressOf, PARTS } from "./addresses.js";
import { boxed } from "./boxes.js";
import { el } from "./dom.js";

const MORE = { number: { inputmode: "numeric" }, postcode: { inputmode: "numeric", maxlength: 5 } };

/** {node, show(change), get() → the written address, undefined for none, or null with its fault shown}. */
export function newAddress(old) {
  const fields = Object.fromEntries(PARTS.map((part) => [part, fieldOf(part)]));
  const named = el("p", { class: "label", id: "new-address" }, say("field_new_address"));
  const parts = el("div", { class: "parts" }, PARTS.map((part) => fields[part].node));
  const node = el("div", { class: "field field--group", role: "group", "aria-labelledby": "new-address", hidden: true }, named, parts);
  let change = null;
  let touched = false;
  node.addEventListener("input", () => (touched = true));
  const show = (chosen) => {
    node.hidden = newAddressOf(chosen) === "no";
    if (chosen !== change && !touched) Object.entries(begun(chosen, old)).forEach(([part, text]) => (fields[part].target.value = text));
    change = chosen;
  };
  const get = () => {
    if (node.hidden) return undefined;
    const parts = Object.fromEntries(PARTS.map((part) => [part, fields[part].target.value]));
    const wrong = faultOfParts(parts, { change, old });
    for (const part of PARTS) fields[part].fault(wrong?.part === part ? say(wrong.key) : "");
    if (wrong) fields[wrong.part].target.focus();
    return wrong ? null : join(parts) || undefined;
  };
  return { node, show, get };
}

function fieldOf(part) {
  const control = el("input", { type: "text", autocomplete: "off", maxlength: 120, ...MORE[part] });
  const box = boxed({ name: part, label: say(`address.${part}`), about: { event: "" } }, control);
  box.node.classList.add(`parts__${part}`);
  return box;
}
