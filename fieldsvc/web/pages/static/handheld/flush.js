// Sends the outbox: one flusher among all tabs for each lane. Urgent events, the others, and pictures wait for nobody else.

import { maySend, onEpoch } from "./api.js";
import { MOST_EVENTS, nextMoment, pick, pickUrgent } from "./batches.js";
import { sendAgain, wipe } from "./keeping.js";
import { open } from "./kept.js";
import { claimPictures, sendPictures } from "./pictures.js";
import { isPaused, putBack, send, take, unanswered } from "./sending.js";
import { letGo, owners } from "./whose.js";

const WAKES = new Set(["queued", "placed", "undone", "retry", "again"]);
const LOOK_AGAIN_MS = 60_000;
const WIPE_EVERY_MS = 3_600_000;
const STUCK_MS = 180_000;
const OFFLINE = { kind: "later", reason: "offline", wait: LOOK_AGAIN_MS, cutOff: true };

let started = null;

/** Start sending, once for a page: `wake(why)` looks at once for what can be sent, and resolves when that has been tried. */
export function start() {
  started ??= begin();
  return started;
}

async function begin() {
  const kept = await open();
  const flusher = new Flusher(kept);
  onEpoch((epoch) => sendAgain(kept, epoch));
  kept.listen(({ kind, why, name }) => {
    if ((kind === "outbox" && WAKES.has(why)) || (kind === "kept" && name === "device")) flusher.wake(why ?? name);
  });
  addEventListener("online", () => flusher.wake("online"));
  addEventListener("pageshow", () => flusher.wake("seen"));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && flusher.wake("seen"));
  flusher.wake("started");
  return { wake: (why = "asked") => flusher.wake(why) };
}

class Flusher {
  #kept;
  #timer = null;
  #wipedAt = 0;
  #urgent;
  #events;
  #pictures;

  constructor(kept) {
    this.#kept = kept;
    this.#urgent = lane("urgent", (why) => this.#drain({ pause: "pause_urgent", urgent: true, choose: pickUrgent }, why));
    this.#events = lane("events", (why) => this.#drain({ pause: "pause", urgent: false, choose: inBatches }, why));
    this.#pictures = lane("pictures", (why) => this.#sendPictures(why));
  }

  async wake(why) {
    try {
      if (["started", "online", "seen"].includes(why)) await this.#endOffline();
      await Promise.all([this.#urgent(why), this.#events(why)]);
      this.#pictures(why).then(() => letGo(this.#kept)).then(() => this.#schedule());
      await this.#wipeNowAndThen();
    } catch (fault) {
      console.warn("handheld.flush", fault);
    }
    await this.#schedule();
  }

  // What was said under a device leaves under that one: whoever is joined now goes first.
  async #drain(about, why) {
    const whose = await owners(this.#kept);
    for (const sender of whose.senders) await this.#drainOf({ ...about, sender }, (entry) => whose.senderOf(entry) === sender, why);
  }

  async #drainOf(about, isIts, why) {
    for (;;) {
      const entries = (await unanswered(this.#kept, { urgent: about.urgent, now: Date.now() })).filter(isIts);
      if (!entries.length || (await this.#waits(about.pause, about.sender))) return;
      const pause = await this.#kept.get(about.pause);
      const choose = (found) => about.choose(found.filter(isIts), Date.now(), pause?.failures ?? 0);
      if (!choose(entries).length) return;
      if (isCutOff(why, pause)) return void (await putBack(this.#kept, about, [], OFFLINE));
      const batch = await take(this.#kept, choose);
      if (batch.length && !(await send(this.#kept, about, batch))) return;
    }
  }

  async #waits(pause, sender) {
    return !(await maySend(this.#kept, sender)) || isPaused(await this.#kept.get(pause), Date.now());
  }

  async #sendPictures(why) {
    await claimPictures(this.#kept);
    if (isCutOff(why, null)) return;
    const isStopped = async () => isPaused(await this.#kept.get("pause_pictures"), Date.now());
    await sendPictures(this.#kept, { pause: "pause_pictures", isStopped, eventsFirst: () => this.#events("pictures") });
  }

  // Only the network's absence ends with its return: what the service asked to wait is waited.
  async #endOffline() {
    for (const name of ["pause", "pause_urgent", "pause_pictures"]) {
      if ((await this.#kept.get(name))?.reason === "offline") await this.#kept.remove(name);
    }
  }

  async #wipeNowAndThen() {
    if (Math.abs(Date.now() - this.#wipedAt) < WIPE_EVERY_MS) return;
    this.#wipedAt = Date.now();
    await wipe(this.#kept);
  }

  async #schedule() {
    const next = await this.#nextMoment().catch(() => Infinity);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.wake("timer"), Math.min(LOOK_AGAIN_MS, Math.max(20, next - Date.now())));
  }

  async #nextMoment() {
    const now = Date.now();
    const entries = await unanswered(this.#kept, { urgent: null, now });
    const pauses = await Promise.all(["pause", "pause_urgent", "pause_pictures"].map((name) => this.#kept.get(name)));
    const moments = pauses.filter((pause) => isPaused(pause, now)).map(({ until }) => until);
    return Math.min(nextMoment(entries, now) ?? Infinity, ...moments);
  }
}

// After failures the next requests are small and grow again: on a bad line they get through where a large one times out.
function inBatches(entries, now, failures) {
  return pick(entries, now, { events: Math.max(10, MOST_EVENTS >> failures) });
}

// A browser that says it is offline is right, nearly always: it is tried all the same by hand, and once in a minute.
function isCutOff(why, pause) {
  return navigator.onLine === false && why !== "retry" && !pause?.cutOff;
}

// Run `work` in one tab at a time, and again if it was asked for meanwhile. Resolves when all that was asked for is done.
function lane(name, work) {
  let asked = null;
  let running = null;
  const run = async () => {
    while (asked) {
      const why = asked;
      asked = null;
      await alone(`fieldsvc-handheld-${name}`, () => work(why)).catch((fault) => console.warn("handheld.flush", name, fault));
    }
    running = null;
  };
  return (why) => {
    asked = why;
    running ??= run();
    return running;
  };
}

// A tab that a phone put to sleep may hold its lock for ever: then it is taken from it, as the service drops what comes twice.
async function alone(name, work) {
  if (!navigator.locks) return work();
  try {
    return await navigator.locks.request(name, { signal: AbortSignal.timeout(STUCK_MS) }, work);
  } catch (fault) {
    if (fault.name !== "TimeoutError") throw fault;
    return navigator.locks.request(name, { steal: true }, work);
  }
}
