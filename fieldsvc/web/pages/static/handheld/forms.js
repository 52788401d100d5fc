// A form for any event that this phone may say, drawn from the event's schema: nothing here knows what a service is about.
import { say } from "../base.js";
import { el } from "./dom.js";
import { fieldOf } from "./fields.js";
import { shortType } from "./labels.js";
import { faultOf, fieldsOf } from "./schema.js";

const FILLED = new Set(["stop_id", "recorded_from", "run_id", "carrier", "fix", "form_version", "new_delivery_point_id", "report_id"]);
const HASHES = /(_hmac|_hash|_sha256)$/;

/**
 * Draw the form of an event of /v1/services: {type, schema}. `values` are filled in already, `hidden` are names of fields that the
 * screen fills itself, `offer` the choices of a field that are offered here ({name: values}), `big` fields whose choices are
 * buttons however many, `subject` the template of the service's subject (its id is not asked for where it is known or made by the
 * service), `questions` the answers that a task's form asks for, `at` the stop that "here" means where there is no position,
 * `picture(blob)` keeps a picture and gives its hash. Answers {node, read() → the data, or null with the faults shown, fields}.
 */
export function formOf(event, { values = {}, hidden = [], offer = {}, big = [], subject = "", questions = [], at = null, picture, onchange } = {}) {
  const all = fieldsOf(event.schema).map((each) => offered(each, offer[each.name], big.includes(each.name)));
  const isHidden = hiding(all, { hidden, subject, values });
  const about = { event: shortType(event.type), at, questions, hidden: (name) => FILLED.has(name) };
  const draw = (each) => fieldOf(each, { ...about, value: values[each.name] });
  const fields = all.filter((each) => !isHidden(each)).map(draw);
  const shown = new Set(fields.map((each) => each.name));
  const kept = Object.fromEntries(Object.entries(values).filter(([name]) => !shown.has(name)));
  const details = moreOf(fields);
  const node = el("div", { class: "form" }, fields.filter((each) => each.required).map((each) => each.node), details);
  if (onchange) node.addEventListener("change", onchange);
  return { node, fields, read: () => readAll(fields, { kept, picture }) };
}

function offered(field, values, big) {
  const all = field.spec.values;
  return all ? { ...field, spec: { ...field.spec, big, values: values ? all.filter((each) => values.includes(each)) : all } } : field;
}

/** Which fields are not asked for. */
function hiding(all, { hidden, subject, values }) {
  const ids = [...subject.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const never = new Set(hidden);
  const own = (each) => ids.includes(each.name) && (values[each.name] !== undefined || !each.required || values[`${each.name}s`] !== undefined);
  const hides = (each) => never.has(each.name) || FILLED.has(each.name) || HASHES.test(each.name) || own(each);
  const left = all.filter((each) => !hides(each));
  const isBare = left.length === 0 && ids.some((name) => values[name] === undefined);
  return isBare ? (each) => hides(each) && !ids.includes(each.name) : hides;
}

function moreOf(fields) {
  const optional = fields.filter((each) => !each.required);
  if (!optional.length) return null;
  const isAll = optional.length === fields.length;
  return isAll ? el("div", { class: "form" }, optional.map((each) => each.node)) : el("details", { class: "more" }, el("summary", {}, say("form.more_details")), optional.map((each) => each.node));
}

/** Read every field; on a fault say it beside its field, show the first, and give null. Nothing that was typed is lost. */
async function readAll(fields, { kept, picture }) {
  const faulty = checked(fields);
  if (faulty.length) {
    reveal(faulty[0]);
    return null;
  }
  const data = { ...kept };
  for (const each of fields) {
    const value = await valueOf(each, picture);
    if (value !== undefined) data[each.name] = value;
  }
  return data;
}

/** Say what is wrong beside each field; the fields that have a fault, in order. */
export function checked(fields) {
  const faulty = [];
  for (const field of fields) {
    const wrong = field.pictures ? null : (faultOf(field.spec, field.get(), field.required) ?? faultOfPlace(field));
    field.fault(wrong ? say(wrong.key, wrong.parts) : "");
    if (wrong) faulty.push(field);
    else if (isFilled(field)) faulty.push(...checked(innerOf(field)));
  }
  return faulty;
}

function isFilled(field) {
  return field.required || field.get() !== undefined;
}

function innerOf(field) {
  const chosen = field.chosen?.();
  return chosen ? [chosen] : (field.inner ?? []);
}

function faultOfPlace(field) {
  const value = field.isPlace ? field.get() : undefined;
  if (!value) return null;
  const isOn = Math.abs(value.lat) <= 90 && Math.abs(value.lon) <= 180;
  return isOn ? null : { key: "form.fault_place" };
}

function reveal(field) {
  for (let node = field.node.parentElement; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  (field.target ?? field.node).focus({ preventScroll: true });
  field.node.scrollIntoView({ block: "center" });
}

/** The value of a field once its pictures are kept, those of the fields inside it too. */
async function valueOf(field, picture) {
  if (field.pictures) return pictureOf(field, picture);
  const value = field.get();
  if (!field.inner || Array.isArray(value)) return value;
  const taken = [];
  for (const each of field.inner.filter((one) => one.pictures)) taken.push([each.name, await pictureOf(each, picture)]);
  const found = taken.filter(([, each]) => each !== undefined);
  return value === undefined && !found.length ? undefined : { ...value, ...Object.fromEntries(found) };
}

async function pictureOf(field, picture) {
  const hashes = [];
  for (const blob of await field.pictures()) hashes.push(await picture(blob));
  if (!hashes.length) return field.get();
  return field.spec.many && hashes.length > 1 ? hashes : hashes[0];
}
