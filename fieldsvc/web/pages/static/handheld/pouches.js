// The chain of a sealed pouch: at the pharmacy, with the carrier, with somebody whom the order names. Nothing of what is in it.

export const FRIDGE_C = [2, 8];
export const NOT_HANDED = ["absent", "refused", "nobody_named", "wrong_address", "too_late"];

/** Where the pouch is as far as this phone knows: pharmacy, carried, returning, or over. */
export function placeOf(facts) {
  if (facts.delivered || facts.passed_on || facts.back) return "over";
  if (facts.returned) return "returning";
  return facts.loaded ? "carried" : "pharmacy";
}

export function needsBox(task) {
  return (task?.requirements ?? []).includes("fridge");
}

/** Why it may not be taken along: no temperature of a qualified box, or one that is not between 2 and 8 °C; null if it may. */
export function boxFault(temperature) {
  const { min_c: min, max_c: max } = temperature ?? {};
  if (!Number.isFinite(min) || !Number.isFinite(max)) return "box_missing";
  return FRIDGE_C[0] <= min && min <= max && max <= FRIDGE_C[1] ? null : "box_warm";
}

/** Who may receive it: whom the order names, by what they are; without a name the patient alone. */
export function receivers(task) {
  const named = task?.details?.may_receive;
  return Array.isArray(named) && named.length ? named : ["patient"];
}

/** The names of those who may receive it beside the patient, from the sheet's mandates. */
export function namedFor(subject, sheet) {
  const found = (sheet?.mandates ?? []).filter((each) => each.subject === subject).map((each) => each.mandate?.name);
  return found.filter(Boolean);
}

/** How the carrier may be sure of who it is: by a document, or because he saw one before. */
export function identities(task) {
  return task?.known_to_you ? ["document", "known_to_carrier"] : ["document"];
}

/** The pharmacy as the order names it: {name, phone, closes}. */
export function pharmacyOf(task) {
  const { name = "", phone, mobile, closes } = task?.details?.pharmacy ?? {};
  return { name, phone: phone ?? mobile ?? null, closes: closes ?? null };
}
