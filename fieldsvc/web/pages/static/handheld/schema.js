// Reads the JSON Schema of a payload as fields to draw, and checks values by the schema's own rules. No page here.

export const PICTURES = ["signature", "carrier_signature", "photo", "evidence"];
const LONG_NAMES = ["note", "text", "comment", "message", "description"];
const DAY = "^\\d{4}-\\d\\d-\\d\\d$";

/** The fields of an object's schema, the required ones first: [{name, required, spec}]. */
export function fieldsOf(schema, defs = schema.$defs ?? {}) {
  const needed = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {}).map(([name, part]) => ({ name, required: needed.has(name), spec: specOf(name, part, defs) }));
  return [...fields.filter((each) => each.required), ...fields.filter((each) => !each.required)];
}

/** What kind of field it is: {kind: choice|yes|number|day|moment|text|list|group|point|picture|record|variants|any, …}. */
export function specOf(name, part, defs = {}) {
  const whole = part.$ref ? { ...defs[part.$ref.split("/").at(-1)], ...part, $ref: undefined } : part;
  const arms = (whole.anyOf ?? whole.oneOf ?? []).filter((arm) => arm.type !== "null");
  if (PICTURES.includes(name)) return { kind: "picture", many: arms.some((arm) => arm.type === "array"), drawn: name.endsWith("signature") };
  if (arms.length === 1) return specOf(name, { ...whole, ...arms[0], anyOf: undefined, oneOf: undefined }, defs);
  if (arms.length > 1) return manyOf(name, arms, defs);
  if (whole.enum || "const" in whole) return { kind: "choice", values: whole.enum ?? [whole.const] };
  return plain(name, whole, defs);
}

function manyOf(name, arms, defs) {
  const specs = arms.map((arm) => specOf(name, arm, defs));
  const told = specs.filter((each) => each.kind !== "any");
  if (told.length && told.every((each) => ["day", "moment"].includes(each.kind))) return { kind: "day", moments: true };
  return told.length === 1 ? told[0] : { kind: "variants", arms: told };
}

function plain(name, part, defs) {
  if (part.type === "boolean") return { kind: "yes" };
  if (part.type === "integer" || part.type === "number") return { kind: "number", whole: part.type === "integer", min: part.minimum, max: part.maximum };
  if (part.type === "string") return textual(name, part);
  if (part.type === "array") return listed(name, part, defs);
  if (part.properties) return grouped(part, defs);
  return part.patternProperties ? { kind: "record" } : { kind: "any" };
}

function textual(name, part) {
  if (part.pattern === DAY || part.format === "date") return { kind: "day" };
  if (part.format === "date-time") return { kind: "moment" };
  const long = LONG_NAMES.includes(name) || (part.maxLength > 80 && part.maxLength <= 280);
  return { kind: "text", max: part.maxLength, min: part.minLength, pattern: part.pattern, long };
}

function listed(name, part, defs) {
  const values = part.items?.enum ?? (part.examples ?? []).find(Array.isArray);
  return { kind: "list", item: specOf(name, part.items ?? {}, defs), values, least: part.minItems ?? 0, most: part.maxItems };
}

function grouped(part, defs) {
  const fields = fieldsOf(part, defs);
  const names = fields.map((each) => each.name);
  return { kind: names.includes("lat") && names.includes("lon") ? "point" : "group", fields };
}

/** What is wrong with a value, as {key, parts} of the words, or null. `undefined` is only wrong where it is required. */
export function faultOf(spec, value, required = false) {
  if (value === undefined) return required ? { key: "form.fault_required" } : null;
  return CHECKS[spec.kind]?.(spec, value) ?? null;
}

const CHECKS = {
  number: (spec, value) => {
    if (typeof value !== "number" || !Number.isFinite(value)) return { key: "form.fault_number" };
    if (spec.whole && !Number.isInteger(value)) return { key: "form.fault_whole" };
    if (spec.min !== undefined && value < spec.min) return { key: "form.fault_min", parts: { n: spec.min } };
    return spec.max !== undefined && value > spec.max ? { key: "form.fault_max", parts: { n: spec.max } } : null;
  },
  text: (spec, value) => {
    if (spec.max !== undefined && [...value].length > spec.max) return { key: "form.fault_long", parts: { n: spec.max } };
    if ([...value].length < (spec.min ?? 0)) return { key: "form.fault_required" };
    return fits(spec.pattern, value) ? null : { key: patternWord(value) };
  },
  choice: (spec, value) => (spec.values.includes(value) ? null : { key: "form.fault_choice" }),
  day: (spec, value) => (isDay(value) || (spec.moments && !Number.isNaN(Date.parse(value))) ? null : { key: "form.fault_day" }),
  moment: (_spec, value) => (Number.isNaN(Date.parse(value)) ? { key: "form.fault_day" } : null),
  list: (spec, value) => {
    if (spec.most !== undefined && value.length > spec.most) return { key: "form.fault_many", parts: { n: spec.most } };
    if (value.length < spec.least) return { key: "form.fault_required" };
    return value.map((each) => faultOf(spec.item, each)).find(Boolean) ?? null;
  },
};

/** Whether a text has the form of a pattern; one that this browser cannot read is left to the service. */
function fits(pattern, value) {
  try {
    return !pattern || new RegExp(pattern, "u").test(value);
  } catch {
    return true;
  }
}

function patternWord(value) {
  return /\s/.test(value) ? "form.fault_spaces" : "form.fault_pattern";
}

function isDay(value) {
  const found = new Date(`${value}T12:00:00Z`);
  return /^20\d\d-\d\d-\d\d$/.test(value) && !Number.isNaN(found.getTime()) && found.toISOString().startsWith(value);
}
