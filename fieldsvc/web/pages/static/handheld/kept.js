// What the phone keeps: one IndexedDB database for names, the outbox, pictures and receipts, shared by all tabs.

const NAME = "fieldsvc-handheld";
const CHANNEL = "fieldsvc-handheld";
const STRICT = { durability: "strict" };

// Every step only adds: an app that is older than the database goes on with what it knows of it.
export const STEPS = [
  (db) => {
    db.createObjectStore("kept");
    const outbox = db.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true });
    outbox.createIndex("id", "id", { unique: true });
    outbox.createIndex("state", "state");
    db.createObjectStore("media", { keyPath: "sha256" });
    db.createObjectStore("receipts", { autoIncrement: true });
  },
];

let opened = null;

/** Open the page's one database: always the same `kept`. Rejects where this browser keeps nothing. */
export function open() {
  opened ??= connect(NAME, STEPS).catch((fault) => {
    opened = null;
    throw fault;
  });
  return opened;
}

/** Open a database by name, brought up by the steps that it lacks. */
export async function connect(name, steps) {
  const kept = new Kept(name, steps);
  await kept.database();
  kept.askToPersist();
  return kept;
}

class Kept {
  #name;
  #steps;
  #database = null;
  #listeners = new Set();
  #channel;
  /** Whether the browser promises not to clear this: true, false, or null while it was not asked. */
  persisted = null;

  constructor(name, steps) {
    this.#name = name;
    this.#steps = steps;
    this.#channel = new BroadcastChannel(name === NAME ? CHANNEL : name);
    this.#channel.onmessage = ({ data }) => this.#hear({ ...data, here: false });
  }

  /** Give the connection, made anew where another version of the app, or the browser, closed it. */
  database() {
    this.#database ??= connection(this.#name, this.#steps, (why) => {
      this.#database = null;
      this.#hear({ kind: why, here: true });
    }).catch((fault) => {
      this.#database = null;
      throw fault;
    });
    return this.#database;
  }

  /**
   * Do `work(stores, transaction)` in one transaction and give what it returns once that is on the disk. `work` only puts
   * requests; where it throws, or any request fails, nothing of it is kept.
   */
  async write(names, work) {
    return this.#run(names, "readwrite", work);
  }

  async read(names, work) {
    return this.#run(names, "readonly", work);
  }

  async get(name) {
    return this.read(["kept"], ({ kept }) => done(kept.get(name)));
  }

  /** Keep a value under a name, and tell all tabs. */
  async set(name, value) {
    await this.write(["kept"], ({ kept }) => void kept.put(value, name));
    this.tell({ kind: "kept", name });
  }

  async remove(name) {
    await this.write(["kept"], ({ kept }) => void kept.delete(name));
    this.tell({ kind: "kept", name });
  }

  /**
   * Call `fn({kind, here, …})` at every change of any tab: `kept` (with `name`), `outbox`, `media`, `persisted`, and
   * `replaced` when a newer version of the app took the database over: reload as soon as that disturbs nobody.
   */
  listen(fn) {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  tell(message) {
    this.#channel.postMessage(message);
    this.#hear({ ...message, here: true });
  }

  async askToPersist() {
    const storage = globalThis.navigator?.storage;
    this.persisted = (await storage?.persisted?.().catch(() => false)) || (await storage?.persist?.().catch(() => false)) || false;
    this.#hear({ kind: "persisted", here: true });
  }

  async close() {
    this.#channel.close();
    (await this.#database)?.close();
  }

  #hear(message) {
    for (const fn of this.#listeners) {
      try {
        fn(message);
      } catch (fault) {
        console.error(fault);
      }
    }
  }

  async #run(names, mode, work) {
    const { transaction, ended } = await this.#begin(names, mode);
    const stores = Object.fromEntries(names.map((name) => [name, transaction.objectStore(name)]));
    try {
      const found = await work(stores, transaction);
      await ended;
      return found;
    } catch (fault) {
      ended.catch(() => {});
      abort(transaction);
      throw fault;
    }
  }

  // A connection may have been closed the moment before: then another one is made, once.
  async #begin(names, mode, again = true) {
    const database = await this.database();
    try {
      const transaction = database.transaction(names, mode, mode === "readwrite" ? STRICT : undefined);
      return { transaction, ended: end(transaction) };
    } catch (fault) {
      if (!again || fault.name !== "InvalidStateError") throw fault;
      this.#database = null;
      return this.#begin(names, mode, false);
    }
  }
}

/** Give the result of one request of IndexedDB. */
export function done(request) {
  const result = new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  result.catch(() => {}); // where its transaction ends early nobody may be left to hear of it
  return result;
}

function end(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new DOMException("undone", "AbortError"));
  });
}

function abort(transaction) {
  try {
    transaction.abort();
  } catch {
    // it had ended by itself
  }
}

async function connection(name, steps, onGone) {
  const database = await ask(name, steps).catch((fault) => {
    if (fault.name !== "VersionError") throw fault;
    return ask(name, steps, { anyVersion: true }); // a newer app was here, and only added
  });
  // Transactions that are under way still end: nothing that was being saved is lost.
  database.onversionchange = () => {
    database.close();
    onGone("replaced");
  };
  database.onclose = () => onGone("closed");
  return database;
}

async function ask(name, steps, { anyVersion = false } = {}) {
  const request = anyVersion ? indexedDB.open(name) : indexedDB.open(name, steps.length);
  request.onupgradeneeded = ({ oldVersion }) => {
    for (const step of steps.slice(oldVersion)) step(request.result, request.transaction);
    request.transaction.objectStore("kept").put(steps.length, "_schema");
  };
  return done(request);
}
