// One way to ask the service as this phone. Notices another store behind it, and that the phone was signed out.

import { isSignedOut } from "./batches.js";
import { open } from "./kept.js";
import { noteFormer, owners } from "./whose.js";

const watchers = { expired: new Set(), epoch: new Set() };

/**
 * Ask the service. Always answers {status, json, headers, late}: status 0 means that it was not reached (`late`: it did not
 * answer within `timeout` ms), json is null where there is none. `signed: false` sends no credentials, `as` those of another
 * device than the joined one.
 */
export async function api(path, { method = "GET", json, body, headers = {}, timeout = 20_000, signed = true, as = null } = {}) {
  const kept = await open();
  const device = signed ? (as ?? (await kept.get("device"))) : null;
  const sent = { Accept: "application/json", ...(json === undefined ? {} : { "Content-Type": "application/json" }), ...headers };
  if (device?.token) sent.Authorization = `Bearer ${device.token}`;
  const answer = await exchange(path, { method, headers: sent, body: json === undefined ? body : JSON.stringify(json) }, timeout);
  if (answer.status === 0) return answer;
  await seeEpoch(kept, answer.headers.get("Fieldsvc-Store-Epoch"));
  if (device) await seeWhoWeAre(kept, device, answer);
  return answer;
}

/** Call `fn(device)` when the service does not know this phone any more: everything stays here until it is joined anew. */
export function onExpired(fn) {
  watchers.expired.add(fn);
  return () => watchers.expired.delete(fn);
}

/** Call and await `fn(epoch)` when another store answers than before; `fn` keeps the epoch once it has done its part. */
export function onEpoch(fn) {
  watchers.epoch.add(fn);
  return () => watchers.epoch.delete(fn);
}

/** Tell whether the service refused this very device's credentials and no other was joined since. */
export async function isExpired(kept) {
  const [device, expired] = [await kept.get("device"), await kept.get("expired")];
  return Boolean(expired && device && expired === device.device_id);
}

/** Tell whether the service knows a device that something is to be sent as, as far as it said. */
export async function maySend(kept, device) {
  return (await owners(kept)).maySend(device);
}

async function exchange(path, request, timeout) {
  const clock = new AbortController();
  let late = false;
  const waiting = setTimeout(() => {
    late = true;
    clock.abort();
  }, timeout);
  try {
    const answer = await fetch(path, { ...request, signal: clock.signal, cache: "no-store", credentials: "omit" });
    const text = request.method === "HEAD" ? "" : await answer.text();
    return { status: answer.status, json: parsed(text), headers: answer.headers, late: false };
  } catch {
    return { status: 0, json: null, headers: new Headers(), late };
  } finally {
    clearTimeout(waiting);
  }
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

async function seeEpoch(kept, epoch) {
  if (!epoch || !/^[0-9a-f-]{36}$/i.test(epoch)) return;
  const before = await kept.get("epoch");
  if (before === epoch) return;
  if (before && watchers.epoch.size) for (const fn of watchers.epoch) await fn(epoch);
  else if (!before) await kept.set("epoch", epoch);
}

async function seeWhoWeAre(kept, device, answer) {
  if (isSignedOut(answer) && (await noteFormer(kept, device))) return;
  if (isSignedOut(answer) && (await kept.get("expired")) !== device.device_id) {
    await kept.set("expired", device.device_id);
    for (const fn of watchers.expired) fn(device);
  } else if (answer.status < 300 && (await kept.get("expired")) === device.device_id) {
    await kept.remove("expired"); // it was a mistake of the service's, and is over
  }
}
