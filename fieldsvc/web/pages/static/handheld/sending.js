// One request of the outbox, from the entries chosen to what their answers make of them. Every step is on the disk before the next.

import { api } from "./api.js";
import { backoff, matched, meaning, settled } from "./batches.js";
import { done } from "./kept.js";
import { keepReceipt } from "./receipts.js";

const TIMEOUT_MS = 60_000;
const PACKED_FROM = 4_096;
const MOST_FAILURES = 8; // five minutes; more would only be longer forgotten

/** Let go what was held long enough, and take back what was being sent as a page ended; give all that is unanswered. */
export async function unanswered(kept, { urgent, now }) {
  return kept.write(["outbox"], async ({ outbox }) => {
    const entries = await unansweredIn(outbox);
    return entries.map((entry) => {
      const wait = entry.state === "held" && (entry.due_at <= now || now < entry.queued_at);
      const broke = entry.state === "sending" && entry.urgent === urgent;
      if (!wait && !broke) return entry;
      const freed = { ...entry, state: "waiting", due_at: null };
      outbox.put(freed);
      return freed;
    });
  });
}

async function unansweredIn(outbox) {
  const found = await Promise.all(["held", "waiting", "sending"].map((state) => done(outbox.index("state").getAll(state))));
  return found.flat().sort((one, other) => one.seq - other.seq);
}

/** Mark what `choose(entries)` gives as being sent, and give it. */
export async function take(kept, choose) {
  const chosen = await kept.write(["outbox"], async ({ outbox }) => {
    const batch = choose(await unansweredIn(outbox));
    return batch.map((entry) => {
      const taken = { ...entry, state: "sending", tries: entry.tries + 1, due_at: null };
      outbox.put(taken);
      return taken;
    });
  });
  if (chosen.length) kept.tell({ kind: "outbox", why: "sending" });
  return chosen;
}

/** Send a batch of one lane; false if nothing more of it can be sent right now. */
export async function send(kept, lane, batch) {
  const answer = await post(batch, lane.sender);
  const said = meaning(answer, Date.now());
  if (said.kind === "results") return settle(kept, lane, batch, said);
  if (said.kind !== "split") return putBack(kept, lane, batch, said);
  if (batch.length === 1) return refuse(kept, batch[0], said.reason);
  const middle = Math.ceil(batch.length / 2);
  if (await send(kept, lane, batch.slice(0, middle))) return send(kept, lane, batch.slice(middle));
  await putBack(kept, lane, batch.slice(middle), null);
  return false;
}

async function post(batch, sender) {
  const text = `[${batch.map(({ event }) => JSON.stringify(event)).join(",")}]`;
  const headers = { "Content-Type": "application/cloudevents-batch+json" };
  let body = text;
  if (text.length >= PACKED_FROM && typeof CompressionStream !== "undefined") {
    headers["Content-Encoding"] = "gzip";
    body = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
  }
  headers["Fieldsvc-Sent-At"] = new Date().toISOString();
  return api("/v1/events", { method: "POST", body, headers, timeout: TIMEOUT_MS, as: sender });
}

async function settle(kept, lane, batch, { results, receipt }) {
  const now = Date.now();
  const found = matched(batch, results);
  if (found.every((result) => result === null)) return putBack(kept, lane, batch, { kind: "later", reason: "server_busy" });
  await kept.write(["outbox", "kept", "receipts"], async (stores) => {
    const no = receipt ? await keepReceipt(stores.receipts, { receipt, at: now, ids: batch.map(({ id }) => id) }) : null;
    for (const [n, { seq }] of batch.entries()) {
      const entry = await done(stores.outbox.get(seq));
      if (!entry || entry.state === "accepted") continue;
      stores.outbox.put(found[n] ? settled(entry, found[n], { now, receipt: no }) : waitingAgain(entry, null, now + backoff(1)));
    }
    stores.kept.put(now, "last_sent_at");
    const pause = await done(stores.kept.get(lane.pause));
    if (pause?.failures > 1) stores.kept.put({ ...pause, failures: pause.failures - 1, until: now }, lane.pause);
    else stores.kept.delete(lane.pause);
  });
  kept.tell({ kind: "outbox", why: "answered" });
  return true;
}

// An event that alone is too large or no JSON reached no store at all: it stays here for good, until a person sees to it.
async function refuse(kept, { seq }, reason) {
  await kept.write(["outbox"], async ({ outbox }) => {
    const entry = await done(outbox.get(seq));
    outbox.put({ ...entry, state: "refused", status: null, reason, answered_at: Date.now(), next_at: null });
  });
  kept.tell({ kind: "outbox", why: "answered" });
  return true;
}

/** Let a batch wait, with the reason; `said` null where it was not tried. Always false. */
export async function putBack(kept, lane, batch, said) {
  const now = Date.now();
  await kept.write(["outbox", "kept"], async (stores) => {
    const pause = said?.kind === "later" ? pausedBy(said, await done(stores.kept.get(lane.pause)), now) : null;
    if (pause) stores.kept.put(pause, lane.pause);
    for (const { seq } of batch) {
      const entry = await done(stores.outbox.get(seq));
      if (entry?.state === "sending") stores.outbox.put(waitingAgain(entry, said?.reason ?? null, null));
    }
  });
  kept.tell({ kind: "outbox", why: "paused" });
  return false;
}

/** Make the pause of a lane: as long as the service wished, else longer after every failure; `cutOff` was not even tried. */
export function pausedBy({ reason, wait = null, cutOff = false }, before, now) {
  const failures = cutOff ? (before?.failures ?? 0) : Math.min(MOST_FAILURES, (before?.failures ?? 0) + 1);
  return { reason, cutOff, failures, since: now, until: now + (wait === null ? backoff(failures) : wait + Math.random() * 1000) };
}

/** Tell whether a lane still waits; a clock that went back behind the pause's start ends it. */
export function isPaused(pause, now) {
  return Boolean(pause) && now >= pause.since && now < pause.until;
}

function waitingAgain(entry, reason, at) {
  return { ...entry, state: "waiting", reason, next_at: at };
}
