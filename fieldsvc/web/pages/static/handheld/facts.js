// What this phone did today with each thing, as it said itself: kept until the day is over, whatever the network does.

const CLOSING = new Set(["delivered", "attempted", "done", "held", "returned", "missing", "missed", "kept", "passed_on"]);

/** Note a fact about a subject, `alone` in place of all others; facts are {subject: {fact: when}}. Returns the new facts. */
export function noted(facts, subject, fact, { at, alone = false }) {
  return { ...facts, [subject]: { ...(alone ? {} : facts[subject]), [fact]: at } };
}

/** Take a fact back, as when its event is undone; what was known `before` it is known again. */
export function takenBack(facts, subject, { fact, before = {} }) {
  const { [fact]: gone, ...since } = facts[subject] ?? {};
  const left = { ...before, ...since };
  const { [subject]: all, ...others } = facts;
  return Object.keys(left).length ? { ...others, [subject]: left } : others;
}

/** Return the newest fact of a subject, or null. */
export function newest(facts, subject) {
  const found = Object.entries(facts[subject] ?? {});
  return found.length ? found.reduce((one, other) => (other[1] >= one[1] ? other : one))[0] : null;
}

/** Tell whether nothing is left to do about a subject. */
export function isClosed(facts, subject) {
  return Object.keys(facts[subject] ?? {}).some((fact) => CLOSING.has(fact));
}
