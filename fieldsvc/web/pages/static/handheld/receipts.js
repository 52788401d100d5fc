// The service's signed receipts: what it said of every request, kept by this phone as its own evidence.

import { done, open } from "./kept.js";

/** Keep a receipt in a transaction that is under way; give its number. */
export function keepReceipt(store, { receipt, at, ids }) {
  return done(store.add({ receipt, at, ids }));
}

/** Give one receipt, {receipt, at, ids}, by the number that an entry has of it; null if there is none. */
export async function receiptOf(no) {
  if (no === null || no === undefined) return null;
  const kept = await open();
  return (await kept.read(["receipts"], ({ receipts }) => done(receipts.get(no)))) ?? null;
}

/** List the receipts from a moment on, in milliseconds, oldest first. */
export async function receiptsSince(at = 0) {
  const kept = await open();
  const every = await kept.read(["receipts"], ({ receipts }) => done(receipts.getAll()));
  return every.filter((each) => each.at >= at);
}
