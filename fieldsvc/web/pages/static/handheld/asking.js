// Which delivery changes may be asked for at the door: the rules of handlers/products.py for what is at hand. No page here.
import { isRegistered } from "./codes.js";

export const ANSWERS = ["confirms", "no", "nobody", "unknown_name"];
const [LOADED, NEAR] = ["loaded", "near"];
const SURER = ["none", "door", "account", "substantial", "counter"];

// As products.KINDS: until when, for what, which fields, and how sure one must be of who asks.
export const KINDS = {
  neighbour: { cutoff: NEAR, subjects: ["item", "delivery_point"], fields: ["neighbour"] },
  safe_place: { cutoff: NEAR, subjects: ["item", "delivery_point"], fields: ["place"] },
  second_presentation: { cutoff: NEAR, subjects: ["item"], fields: ["from"] },
  proxy: { cutoff: NEAR, subjects: ["item", "delivery_point"], fields: ["proxy"], signed: "substantial" },
  hold: { cutoff: LOADED, subjects: ["item", "delivery_point"], fields: ["to"], signed: "account" },
  other_date: { cutoff: LOADED, subjects: ["item"], fields: ["from"] },
  pickup_point: { cutoff: LOADED, subjects: ["item"], fields: ["pickup_point"], signed: "substantial" },
  redirect_temporary: { cutoff: LOADED, subjects: ["delivery_point"], fields: ["from", "to", "new_address", "names"], identity: "substantial", redirects: true },
  redirect_permanent: { cutoff: LOADED, subjects: ["delivery_point"], fields: ["from", "new_address", "names"], identity: "substantial", redirects: true },
};
const FORBIDDEN = {
  registered: { neighbour: "registered_only_to_addressee", safe_place: "registered_only_to_addressee" },
  signed: { safe_place: "signed_for_at_the_door" },
};
export const IN_DETAILS = ["neighbour", "place", "proxy", "pickup_point"];

/** The product of an item: registered, signed or ordinary. */
export function productOf(id, requirements = []) {
  if (requirements.includes("registered") || isRegistered(id)) return "registered";
  return requirements.includes("signature") ? "signed" : "ordinary";
}

/** Why a kind is refused for a subject (`item/…`) and product; null if it is not. */
export function refusal(kind, subject, product) {
  const about = subject.split("/")[0];
  if (product === "pouch") return "pouch_never_left";
  if (FORBIDDEN[product]?.[kind]) return FORBIDDEN[product][kind];
  if (KINDS[kind].subjects.includes(about)) return null;
  return KINDS[kind].subjects[0] === "item" ? "only_for_an_item" : "only_for_an_address";
}

/** How sure one must be of who asks. */
export function identityNeeded(kind, subject, product) {
  const wanted = [KINDS[kind].identity ?? "none"];
  if (["registered", "signed"].includes(product) && KINDS[kind].signed) wanted.push(KINDS[kind].signed);
  if (subject.startsWith("delivery_point/")) wanted.push("account");
  return wanted.reduce((one, other) => (SURER.indexOf(other) > SURER.indexOf(one) ? other : one));
}

/** What may be asked: [{kind, why, confirm}]; `why` it cannot be, `confirm` whether the customer has to say so again online. */
export function askable({ subject, product, isLoaded }) {
  return Object.keys(KINDS).map((kind) => {
    const late = subject.startsWith("item/") && isLoaded && KINDS[kind].cutoff === LOADED ? "already_loaded" : null;
    const why = KINDS[kind].redirects ? "not_at_the_door" : (refusal(kind, subject, product) ?? late);
    return { kind, why, confirm: !why && SURER.indexOf(identityNeeded(kind, subject, product)) > SURER.indexOf("door") };
  });
}
