// Whose things are: what was said under a device leaves under that device, or under the same carrier's next one on this phone.

import { done } from "./kept.js";

const KNOWN = "device:";
const UNSENT = new Set(["held", "waiting", "sending"]);

/** Read who is joined and who was, from the store `kept` of a transaction that is under way. */
export async function ownersIn(store) {
  const known = IDBKeyRange.bound(KNOWN, `${KNOWN}\uffff`);
  const asked = [store.get("device"), store.get("expired"), store.getAll(known)].map(done);
  const [device, expired, before] = await Promise.all(asked);
  return new Owners(device ?? null, expired ?? null, before);
}

/** Read who is joined and who was. */
export function owners(kept) {
  return kept.read(["kept"], ({ kept: store }) => ownersIn(store));
}

/** Keep what a device needs to send what is said under it now, whoever joins this phone later. */
export function rememberIn(store, device) {
  if (!device?.device_id) return;
  const { device_id: id, token, carrier, site } = device;
  store.put({ device_id: id, token, carrier, site }, KNOWN + id);
}

/** Note that the service refused a former device; false if it is the one that is joined. */
export async function noteFormer(kept, { device_id: id }) {
  return kept.write(["kept"], async ({ kept: store }) => {
    const [device, known] = await Promise.all([done(store.get("device")), done(store.get(KNOWN + id))]);
    if (device?.device_id === id) return false;
    if (known) store.put({ ...known, expired: true }, KNOWN + id);
    return true;
  });
}

/** Try former devices again that the service refused, in a transaction that is under way. */
export async function tryFormerIn(store) {
  for (const { expired, ...known } of (await ownersIn(store)).before.values()) if (expired) store.put(known, KNOWN + known.device_id);
}

/** Drop the credentials of former devices that nothing waits for, and what is known of those of whom nothing is left. */
export async function letGo(kept) {
  await kept.write(["kept", "outbox", "media"], async ({ kept: store, outbox, media }) => {
    const found = await ownersIn(store);
    const former = [...found.before.values()].filter(({ device_id: id }) => id !== found.device?.device_id);
    if (!former.length) return;
    const things = (await Promise.all([outbox, media].map((each) => done(each.getAll())))).flat();
    for (const known of former) {
      const left = things.filter((each) => deviceOf(each) === known.device_id);
      if (!left.length) store.delete(KNOWN + known.device_id);
      else if (known.token && !left.some(({ state }) => UNSENT.has(state))) store.put({ ...known, token: null }, KNOWN + known.device_id);
    }
  });
}

/** Count what is unsent here and is not of the carrier of `device`: {n, leaves}, and whether any of it may leave by itself. */
export async function leftFor(kept, device) {
  return kept.read(["kept", "outbox", "media"], async ({ kept: store, outbox, media }) => {
    const whose = await ownersIn(store);
    const ownerOf = (each) => (whose.isMine(each) ? whose.device : (whose.before.get(deviceOf(each)) ?? null));
    const every = (await Promise.all([outbox, media].map((each) => done(each.getAll())))).flat();
    const others = every.filter((each) => UNSENT.has(each.state) && deviceOf(each) !== null && !isSame(ownerOf(each), device));
    return { n: others.length, leaves: others.some((each) => whose.senderOf(each)) };
  });
}

/** Join this phone as `device`. What another carrier typed, or noted without a run, goes; what they said stays theirs. */
export async function adopt(kept, device) {
  const isOther = await kept.write(["kept"], async ({ kept: store }) => {
    const before = await done(store.get("device"));
    rememberIn(store, before);
    const other = before ? !isSame(before, device) : false;
    if (other) for (const name of await done(store.getAllKeys())) if (/^(draft:|day:\d)/.test(name)) store.delete(name);
    store.put(device, "device");
    for (const name of ["expired", "joining"]) store.delete(name);
    return other;
  });
  kept.tell({ kind: "kept", name: "device" });
  return isOther;
}

/** Tell under which device an entry or a picture was made; null before this phone was joined. */
export function deviceOf({ device_id: id, event }) {
  return id ?? /^\/devices\/(.+)$/.exec(event?.source ?? "")?.[1] ?? null;
}

/** Tell whether two devices are one carrier's. */
export function isSame(one, other) {
  return Boolean(one?.carrier) && one.carrier === other?.carrier && one.site === other?.site;
}

class Owners {
  constructor(device, expired, before) {
    Object.assign(this, { device, expired, before: new Map(before.map((each) => [each.device_id, each])) });
  }

  /** Whether something is of who is joined now, or of nobody. */
  isMine(thing) {
    const id = deviceOf(thing);
    return id === null || id === this.device?.device_id || (this.device !== null && isSame(this.before.get(id), this.device));
  }

  /** The device that something leaves under, or null if there is none that may send it. */
  senderOf(thing) {
    if (this.isMine(thing)) return this.device && this.maySend(this.device) ? this.device : null;
    const own = this.before.get(deviceOf(thing));
    const able = [own, ...this.before.values()].filter((each) => each && (each === own || isSame(each, own)));
    return able.find((each) => this.maySend(each)) ?? null;
  }

  /** Whether a device is one that the service knows, as far as it said. */
  maySend({ device_id: id }) {
    if (!this.device) return false;
    if (id === this.device.device_id) return this.expired !== id;
    const known = this.before.get(id);
    return Boolean(known?.token) && !known.expired && this.expired !== id;
  }

  /** Every device that may send: who is joined first. */
  get senders() {
    const former = [...this.before.values()].filter((each) => each.device_id !== this.device?.device_id);
    return [this.device, ...former].filter((each) => each && this.maySend(each));
  }
}
