// What is said of each case at the door: the events, as handlers/item.py and handlers/proof.py want them. No page, no clock.
import { isForOwnHands } from "./scan.js";

export const HOLD_MS = 10_000;
export const KEPT_DAYS = 15;
export const DOCUMENTS = ["identity_card", "passport", "residence_permit", "driving_licence", "other"];
/** Why an item was not handed over, and what becomes of it then; the commonest first. */
export const REASONS = [
  ["refused", "return"],
  ["unknown_at_address", "return"],
  ["no_access", "represent"],
  ["dog", "represent"],
  ["closed", "represent"],
  ["too_big", "office_hold"],
  ["damaged", "represent"],
  ["address_incomplete", "return"],
  ["deceased", "return"],
  ["weather", "represent"],
  ["unsafe", "represent"],
];
const TITLES = /^(m|mr|mme|mlle|monsieur|madame|mademoiselle|dr|docteur|me|maître)\.?\s+/i;

/** The day of a moment here, as 2026-11-21, so many days later. */
export function dayOf(moment, later = 0) {
  const date = new Date(moment.getFullYear(), moment.getMonth(), moment.getDate() + later);
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The name of the office where things wait, as people say it: villeneuve-ouest is Villeneuve-Ouest. */
export function officeOf(sheet) {
  return String(sheet?.site ?? "").replace(/(^|-)(\p{L})/gu, (_, dash, letter) => dash + letter.toUpperCase());
}

/** An addressee as {first_name, surname}; names in capitals are surnames, else the first word is the first name. */
export function nameOf(addressee) {
  if (addressee && typeof addressee === "object") {
    return { first_name: String(addressee.first_name ?? ""), surname: String(addressee.surname ?? addressee.name ?? "") };
  }
  const words = String(addressee ?? "").trim().replace(TITLES, "").split(/\s+/).filter(Boolean);
  const capitals = words.filter((word) => word.length > 1 && word === word.toUpperCase() && /\p{L}/u.test(word));
  if (capitals.length && capitals.length < words.length) {
    return { first_name: words.filter((word) => !capitals.includes(word)).join(" "), surname: capitals.join(" ") };
  }
  return words.length < 2 ? { first_name: "", surname: words[0] ?? "" } : { first_name: words[0], surname: words.slice(1).join(" ") };
}

export function fullName({ first_name: first, surname }) {
  return [first, surname].filter(Boolean).join(" ");
}

/** Who may take things at a door: the addressee, whoever holds a mandate, and for what is not registered the household. */
export function acceptors(sheet, { subjects, task, stop }) {
  const name = nameOf(task?.addressee);
  const found = fullName(name) ? [{ to: "addressee", name, known: task?.known_to_you === true }] : [];
  const about = (each) => (each.subject ? subjects.includes(each.subject) : stop && each.stop_id === stop.stop_id) || isHere(each, stop);
  for (const { mandate } of (sheet?.mandates ?? []).filter(about)) {
    const holder = nameOf(mandate.name ?? mandate.holder);
    if (fullName(holder) && !found.some((each) => fullName(each.name) === fullName(holder))) found.push({ to: "mandate_holder", name: holder, known: false });
  }
  const own = subjects.some((subject) => isForOwnHands(task, subject.slice(subject.indexOf("/") + 1)));
  found.push({ to: own ? (found.length ? "mandate_holder" : "addressee") : "household", name: null, known: false });
  return found;
}

function isHere(each, stop) {
  return String(each.subject ?? "").startsWith("delivery_point/") && Boolean(stop) && each.stop_id === stop.stop_id;
}

/** What was taken at the door, as `proof`; of a document its kind, never its number. */
export function proofOf({ to, name, document, known, signature, carrierSignature, codeOk, photo, day }) {
  const capacity = { addressee: "addressee", mandate_holder: "mandate" }[to];
  const identity = known ? "known_to_carrier" : document ? { document_kind: document } : null;
  const all = {
    acceptor: capacity ? { surname: name.surname || name.first_name, first_name: name.first_name, capacity } : null,
    identity,
    presented_on: day,
    handed_over_on: day,
    signature,
    carrier_signature: carrierSignature,
    code_ok: codeOk || null,
    photo,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value));
}

/** One fact about one or several items. */
function fact(type, ids, data) {
  const named = ids.length === 1 ? { item_id: ids[0] } : { item_ids: ids };
  const clean = Object.fromEntries(Object.entries({ ...named, ...data }).filter(([, value]) => value !== null && value !== undefined));
  return { type: `item.${type}`, subject: `item/${ids[0]}`, data: clean };
}

export const loaded = (ids) => fact("loaded", ids, {});
export const delivered = (ids, { to = "mailbox", stopId, proof }) => fact("delivered", ids, { to, stop_id: stopId, proof });
export const broughtBack = (ids, { office }) => fact("held", ids, { office });

/** Not handed over; what waits at the office is said to, with until when. */
export function attempted(ids, { reason, next, stopId, office, until, photo, noticeCode }) {
  const first = fact("delivery_attempted", ids, { reason, next, stop_id: stopId, photo, notice_code: noticeCode });
  return next === "office_hold" ? [first, fact("held", ids, { office, until, stop_id: stopId })] : [first];
}

/** What was said did not happen; `again` is said instead, if anything. */
export function takenBack(entry, reason) {
  return { type: "event.corrected", subject: entry.event.subject, data: { corrects: entry.id, kind: "did_not_occur", reason } };
}

/** What the service warned of in an answer, each with what can be done: {code, entry, distance, nearest, missing, candidates}. */
export function warningsOf(entry, day) {
  const { warnings = [], located = {}, answer = {} } = entry.result ?? {};
  return warnings.map((code) => ({
    code,
    entry,
    ids: entry.event.data.item_ids ?? [entry.event.data.item_id ?? entry.event.subject?.split("/")[1] ?? ""],
    stop: day.stop(located.stop_id ?? entry.event.data.stop_id),
    metres: located.door_distance_m ?? null,
    nearest: day.stop(located.nearest_stop_id),
    missing: answer.missing ?? [],
    candidates: Object.values(answer.candidates ?? {}).flat(),
  }));
}
