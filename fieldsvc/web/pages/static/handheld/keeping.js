// How long things stay: seven days after their answer, and through the service's own accident.

import { wipeDrafts } from "./drafts.js";
import { done } from "./kept.js";
import { ownersIn } from "./whose.js";

export const KEPT_MS = 7 * 24 * 3_600_000;

// What a store said of an event; what only a whole request was told is in no store, and is never wiped.
const ANSWERS = new Set(["accepted", "duplicate", "quarantined", "conflict"]);
const UNSENT = new Set(["held", "waiting", "sending"]);

/** Another store answers: what it may have lost goes again, under the same ids. The epoch is kept in the same moment. */
export async function sendAgain(kept, epoch) {
  const since = Date.now() - KEPT_MS;
  const marked = await kept.write(["kept", "outbox", "media"], async (stores) => {
    if ((await done(stores.kept.get("epoch"))) === epoch) return 0;
    const isLost = ({ state, answered_at: at }) => state === "accepted" && at > since;
    const lost = (await done(stores.outbox.index("state").getAll("accepted"))).filter(isLost);
    for (const entry of lost) stores.outbox.put({ ...entry, state: "waiting", again: true, next_at: null, answered_at: null });
    for (const picture of (await done(stores.media.getAll())).filter(isLost)) {
      stores.media.put({ ...picture, state: "waiting", next_at: null, answered_at: null });
    }
    stores.kept.put(epoch, "epoch");
    return lost.length;
  });
  if (marked) kept.tell({ kind: "outbox", why: "again" });
}

/** Wipe what was answered, or undone, more than seven days ago, and the pictures that nothing here names any more. */
export async function wipe(kept) {
  await wipeDrafts(kept);
  const before = Date.now() - KEPT_MS;
  await kept.write(["outbox", "media"], async ({ outbox, media }) => {
    const named = new Set();
    for (const entry of await done(outbox.getAll())) {
      if (isOver(entry, before)) outbox.delete(entry.seq);
      else for (const sha256 of entry.pictures) named.add(sha256);
    }
    for (const picture of await done(media.getAll())) {
      const ended = picture.answered_at ?? (picture.state === "draft" ? picture.taken_at : null);
      if (ended !== null && ended <= before && !named.has(picture.sha256)) media.delete(picture.sha256);
    }
  });
}

/**
 * Wipe what this phone says of who was joined, at once: what was answered, the pictures, the receipts and the typed. False, and
 * nothing is wiped, while anything of anybody is unsent. What another carrier has to look at stays for them.
 */
export async function wipeAll(kept) {
  const wiped = await kept.write(["kept", "outbox", "media", "receipts"], async ({ kept: names, outbox, media, receipts }) => {
    const whose = await ownersIn(names);
    const [entries, pictures] = await Promise.all([outbox, media].map((store) => done(store.getAll())));
    if ([...entries, ...pictures].some(({ state }) => UNSENT.has(state))) return false;
    const stays = (each) => each.state === "refused" && !whose.isMine(each);
    for (const entry of entries) if (!stays(entry)) outbox.delete(entry.seq);
    const named = new Set(entries.filter(stays).flatMap((entry) => entry.pictures));
    for (const { sha256 } of pictures) if (!named.has(sha256)) media.delete(sha256);
    receipts.clear();
    for (const name of await done(names.getAllKeys())) if (isPersonal(name)) names.delete(name);
    return true;
  });
  if (wiped) kept.tell({ kind: "outbox", why: "wiped" });
  return wiped;
}

function isPersonal(name) {
  return /^(draft|day|sheet):/.test(name) || ["run", "entrusted", "carried", "last_sent_at", "pause", "pause_urgent", "pause_pictures"].includes(name);
}

function isOver({ state, status, answered_at: at }, before) {
  if (at === null || at > before) return false;
  return state === "undone" || (["accepted", "refused"].includes(state) && ANSWERS.has(status));
}
