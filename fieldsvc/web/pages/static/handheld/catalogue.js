// What this phone may say, out of /v1/services: each event with its service, and what a form of it is filled with before anybody types.
import { shortType } from "./labels.js";

const ITSELF = new Set(["run.started", "run.paused", "run.resumed", "run.ended", "run.reconciled", "sheet.seen"]);
const GROUPS = {
  door: ["access", "address_change", "check_address", "delivery_change", "home_visit", "item", "key", "letter_code", "medication", "meter", "notebook", "pet"],
  road: ["alarm", "hazard", "object", "place"],
  round: ["handover", "run", "sheet"],
  ideas: ["idea", "rating"],
};
const A_DAY_MS = 86_400_000;

/** Every event that a device may say: [{service, event}], events with their short name. */
export function sayable(services) {
  const found = (services?.services ?? []).flatMap((service) => service.events.map((event) => ({ service, event })));
  return found.filter(({ event }) => event.by.includes("device")).map(({ service, event }) => ({ service, event, name: shortType(event.type) }));
}

/** The event of a name with its service; null if this phone may not say it. Of a correction the service is none. */
export function eventOf(services, name) {
  return sayable(services).find((each) => each.name === shortType(name)) ?? null;
}

/** The services in their groups, in this order: door, road, round, ideas; a service that no group knows is at the door. */
export function grouped(services) {
  const byService = new Map();
  for (const each of sayable(services).filter(({ name }) => !ITSELF.has(name))) {
    const { service: name } = each.service;
    byService.set(name, [...(byService.get(name) ?? []), each]);
  }
  const groupOf = (name) => Object.keys(GROUPS).find((group) => GROUPS[group].includes(name)) ?? "door";
  const inside = (group) => [...byService].filter(([name]) => groupOf(name) === group).map(([, events]) => events);
  return Object.keys(GROUPS).map((group) => ({ group, services: inside(group) })).filter((each) => each.services.length);
}

/** Whether the service keeps the position of an event: of what is no proof, alarm or reported place it would throw it away. */
export function keepsPosition(services, name) {
  return Boolean(eventOf(services, name)?.event.keeps_position);
}

/** What is known of an event before anybody types: its stop, its subject's id, its run. Only fields that the event has. */
export function filledIn({ event, service }, { stop = null, subject = "", run = null, now = Date.now() } = {}) {
  const has = event.schema.properties ?? {};
  const known = { stop_id: stop?.stop_id, delivery_point_id: stop?.delivery_point_id, run_id: run?.run_id, ...idsOf(service, subject, has) };
  if (has.radius_m && has.until) Object.assign(known, { radius_m: 50, until: new Date(Math.ceil((now + A_DAY_MS) / 3_600_000) * 3_600_000).toISOString() });
  return Object.fromEntries(Object.entries(known).filter(([name, value]) => value !== undefined && value !== null && has[name]));
}

function idsOf(service, subject, has) {
  const [kind, ...rest] = subject.split("/");
  const id = rest.join("/");
  if (!id) return {};
  const own = /\{(\w+)\}/.exec(service?.subject ?? "")?.[1];
  const name = [`${kind}_id`, own].find((each) => each && has[each]);
  return name ? { [name]: id } : {};
}

/** The subject of an event: as the service names it from the data; the one that was asked for where the data does not say. */
export function subjectOf(service, data, asked = "") {
  let whole = true;
  const named = (service?.subject ?? "").replace(/\{(\w+)\}/g, (_, name) => {
    const value = data[name] ?? data[`${name}s`]?.[0];
    whole &&= typeof value === "string";
    return value;
  });
  return named && whole ? named : asked || undefined;
}
