// What a scan means: decided from the code, the sheet, what the phone did today and where the carrier is. No page, no clock.
import { candidates, clean, isId, isMisread, isRegistered, isSscc, kindOf, looksLikeS10 } from "./codes.js";

export const MODES = ["load", "deliver", "back"];
export const SHORTEST = 6;
export const AGAIN_MS = 4_000;
const LOADING_MS = 15 * 60_000;
const RECENT_MS = 5 * 60_000;
const NEAR_M = 60;
const SIGNED = ["signature", "registered", "identity"];
const STAYS = ["other_date", "hold", "pickup_point", "redirect_temporary", "redirect_permanent"];
const ASKED = ["neighbour", "safe_place"];
const FORMS = {
  key: { load: "key.collected", deliver: "key.returned", back: "key.deposited" },
  pet: { load: "pet.picked_up", deliver: "pet.handed_over", back: "pet.handed_over" },
  meter: { load: "meter.read", deliver: "meter.read", back: "meter.read" },
  letter: { load: "letter.delivered", deliver: "letter.delivered", back: "letter.returned" },
  object: { load: "object.signalled", deliver: "object.signalled", back: "object.signalled" },
};

/** Which mode the day is in by itself; `chosen` is what the carrier switched to in this state of duty, if anything. */
export function modeOf({ duty, chosen, facts = {}, left = 0, now = 0 }) {
  if (MODES.includes(chosen)) return chosen;
  if (duty === "ended") return "back";
  if (duty === "off" || !duty) return "load";
  const all = Object.values(facts);
  const begun = all.some((each) => Object.keys(each).some((fact) => fact !== "loaded"));
  const last = Math.max(0, ...all.map((each) => each.loaded ?? 0));
  return !begun && left > 0 && now - last < LOADING_MS ? "load" : "deliver";
}

/** The items that the sheet expects to be taken out and that were not scanned yet, and how many there are in all. */
export function loading(day) {
  const items = (day.tasks ?? []).filter((task) => task.subject.startsWith("item/"));
  const open = items.filter((task) => !Object.keys(day.factsOf(task.subject)).length);
  return { open, all: items.length, loaded: Object.entries(day.own.facts).filter(([, each]) => each.loaded).map(([subject]) => subject) };
}

/** The things of a sheet: by subject, by id (two things may share one), and its stops by every name that they have. */
export function indexOf(sheet) {
  const made = { tasks: new Map(), ids: new Map(), stops: new Map(), expected: new Set() };
  const take = (task, stop) => {
    const id = task.subject.slice(task.subject.indexOf("/") + 1);
    made.tasks.set(task.subject, { task, stop });
    made.expected.add(task.subject);
    if (!task.subject.startsWith("delivery_point/")) made.ids.set(id, [...(made.ids.get(id) ?? []), task.subject]);
  };
  for (const stop of sheet?.stops ?? []) {
    made.stops.set(stop.stop_id, stop);
    if (stop.delivery_point_id) made.stops.set(stop.delivery_point_id, stop);
    for (const task of stop.tasks) take(task, stop);
  }
  for (const task of sheet?.tasks_without_stop ?? []) take(task, null);
  return made;
}

/** Decide what a code means now. `here` is {stop_id, at} of the last thing done, `fix` {lat, lon, at}, both if known. */
export function decide(code, { day, mode, here = null, fix = null, now = 0 }) {
  const id = clean(code);
  const index = indexOf(day.sheet);
  const named = /^[a-z_]+\//.test(id) ? [id] : (index.ids.get(id) ?? []);
  if (named.length > 1) return { kind: "misread", id, candidates: named, reason: "ambiguous" };
  const expected = named.length === 1 && index.tasks.has(named[0]);
  if (expected) return aboutThing(named[0], index.tasks.get(named[0]), { day, mode });
  const stop = index.stops.get(id) ?? index.stops.get(id.replace(/^(stop|delivery_point)\//, ""));
  if (stop) return { kind: "stop", id, stop, go: `#/stop/${encodeURIComponent(stop.stop_id)}` };
  return unexpected(id, index, { day, mode, here, fix, now });
}

function unexpected(id, index, where) {
  const subject = `item/${id}`;
  const isAsked = (where.day.sheet?.requests ?? []).some((each) => each.subject === subject); // moved to another day, say
  if (!where.day.stateOf(subject) && !isAsked) {
    const near = ["item", "pouch", "key", "pet", "visit", "meter", "letter"].flatMap((kind) =>
      candidates(id, index.expected, `${kind}/`).map((each) => `${kind}/${each}`),
    );
    if (near.length) return { kind: "misread", id, candidates: near.slice(0, 5), reason: "near" };
    if (isMisread(id)) return { kind: "misread", id, candidates: [], reason: "check_digit" };
    if (!kindOf(id)) return { kind: "unknown", id, usable: isId(id) };
  }
  return plain(id, where);
}

/** Take an id as an item's though nothing expects it: what a carrier insists on, and every item that was not announced. */
export function plain(id, { day, mode, here = null, fix = null, now = 0 }) {
  const believed = believedStop(day, { here, fix, now });
  const about = { id, subject: `item/${id}`, task: null, stop: believed.stop, by: believed.by, unexpected: true };
  return ofItem(about, { day, mode, signed: isRegistered(id) });
}

function aboutThing(subject, { task, stop }, { day, mode }) {
  const [kind, id] = [subject.slice(0, subject.indexOf("/")), subject.slice(subject.indexOf("/") + 1)];
  const about = { id, subject, task, stop, by: "sheet", unexpected: false };
  if (kind === "item") return ofItem(about, { day, mode, signed: isSigned(task, id) });
  if (kind === "pouch" || kind === "visit") return { ...about, kind, go: `#/${kind}/${encodeURIComponent(id)}` };
  if (kind === "delivery_point") return { ...about, kind: "stop", go: `#/stop/${encodeURIComponent(stop?.stop_id ?? id)}` };
  return { ...about, kind, go: formFor(kind, about, { day, mode }) };
}

function formFor(kind, { subject, stop }, { day, mode }) {
  const step = mode === "deliver" && kind === "pet" && day.stateOf(subject) === null ? "load" : mode;
  const type = FORMS[kind]?.[step];
  const at = stop ? `&stop=${encodeURIComponent(stop.stop_id)}` : "";
  return type ? `#/form/${type}?subject=${encodeURIComponent(subject)}${at}` : "#/other";
}

function ofItem(about, { day, mode, signed }) {
  const before = day.stateOf(about.subject);
  const made = { ...about, signed, before, requests: requestsFor(day.sheet, about) };
  return { ...made, kind: kindNow(made, mode) };
}

function kindNow({ before, requests, signed }, mode) {
  if (mode === "load") return before === "loaded" ? "again" : before === "delivered" ? "done" : "load";
  if (mode === "back") return before === "returned" ? "again" : before === "delivered" ? "done" : "back";
  if (["delivered", "attempted", "held"].includes(before)) return "done";
  if (before === "kept" || requests.some(stays)) return "keep";
  if (signed) return "registered";
  return requests.some((each) => ASKED.includes(each.kind)) ? "choose" : "deliver";
}

/** Whether the order or the id wants it handed over against a signature. */
export function isSigned(task, id) {
  return isRegistered(id) || (task?.requirements ?? []).some((each) => SIGNED.includes(each));
}

/** Whether it is registered mail: only to its addressee or to who holds a mandate. */
export function isForOwnHands(task, id) {
  return isRegistered(id) || (task?.requirements ?? []).includes("registered");
}

/** The requests that change what is done with a thing: those about it, and those about the whole place. */
export function requestsFor(sheet, { subject, stop }) {
  return (sheet?.requests ?? []).filter((each) => each.subject === subject || isOfPlace(each, stop));
}

function isOfPlace(request, stop) {
  if (!stop || !request.subject.startsWith("delivery_point/")) return false;
  return request.stop_id === stop.stop_id || request.delivery_point_id === stop.delivery_point_id;
}

/** Whether a request says not to present at all. */
export function stays(request) {
  return !request.ask && STAYS.includes(request.kind);
}

/** Where the carrier probably is: by a fresh position, by the last thing done, else the next stop with work. */
export function believedStop(day, { here = null, fix = null, now = 0 }) {
  const near = fix && now - fix.at < 60_000 ? nearest(day.stops ?? [], fix) : null;
  if (near && near.metres <= NEAR_M) return { stop: near.stop, by: "fix" };
  const last = here && now - here.at < RECENT_MS ? day.stop(here.stop_id) : null;
  if (last) return { stop: last, by: "last" };
  const next = day.next();
  return { stop: next ?? null, by: next ? "next" : "none" };
}

function nearest(stops, { lat, lon }) {
  let best = null;
  for (const stop of stops) {
    const metres = Math.hypot((stop.lat - lat) * 111_195, (stop.lon - lon) * 111_195 * Math.cos((lat * Math.PI) / 180));
    if (!best || metres < best.metres) best = { stop, metres };
  }
  return best;
}

/** The stops before and after one on the round, nearest first: what else a scan may have meant. */
export function around(day, stop, most = 4) {
  const stops = day.stops ?? [];
  const at = stop ? stops.findIndex((each) => each.stop_id === stop.stop_id) : -1;
  if (at < 0) return stops.slice(0, most);
  const others = [1, -1, 2, -2, 3, -3].map((step) => stops[at + step]).filter(Boolean);
  return others.slice(0, most);
}

/** Whether this is the same label under the same beam: not a second event. */
export function isEcho(code, last, now) {
  return Boolean(last) && last.id === clean(code) && now - last.at < AGAIN_MS;
}

/** Whether what came so far is a whole code, so that a scanner that sends no Enter can be heard. */
export function isWhole(text, sheet) {
  const id = clean(text);
  return kindOf(id) !== null || indexOf(sheet).ids.has(id);
}

/** Whether this can only be a label, wherever it was typed: an item id by its form and check digit, or an id of the sheet. */
export function isLabel(text, sheet) {
  const id = clean(text);
  return looksLikeS10(id) || isSscc(id) || (/\d/.test(id) && indexOf(sheet).ids.has(id));
}
