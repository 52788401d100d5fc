// A queue leaves with a colleague's phone: what this phone seals and gives away, and what it brings for others, unread.

import { api, isExpired } from "./api.js";
import { backoff, retryAfter } from "./batches.js";
import { done } from "./kept.js";
import { nameOf, sealQueue, unpack } from "./sealing.js";

const KEY_AGE_MS = 24 * 3_600_000;
const KEPT_MS = 7 * 24 * 3_600_000;
const LOOK_MS = 60_000;
const SOON_MS = 500;
const TIMEOUT_MS = 60_000;
const UNSENT = new Set(["waiting", "sending"]);
const LATER = new Set([0, 401, 403, 408, 429]);

/** Give the key that queues are sealed for: as it was kept, or asked for; null while this phone never had it. */
export async function sealingKey(kept) {
  return (await kept.get("relay_key")) ?? (await fetchKey(kept));
}

/** Seal what has no answer yet: {parcel, name, ids, count}; or {why}: nothing, expired, no_key, cannot. Pictures stay here. */
export async function sealedQueue({ kept, outbox }) {
  const left = (await outbox.entries()).filter(({ state }) => UNSENT.has(state));
  if (!left.length) return { why: "nothing" };
  if (await isExpired(kept)) return { why: "expired" };
  if (typeof CompressionStream === "undefined" || !crypto.subtle) return { why: "cannot" };
  const [key, device] = [await sealingKey(kept), await kept.get("device")];
  if (!key || !device) return { why: "no_key" };
  const parcel = await sealQueue(key, device, left.map(({ event }) => event));
  const pictures = new Set(left.flatMap((entry) => entry.pictures)).size;
  return { parcel, name: await nameOf(parcel), ids: left.map(({ id }) => id), count: left.length, pictures };
}

/** Note to whom entries were given. They stay in the outbox until the service itself answers for them. */
export async function entrust(kept, { ids, name, to }) {
  const now = Date.now();
  await change(kept, "entrusted", (before) => [
    ...before.filter((each) => each.at > now - KEPT_MS && each.name !== name),
    { ids, name, to, at: now },
  ]);
}

/** Tell which entries were given away, newest last: id → {to, at, name}. */
export async function entrusted(kept) {
  const given = (await kept.get("entrusted")) ?? [];
  return new Map(given.flatMap(({ ids, ...about }) => ids.map((id) => [id, about])));
}

/** Keep a colleague's parcel until it is brought: `taken`, `known` if it is here already, `bad` for what is no parcel. */
export async function takeIn(kept, parcel, name = null) {
  const envelopes = unpack(parcel);
  const found = await nameOf(parcel);
  if (!envelopes || (name !== null && name !== found)) return { status: "bad", name: found };
  let status = "taken";
  await change(kept, "carried", (before) => {
    if (before.some((each) => each.name === found)) status = "known";
    const fresh = envelopes.map((bytes) => ({ bytes, size: bytes.length, ...WAITING }));
    return status === "known" ? before : [...before, { name: found, taken_at: Date.now(), envelopes: fresh }];
  });
  return { status, name: found };
}

const WAITING = { state: "waiting", counts: null, reason: null, tries: 0, next_at: null };

/** List what this phone brings or brought for others, oldest first. */
export async function carried(kept) {
  return (await kept.get("carried")) ?? [];
}

/** Say how a parcel stands: waiting, brought, or refused, with the counts of all its envelopes and the first reason. */
export function standing({ envelopes }) {
  const states = new Set(envelopes.map(({ state }) => state));
  const state = states.has("refused") ? "refused" : states.has("waiting") ? "waiting" : "brought";
  const counts = {};
  for (const each of envelopes) for (const [name, n] of Object.entries(each.counts ?? {})) counts[name] = (counts[name] ?? 0) + n;
  return { state, counts, reason: envelopes.find((each) => each.reason)?.reason ?? null };
}

/** Try again at once to bring a parcel, whatever was to be waited for. */
export async function bringAgain(kept, name) {
  const again = (each) => (each.state === "brought" ? each : { ...each, state: "waiting", next_at: null });
  await changeEnvelopes(kept, (parcel) => parcel.name === name, again);
  await bring(kept);
}

/** Let a parcel go that the service does not take. */
export async function dropParcel(kept, name) {
  await change(kept, "carried", (before) => before.filter((each) => each.name !== name));
}

/** Bring every envelope whose time it is, in the order taken; one tab at a time. Resolves when that has been tried. */
export async function bring(kept) {
  const work = async () => {
    for (let next = await due(kept); next; next = await due(kept)) {
      const answer = await api("/v1/relays", {
        method: "POST",
        body: next.envelope.bytes,
        headers: { "Content-Type": "application/octet-stream" },
        timeout: TIMEOUT_MS,
      });
      await settle(kept, next, outcome(answer, next.envelope, Date.now()));
      if (answer.status === 0) return;
    }
  };
  await (navigator.locks ? navigator.locks.request("fieldsvc-handheld-carry", work) : work());
}

/** Keep bringing as long as the page is open, and have a key at hand before it is needed. Called once. */
export function keepCarrying(kept) {
  let timer = null;
  const work = async () => {
    if (navigator.onLine === false) return;
    await bring(kept);
    await freshKey(kept);
  };
  const plan = async () => {
    const wait = await untilDue(kept);
    clearTimeout(timer);
    timer = setTimeout(look, wait);
  };
  const look = () => work().catch((fault) => console.warn("handheld.carry", fault)).then(plan);
  addEventListener("online", () => endOffline(kept).then(look));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
  kept.listen(({ kind, name }) => kind === "kept" && (name === "device" ? look() : name === "carried" && plan()));
  look();
}

async function untilDue(kept) {
  const moments = (await carried(kept)).flatMap(({ envelopes }) => envelopes.filter(({ state }) => state === "waiting").map((each) => each.next_at ?? 0));
  return Math.min(LOOK_MS, Math.max(SOON_MS, Math.min(...moments, Infinity) - Date.now()));
}

/** Say what an answer makes of an envelope: brought with counts, refused with a reason, or waiting until a moment. */
export function outcome({ status, json, headers }, { tries }, now) {
  if (status === 200) return { state: "brought", counts: json, reason: null, bytes: null };
  const isLater = LATER.has(status) || status >= 500;
  if (!isLater) return { state: "refused", reason: json?.code ?? `status_${status}` };
  const wait = retryAfter(headers.get("Retry-After"), now) ?? backoff(tries + 1);
  const reason = status === 0 ? "offline" : status === 401 || status === 403 ? "sign_in_expired" : "server_busy";
  return { state: "waiting", reason, tries: tries + 1, next_at: now + wait };
}

async function due(kept) {
  const now = Date.now();
  for (const { name, envelopes } of await carried(kept)) {
    const place = envelopes.findIndex(({ state, next_at: at }) => state === "waiting" && !(at > now));
    if (place >= 0) return { name, place, envelope: envelopes[place] };
  }
  return null;
}

async function settle(kept, { name, place }, found) {
  const old = Date.now() - KEPT_MS;
  const isOver = (each) => each.taken_at < old && standing(each).state === "brought";
  await change(kept, "carried", (before) => before.filter((each) => !isOver(each)));
  await changeEnvelopes(kept, (parcel) => parcel.name === name, (each, n) => (n === place ? { ...each, ...found } : each));
}

// The network is back: what waited only for that does not wait any longer.
async function endOffline(kept) {
  const again = (each) => (each.reason === "offline" ? { ...each, next_at: null } : each);
  if ((await carried(kept)).length) await changeEnvelopes(kept, () => true, again);
}

async function changeEnvelopes(kept, isOne, made) {
  await change(kept, "carried", (before) =>
    before.map((parcel) => (isOne(parcel) ? { ...parcel, envelopes: parcel.envelopes.map(made) } : parcel)),
  );
}

async function freshKey(kept) {
  const key = await kept.get("relay_key");
  if (!(key?.at > Date.now() - KEY_AGE_MS) && (await kept.get("device"))) await fetchKey(kept);
}

async function fetchKey(kept) {
  const { status, json } = await api("/v1/relay-key", { signed: false });
  if (status !== 200 || !json?.public_key) return null;
  const key = { ...json, at: Date.now() };
  await kept.set("relay_key", key);
  return key;
}

async function change(kept, name, made) {
  await kept.write(["kept"], async ({ kept: store }) => void store.put(made((await done(store.get(name))) ?? []), name));
  kept.tell({ kind: "kept", name });
}
