// What must be taken along, and what became of it: registered items, pouches and keys, by this phone's own facts.

export const KINDS = ["item", "pouch", "key"];
const OUT = { delivered: "delivered", done: "delivered", deposited: "delivered", held: "held", missing: "missing" };

/** List the things to take from the sheet: a registered item, every pouch, every key; each {subject, kind, task}. */
export function toTake(tasks) {
  return tasks.filter(isTaken).map((task) => ({ subject: task.subject, kind: kindOf(task.subject), task }));
}

/** Tell which of the things were taken by now: scanned at loading, or already handed over. */
export function taken(things, factsOf) {
  return things.filter(({ subject }) => Object.keys(factsOf(subject)).length > 0);
}

/** Sum up by kind what became of things: {item: {taken, delivered, held, back, missing}, …}; `back` is what comes back. */
export function sums(subjects, factsOf) {
  const found = {};
  for (const subject of subjects) {
    const facts = factsOf(subject);
    if (!KINDS.includes(kindOf(subject)) || !Object.keys(facts).length) continue;
    const row = (found[kindOf(subject)] ??= { taken: 0, delivered: 0, held: 0, back: 0, missing: 0 });
    row.taken += 1;
    row[fateOf(facts)] += 1;
  }
  return found;
}

function fateOf(facts) {
  const fate = Object.keys(OUT).find((fact) => fact in facts);
  return fate ? OUT[fate] : "back";
}

function kindOf(subject) {
  return subject.split("/")[0];
}

function isTaken(task) {
  const kind = kindOf(task.subject);
  return kind === "pouch" || kind === "key" || (kind === "item" && isRegistered(task));
}

function isRegistered({ requirements = [], details = {} }) {
  return requirements.includes("signature") || requirements.includes("identity") || Boolean(details.registered);
}
