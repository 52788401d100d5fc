// The phone's queue under any schedule: its own modules, run in tabs of a phone whose disk, clock, network and service are made up.
// node phone.mjs <folder of the modules> <first seed> <how many> [<module> <text> <text instead>]: prints what was broken, and traces.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const [FOLDER, FIRST, COUNT, ...PLANTED] = process.argv.slice(2);
const START = Date.parse("2026-11-21T09:00:00Z");
const MINUTE = 60_000;
const MADE_UP = { "dates.js": "export function isOver() { return false; }" }; // which run it is, is not the queue's business

// The modules as one function of the globals that they use, so that every tab has its own.
function bundle() {
  const found = new Map();
  const read = (name) => {
    let text = MADE_UP[name] ?? readFileSync(`${FOLDER}/${name}`, "utf8");
    if (PLANTED[0] === name) {
      if (!text.includes(PLANTED[1])) throw new Error(`${name} no longer says: ${PLANTED[1]}`);
      text = text.replaceAll(PLANTED[1], PLANTED[2]);
    }
    const names = [...text.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)].map(([, each]) => each);
    names.push(...[...text.matchAll(/^export \{ (.+) \};/gm)].flatMap(([, each]) => each.split(", ")));
    text = text.replace(/^export \{ .+ \};/gm, "").replace(/^export /gm, "");
    text = text.replace(/^import \{([^}]*)\} from "\.\/([\w.]+)";/gm, (_whole, what, from) => {
      if (!found.has(from)) read(from);
      return `const {${what.replaceAll(" as ", ": ")}} = modules["${from}"];`;
    });
    found.set(name, `modules["${name}"] = (() => {\n${text}\nreturn { ${names.join(", ")} };\n})();`);
  };
  for (const name of ["outbox.js", "flush.js"]) read(name);
  return new Function(...GLOBALS, `const modules = {};\n${[...found.values()].join("\n")}\nreturn modules;`);
}

const GLOBALS = [
  "indexedDB", "IDBKeyRange", "BroadcastChannel", "navigator", "fetch", "setTimeout", "clearTimeout", "Date", "Math", "crypto",
  "addEventListener", "document", "AbortSignal", "CompressionStream", "console", "globalThis",
]; // prettier-ignore

function seeded(seed) {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const clone = (value) => (value === undefined ? undefined : structuredClone(value));

class Request {
  constructor(act) {
    this.act = act;
  }
}

class Transaction {
  constructor(disk, tab, names, mode) {
    Object.assign(this, { disk, tab, names, mode, requests: [], staged: new Map(), active: true, over: false });
    disk.open.push(this);
    disk.world.touched.add(this);
  }

  objectStore(name) {
    if (!this.names.includes(name)) throw new Error(`${name} is not in this transaction`);
    const rows = () => this.staged.get(name) ?? this.disk.stores.get(name).rows;
    const ask = (act) => {
      if (!this.active || this.over) throw new DOMException("not active", "TransactionInactiveError");
      const request = new Request(act);
      this.requests.push(request);
      return request;
    };
    const write = (act) => {
      if (this.mode !== "readwrite") throw new DOMException("only read", "ReadOnlyError");
      return ask(() => {
        if (!this.staged.has(name)) this.staged.set(name, new Map(this.disk.stores.get(name).rows));
        return act(this.staged.get(name));
      });
    };
    const { keyPath, counter } = this.disk.stores.get(name);
    const put = (value, key) => {
      const kept = clone(value);
      return write((staged) => {
        const at = key ?? (keyPath && kept[keyPath]) ?? (counter.next += 1);
        if (keyPath) kept[keyPath] = at;
        staged.set(at, kept);
        return at;
      });
    };
    const within = ([key], range) => range === undefined || (range.lower <= key && key <= range.upper);
    const sorted = (range) => [...rows()].filter((each) => within(each, range)).sort(([one], [other]) => (one < other ? -1 : 1));
    const has = (field, wanted) => sorted().map(([, row]) => row).filter((row) => row[field] === wanted);
    return {
      get: (key) => ask(() => clone(rows().get(key))),
      getKey: (key) => ask(() => (rows().has(key) ? key : undefined)),
      getAll: (range) => ask(() => sorted(range).map(([, row]) => clone(row))),
      getAllKeys: (range) => ask(() => sorted(range).map(([key]) => key)),
      put,
      add: put,
      delete: (key) => write((staged) => void staged.delete(key)),
      clear: () => write((staged) => staged.clear()),
      index: (field) => ({
        get: (wanted) => ask(() => clone(has(field, wanted)[0])),
        getAll: (wanted) => ask(() => clone(has(field, wanted))),
      }),
    };
  }

  abort() {
    if (this.over) throw new DOMException("over", "InvalidStateError");
    this.end(false);
  }

  // After each turn: the next request, or the end.
  step() {
    this.active = false;
    if (this.over || this.busy || !this.disk.mayGo(this)) return;
    this.busy = true;
    this.disk.world.soon(null, () => {
      this.busy = false;
      if (this.over) return;
      if (this.tab.dead) return void this.end(false);
      if (this.tab.frozen) return void this.disk.world.later(1000, null, () => this.disk.world.touched.add(this));
      const request = this.requests.shift();
      if (!request) return void this.end(true);
      this.active = true;
      request.result = request.act();
      request.onsuccess?.();
      this.disk.world.touched.add(this);
    });
  }

  end(commit) {
    this.over = true;
    const { disk } = this;
    if (commit && this.staged.size) disk.commit(this.staged);
    disk.open = disk.open.filter((each) => each !== this);
    for (const each of disk.open) disk.world.touched.add(each);
    disk.world.soon(this.tab, () => (commit ? this.oncomplete?.() : this.onabort?.()));
  }
}

class Disk {
  constructor(world) {
    Object.assign(this, { world, stores: new Map(), open: [] });
  }

  make(name, { keyPath = null } = {}) {
    this.stores.set(name, { keyPath, counter: { next: 0 }, rows: new Map() });
    return { createIndex: () => {} };
  }

  mayGo(transaction) {
    const before = this.open.slice(0, this.open.indexOf(transaction));
    const writes = (each) => each.mode === "readwrite";
    return !before.some((each) => (writes(each) || writes(transaction)) && each.names.some((name) => transaction.names.includes(name)));
  }

  commit(staged) {
    const outbox = staged.get("outbox");
    if (outbox) this.world.judge(this.stores.get("outbox").rows, outbox);
    for (const [name, rows] of staged) this.stores.get(name).rows = rows;
  }

  indexedDB(tab) {
    const database = {
      transaction: (names, mode = "readonly") => new Transaction(this, tab, names, mode),
      createObjectStore: (name, options) => this.make(name, options),
      close: () => {},
    };
    const open = () => {
      const request = { result: database };
      this.world.soon(tab, () => {
        if (!this.stores.size) {
          request.transaction = { objectStore: () => ({ put: () => {} }) };
          request.onupgradeneeded?.({ oldVersion: 0 });
          this.stores.get("kept").rows.set("device", { device_id: "d-1", token: "t", carrier: "Camille", site: "pantin" });
        }
        request.onsuccess?.();
      });
      return request;
    };
    return { open };
  }
}

// The service: what it stored, in which order, and what it answers when it is not well.
class Service {
  constructor(world) {
    Object.assign(this, { world, stored: new Map(), seen: new Set(), epoch: 1, pauses: 0 });
  }

  take(batch) {
    const { world } = this;
    const results = [];
    for (const event of batch) {
      world.note("arrives", event.id);
      world.check(!world.undone.has(event.id), `${event.id} was undone and was sent`);
      const before = this.stored.get(event.id);
      const status = event.data.bad ? "quarantined" : before === undefined ? "accepted" : "duplicate";
      world.check(before === undefined || before === JSON.stringify(event), `${event.id} changed`);
      if (!this.seen.has(event.id)) this.inOrder(event);
      this.seen.add(event.id);
      if (status === "accepted") this.stored.set(event.id, JSON.stringify(event));
      results.push({ id: event.id, status });
    }
    return results;
  }

  inOrder({ id, subject }) {
    const { world } = this;
    for (const earlier of world.queued.filter((each) => each.event.subject === subject)) {
      if (earlier.id === id) return;
      const through = this.seen.has(earlier.id) || world.undone.has(earlier.id) || world.refused.has(earlier.id);
      world.check(through || world.isHeld(earlier), `${id} of ${subject} overtook ${earlier.id}`);
    }
  }

  // Lose the newest of what was stored, as a restore of a backup does.
  restore() {
    for (const id of [...this.stored.keys()].slice(-2)) this.stored.delete(id);
    this.epoch += 1;
  }

  fetch(tab, { body, signal }) {
    const { world } = this;
    return new Promise((resolve, reject) => {
      const batch = JSON.parse(body);
      const request = { tab };
      world.flying.add(request);
      const alive = [...world.flying].filter((each) => !each.tab.dead);
      world.check(alive.length <= 2 || world.stuck, "three requests at once of two lanes");
      const fail = () => world.flying.delete(request) && reject(new TypeError("network"));
      signal.addEventListener("abort", fail);
      const ill = world.calm ? 1 : world.random();
      const waits = ill < 0.04 ? 70_000 : world.random() * 2000;
      request.isOut = tab.offline || ill < 0.1; // whatever becomes of it: the service hears no more of it
      if (request.isOut) return void world.later(waits, tab, fail);
      world.later(waits / 2, null, () => {
        request.isOut = true;
        const status = this.status(ill, batch);
        const results = status === 200 ? this.take(batch) : null;
        const { epoch } = this; // of the store that took it
        world.later(waits / 2, tab, () => {
          if (!world.flying.delete(request)) return;
          if (ill < 0.3 && ill >= 0.2) return void reject(new TypeError("lost"));
          resolve(this.answer(status, results, batch, epoch));
        });
      });
    });
  }

  status(ill, batch) {
    if (ill < 0.3) return 200;
    if (ill < 0.36) return 503;
    if (ill < 0.42) return 500;
    if (ill < 0.46 && batch.length > 1) return 413;
    if (ill < 0.5) return 429;
    return 200;
  }

  answer(status, results, batch, number) {
    const { world } = this;
    if (results && !world.calm && world.random() < 0.05) results.splice(0, 1); // an answer that leaves one out
    for (const { id, status: said } of results ?? []) (said === "quarantined" ? world.refused : world.acknowledged).add(id);
    world.note("answer", status, batch.length);
    const epoch = `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
    const headers = new Headers({ "Fieldsvc-Store-Epoch": epoch, ...(status === 503 ? { "Retry-After": "20" } : {}) });
    return { status, headers, text: async () => JSON.stringify(results ? { results, receipt: "r" } : {}) };
  }
}

class World {
  constructor(seed) {
    Object.assign(this, {
      seed, random: seeded(seed), now: START, events: [], touched: new Set(), tabs: [], flying: new Set(), locks: new Map(),
      undone: new Set(), refused: new Set(), acknowledged: new Set(), queued: [], calm: false, stuck: false, broken: null,
      trace: createHash("sha256"), steps: 0,
    }); // prettier-ignore
    this.disk = new Disk(this);
    this.service = new Service(this);
  }

  note(...said) {
    this.trace.update(`${this.now} ${said.join(" ")}\n`);
  }

  check(holds, what) {
    if (!holds) this.broken ??= what;
  }

  later(ms, tab, act) {
    const event = { at: this.now + Math.max(0, ms), tab, act };
    this.events.push(event);
    return event;
  }

  soon(tab, act) {
    return this.later(this.random() * 3, tab, act);
  }

  pickOne(some) {
    return some[Math.floor(this.random() * some.length)];
  }

  // Let time pass: one event after the other, each with everything that follows from it at once.
  async pass(ms, isOver = () => false) {
    const until = this.now + ms;
    while (!this.broken && !isOver()) {
      let next = null;
      for (const event of this.events) if (!event.off && (!next || event.at < next.at)) next = event;
      if (!next || next.at > until) break;
      next.off = true;
      this.events = this.events.filter((event) => !event.off);
      this.now = Math.max(this.now, next.at);
      this.check((this.steps += 1) < 200_000, "it goes on for ever");
      if (next.tab?.dead) continue;
      if (next.tab?.frozen) next.tab.held.push(next.act);
      else next.act();
      await this.turn();
    }
    if (!isOver()) this.now = Math.max(this.now, until);
  }

  async turn() {
    do {
      await new Promise((resolve) => setImmediate(resolve));
      const touched = [...this.touched];
      this.touched.clear();
      for (const transaction of touched) transaction.step();
    } while (this.touched.size);
  }

  // What may become of an entry, commit by commit: nothing goes, and nothing is answered that was not.
  judge(before, after) {
    for (const [seq, entry] of before) {
      const now = after.get(seq);
      this.check(now, `entry ${seq} was deleted while it was ${entry.state}`);
      if (!now) continue;
      this.check(!entry.tries || JSON.stringify(entry.event) === JSON.stringify(now.event), `entry ${seq} changed after it was sent`);
      if (now.state === entry.state) continue;
      this.note(seq, entry.state, now.state);
      if (now.state === "sending" && entry.state === "held") this.check(this.isPushed(entry, after), `entry ${seq} left while it could be undone`);
      if (now.state === "accepted") this.check(this.acknowledged.has(entry.id), `entry ${seq} was taken for accepted`);
      if (now.state === "refused") this.check(this.refused.has(entry.id), `entry ${seq} was taken for refused`);
      if (now.state === "undone") {
        this.check(entry.state === "held", `entry ${seq} was undone while it was ${entry.state}`);
        this.undone.add(entry.id);
      }
    }
  }

  // What could still be undone leaves early with an urgent event of its own subject, and with nothing else.
  isPushed({ event, seq, due_at: due, queued_at: queued }, after) {
    const now = this.now + (this.skew ?? 0);
    if (now >= due || now < queued) return true;
    return [...after.values()].some((each) => each.urgent && each.seq > seq && each.state === "sending" && each.event.subject === event.subject);
  }

  isHeld({ id }) {
    return [...this.disk.stores.get("outbox").rows.values()].some((each) => each.id === id && each.state === "held");
  }

  open() {
    const world = this;
    const tab = { dead: false, frozen: false, offline: false, held: [], listeners: {}, channels: [] };
    this.tabs.push(tab);
    const DateHere = class extends Date {
      constructor(...given) {
        super(...(given.length ? given : [DateHere.now()]));
      }
      static now() {
        return Math.floor(world.now + (world.skew ?? 0));
      }
    };
    const MathHere = Object.assign(Object.create(Math), { random: () => world.random() });
    const navigator = { get onLine() { return !tab.offline; }, locks: { request: (...given) => world.lock(tab, ...given) } }; // prettier-ignore
    const channel = class {
      constructor() {
        tab.channels.push(this);
      }
      postMessage(data) {
        for (const other of world.tabs.filter((each) => each !== tab)) {
          for (const each of other.channels) world.soon(other, () => each.onmessage?.({ data: clone(data) }));
        }
      }
    };
    const given = {
      indexedDB: this.disk.indexedDB(tab),
      IDBKeyRange: { bound: (lower, upper) => ({ lower, upper }) },
      BroadcastChannel: channel,
      navigator,
      fetch: (_path, request) => this.service.fetch(tab, request),
      setTimeout: (act, ms = 0, ...more) => this.later(ms, tab, () => act(...more)),
      clearTimeout: (event) => event && (event.off = true),
      Date: DateHere,
      Math: MathHere,
      crypto: { getRandomValues: (array) => array.map(() => Math.floor(this.random() * 256)) },
      addEventListener: (name, act) => (tab.listeners[name] = act),
      document: { addEventListener: () => {}, visibilityState: "visible" },
      AbortSignal: { timeout: (ms) => ({ ms }) },
      CompressionStream: undefined,
      console: { warn: (...said) => (tab.warned = said), error: (...said) => (tab.warned = said) },
      globalThis: { navigator },
    };
    tab.modules = TAB(...GLOBALS.map((name) => given[name]));
    tab.modules["flush.js"].start();
    return tab;
  }

  // One holder of a lock among all tabs, until its work is over, it died, or somebody stole it.
  lock(tab, name, { signal, steal }, work) {
    return new Promise((resolve, reject) => {
      const held = this.locks.get(name) ?? [];
      this.locks.set(name, held);
      const request = { tab, begin: () => Promise.resolve(work()).then(resolve, reject).then(() => this.release(name, request)) };
      if (steal) {
        this.stuck = true;
        held.length = 0;
      }
      held.push(request);
      if (held[0] === request) return void this.soon(tab, () => request.begin());
      this.later(signal.ms, tab, () => {
        if (held.indexOf(request) < 1) return;
        held.splice(held.indexOf(request), 1);
        reject(new DOMException("too long", "TimeoutError"));
      });
    });
  }

  release(name, request) {
    const held = this.locks.get(name);
    const first = held[0] === request;
    const at = held.indexOf(request);
    if (at >= 0) held.splice(at, 1);
    if (first && held[0]) this.soon(held[0].tab, () => held[0]?.begin());
  }

  kill(tab) {
    tab.dead = true;
    for (const [name, held] of this.locks) for (const request of held.filter((each) => each.tab === tab)) this.release(name, request);
    for (const transaction of [...this.disk.open]) this.touched.add(transaction);
  }

  thaw(tab) {
    tab.frozen = false;
    for (const act of tab.held.splice(0)) this.soon(tab, act);
  }
}

async function say(world, tab, n) {
  const hold = world.random() < 0.3 ? 3000 : 0;
  const subject = `object/${world.pickOne(["a", "b", "c"])}`;
  const data = { n, ...(world.random() < 0.1 ? { bad: true } : {}) };
  const wanted = { type: "object.signalled", subject, data, holdMs: hold, urgent: world.random() < 0.15 };
  const saving = tab.modules["outbox.js"].queue(wanted).then((entry) => {
    if (!world.queued.some((each) => each.id === entry.id)) world.queued.push(entry);
    world.queued.sort((one, other) => one.seq - other.seq);
    return entry;
  });
  await world.pass(world.pickOne([50, 200, 3500]));
  if (hold && !tab.dead && world.random() < 0.5) saving.then((entry) => tab.modules["outbox.js"].undo([entry.id]));
}

async function trouble(world) {
  const tab = world.pickOne(world.tabs.filter((each) => !each.dead));
  const what = world.pickOne(["nothing", "kill", "kill", "offline", "online", "clock", "freeze", "restore", "tab"]);
  world.note("trouble", what);
  if (what === "kill") {
    world.kill(tab);
    world.open();
  } else if (what === "offline") tab.offline = true;
  else if (what === "online") {
    tab.offline = false;
    tab.listeners.online?.();
  } else if (what === "clock") world.skew = world.pickOne([-3_600_000, -5000, 5000, 3_600_000]);
  else if (what === "freeze" && !tab.frozen) {
    tab.frozen = true;
    world.later(world.pickOne([5_000, 400_000]), null, () => world.thaw(tab));
  } else if (what === "restore") world.service.restore();
  else if (what === "tab" && world.tabs.filter((each) => !each.dead).length < 2) world.open();
}

async function schedule(seed) {
  const world = new World(seed);
  world.open();
  await world.pass(100);
  const events = 2 + Math.floor(world.random() * 5);
  for (let n = 0; n < events && !world.broken; n += 1) {
    const tab = world.pickOne(world.tabs.filter((each) => !each.dead && !each.frozen));
    if (tab) await say(world, tab, n);
    if (world.random() < 0.5) await trouble(world);
    await world.pass(world.pickOne([10, 500, 5000, 90_000]));
  }
  world.calm = true;
  for (const tab of world.tabs.filter((each) => !each.dead)) {
    tab.offline = false;
    if (tab.frozen) world.thaw(tab);
    tab.listeners.online?.();
  }
  const rows = () => [...(world.disk.stores.get("outbox")?.rows.values() ?? [])];
  const isHeard = () => [...world.flying].every(({ tab, isOut }) => tab.dead && isOut); // a tab that died waits for no answer
  const isThrough = () => isHeard() && rows().every(({ state }) => ["accepted", "refused", "undone"].includes(state));
  await world.pass(40 * MINUTE, isThrough);
  for (let again = 0; world.service.epoch > 1 && again < 3; again += 1) {
    await say(world, world.open(), events); // whatever it says next, it hears of the other store
    await world.pass(40 * MINUTE, isThrough);
    await world.pass(2 * MINUTE);
    await world.pass(40 * MINUTE, isThrough);
  }
  await atTheEnd(world, rows());
  world.note("end", rows().map(({ seq, state }) => `${seq}${state}`).join());
  return { broken: world.broken, trace: world.trace.digest("hex") };
}

async function atTheEnd(world, rows) {
  const kept = new Set(rows.map(({ id }) => id));
  for (const { id } of world.queued) world.check(kept.has(id), `${id} was saved and is not there`);
  for (const { id, state, seq, event } of rows) {
    if (state === "accepted") world.check(world.service.stored.has(id), `entry ${seq} is accepted, and the service has it not`);
    else if (state === "refused") world.check(event.data.bad, `entry ${seq} was refused for nothing`);
    else world.check(state === "undone", `entry ${seq} is still ${state}`);
  }
}

process.on("unhandledRejection", () => {}); // a tab that died answers nobody
const TAB = bundle();
const all = createHash("sha256");
let broken = 0;
for (let seed = Number(FIRST); seed < Number(FIRST) + Number(COUNT); seed += 1) {
  const found = await schedule(seed);
  all.update(found.trace);
  if (found.broken) {
    broken += 1;
    console.log(JSON.stringify({ seed, broken: found.broken }));
    if (PLANTED.length) break;
  }
}
console.log(JSON.stringify({ broken, trace: all.digest("hex") }));
