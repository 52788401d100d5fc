// The outbox: what the carrier did, saved under its id and in its order before anything is sent. flush.js sends it.

import { isOver } from "./dates.js";
import { newId } from "./ids.js";
import { done, open } from "./kept.js";
import { keepPicture as picture, namedIn } from "./pictures.js";
import { MOMENT_MS, lastReading, reading } from "./place.js";
import { ownersIn, rememberIn, tryFormerIn } from "./whose.js";

export const STATES = ["held", "waiting", "sending", "accepted", "refused", "undone"];
const UNSENT = new Set(["held", "waiting", "sending"]);

const context = { onDuty: () => false, keepsPosition: () => false, whereIs: () => null };

/**
 * Tell what the outbox cannot know: `onDuty()`, without which no position is read, of which types the service keeps one, and
 * the address of a stop of today's run, which stays with what was said there.
 */
export function configure(told) {
  Object.assign(context, told);
}

const isProof = (type) => isAlarm(type) || context.keepsPosition(type);
const isAlarm = (type) => type.includes("alarm.raised"); // taken at any time, with its place

/**
 * Save one event, and give its entry. `type` is short (`item.delivered`) or whole; `at` is when it happened (a Date or
 * milliseconds, now if left out); `holdMs` is for how long it can be undone; `urgent` leaves first. Rejects if this phone
 * could not keep it: say so, as nothing was saved.
 */
export async function queue(wanted) {
  return (await queueAll([wanted]))[0];
}

/** Save events in this order, all of them or none. */
export async function queueAll(wanted) {
  const kept = await open();
  const now = Date.now();
  const placed = wanted.some(({ type }) => isProof(type) && (context.onDuty() || isAlarm(type)));
  const saved = await kept.write(["kept", "outbox", "media"], async (stores) => {
    const names = await Promise.all([stores.kept.get("device"), stores.kept.get("run"), stores.media.getAllKeys()].map(done));
    const [device, run, pictures] = names;
    rememberIn(stores.kept, device);
    const about = { device, run, pictures: new Set(pictures), now, placed };
    const entries = wanted.map((each) => entryOf(each, about));
    const seqs = await Promise.all(entries.map((entry) => done(stores.outbox.add(entry))));
    return entries.map((entry, n) => ({ ...entry, seq: seqs[n] }));
  });
  kept.tell({ kind: "outbox", why: "queued" });
  if (placed) placeProofs(kept, saved);
  return saved;
}

/** Take back what is still held: all of these or none. False if any has gone its way already. */
export async function undo(ids) {
  const kept = await open();
  const undone = await kept.write(["outbox"], async ({ outbox }) => {
    const entries = await Promise.all(ids.map((id) => done(outbox.index("id").get(id))));
    if (!entries.every((entry) => entry?.state === "held")) return false;
    for (const entry of entries) outbox.put({ ...entry, state: "undone", due_at: null, answered_at: Date.now() });
    return true;
  });
  if (undone) kept.tell({ kind: "outbox", why: "undone" });
  return undone;
}

/** List the entries of who is joined in their order: all, or those in a state. What others said here is nobody's to read. */
export async function entries(state) {
  const kept = await open();
  const found = await kept.read(["kept", "outbox"], async ({ kept: names, outbox }) => {
    const whose = await ownersIn(names);
    return (await done(state ? outbox.index("state").getAll(state) : outbox.getAll())).filter((entry) => whose.isMine(entry));
  });
  return found.sort((one, other) => one.seq - other.seq);
}

/**
 * Count the entries by state; `unsent` are those that have no answer yet. `last_sent_at` is when the service last answered,
 * `stopped` why nothing goes right now ({reason, until}) or null, `pictures` those that wait and those that were refused. All of
 * who is joined; `former` is how much of other carriers is unsent, and whether it may still leave: {unsent, leaves}.
 */
export async function counts() {
  const kept = await open();
  return kept.read(["kept", "outbox", "media"], async (stores) => {
    const names = ["last_sent_at", "pause"].map((name) => done(stores.kept.get(name)));
    const [sentAt, pause] = await Promise.all(names);
    const whose = await ownersIn(stores.kept);
    const [every, media] = await Promise.all([stores.outbox, stores.media].map((store) => done(store.getAll())));
    const mine = every.filter((entry) => whose.isMine(entry));
    const found = Object.fromEntries(STATES.map((state) => [state, mine.filter((entry) => entry.state === state).length]));
    const unsent = found.held + found.waiting + found.sending;
    const former = [...every, ...media].filter((each) => UNSENT.has(each.state) && !whose.isMine(each));
    const isOut = whose.device ? whose.expired === whose.device.device_id : unsent + former.length > 0;
    return {
      ...found,
      unsent,
      last_sent_at: sentAt ?? null,
      stopped: isOut ? { reason: "sign_in_expired", until: null } : waitFor(pause),
      pictures: picturesBy(media.filter((each) => whose.isMine(each))),
      former: { unsent: former.length, leaves: former.some((each) => whose.senderOf(each)) },
    };
  });
}

function waitFor(pause) {
  return pause && pause.until > Date.now() ? { reason: pause.reason, until: pause.until } : null;
}

function picturesBy(media) {
  const count = (...states) => media.filter(({ state }) => states.includes(state)).length;
  return { waiting: count("waiting", "sending"), refused: count("refused"), accepted: count("accepted") };
}

/**
 * Try again now, whatever was to be waited for: one entry or picture by its id, or everything that waits; what was refused too,
 * unless `refused` is false.
 */
export async function retry(id = null, { refused = true } = {}) {
  const states = refused ? ["waiting", "refused"] : ["waiting"];
  const kept = await open();
  await kept.write(["kept", "outbox", "media"], async (stores) => {
    for (const name of ["pause", "pause_urgent", "pause_pictures", "expired"]) stores.kept.delete(name);
    await tryFormerIn(stores.kept);
    const whose = await ownersIn(stores.kept);
    for (const entry of await done(stores.outbox.getAll())) {
      if (entry.state === "refused" && !whose.isMine(entry)) continue; // its own carrier looks at it
      if ((id === null || entry.id === id) && states.includes(entry.state)) stores.outbox.put(again(entry));
    }
    for (const picture of await done(stores.media.getAll())) {
      if (refused && whose.isMine(picture) && (id === null || picture.sha256 === id) && picture.state === "refused") stores.media.put(again(picture));
    }
  });
  kept.tell({ kind: "outbox", why: "retry" });
}

function again(entry) {
  return { ...entry, state: "waiting", next_at: null, answered_at: null };
}

/** Call `fn()` after every change of the outbox or of the pictures, in any tab. Gives what ends that. */
export function listen(fn) {
  let end = () => {};
  let over = false;
  open().then((kept) => {
    if (!over) end = kept.listen(({ kind }) => ["outbox", "media"].includes(kind) && fn());
  });
  return () => {
    over = true;
    end();
  };
}

function entryOf({ type, subject, data = {}, urgent = false, holdMs = 0, at }, { device, run, pictures, now, placed }) {
  const id = newId(now);
  const known = placed && urgent && isProof(type) ? lastReading(now) : null;
  const event = {
    specversion: "1.0",
    id,
    source: device?.device_id ? `/devices/${device.device_id}` : "/handheld",
    type: type.startsWith("fieldsvc.") ? type : `fieldsvc.${type}.v1`,
    ...(subject ? { subject } : {}),
    time: new Date(at ?? now).toISOString(),
    ...(run?.run_id && !isOver(run.run_id, now) ? { runid: run.run_id } : {}), // yesterday's is not today's
    data: known ? { ...data, fix: known } : data,
  };
  return {
    id,
    event,
    device_id: device?.device_id ?? null,
    where: (data.stop_id && context.whereIs(data.stop_id)) || null,
    state: holdMs > 0 ? "held" : "waiting",
    urgent,
    queued_at: now,
    due_at: holdMs > 0 ? now + holdMs : null,
    tries: 0,
    next_at: placed && isProof(type) && !known && (!urgent || isAlarm(type)) ? now + MOMENT_MS : null,
    reason: null,
    status: null,
    result: null,
    answered_at: null,
    pictures: namedIn(data, pictures),
  };
}

// The event is saved already: a place that comes in time goes with it, and nothing waits for one that does not.
async function placeProofs(kept, saved) {
  const proofs = saved.filter(({ event }) => isProof(event.type));
  const until = Math.max(...proofs.map(({ due_at: due }) => (due ?? 0) - Date.now() - 500), MOMENT_MS);
  const fix = await reading(until);
  await kept.write(["outbox"], async ({ outbox }) => {
    for (const { seq } of proofs) {
      const entry = await done(outbox.get(seq));
      if (!entry || entry.tries > 0 || !["held", "waiting"].includes(entry.state)) continue;
      const isBare = fix && !entry.event.data.fix; // a pin that was moved by hand stays
      const event = isBare ? { ...entry.event, data: { ...entry.event.data, fix } } : entry.event;
      outbox.put({ ...entry, event, next_at: null });
    }
  });
  kept.tell({ kind: "outbox", why: "placed" });
}

export { picture };
export const outbox = Object.freeze({ configure, queue, queueAll, undo, entries, counts, retry, listen, picture });
