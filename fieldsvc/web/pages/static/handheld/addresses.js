// A written address in parts and back, what each change needs of the new one, and a pin that is moved by steps. No page here.

export const PARTS = ["number", "bis", "street", "building", "postcode", "town"];
const MARKS = "bis|ter|quater|[A-Z]";
const LINE = new RegExp(`^(?:(.*?),\\s*)?(?:(\\d+)\\s*(${MARKS})?\\s+)?([^,]+?)(?:,\\s*([^,]+?))?,\\s*(\\d{5})\\s+(.+)$`, "i");
const STEP_M = 5;
const DEGREE_M = 111_195; // of latitude
const WAYS = { north: [0, 1], east: [1, 0], south: [0, -1], west: [-1, 0] };

// Which parts of the old address the new one begins with; nothing for a change that has no new address.
const KEEPS = {
  moved: [],
  wrong_number: ["street", "building", "postcode", "town"],
  renamed_street: ["number", "bis", "building", "postcode", "town"],
  new_delivery_point: ["street", "postcode", "town"],
};
const NEEDS_NEW = ["wrong_number", "renamed_street", "new_delivery_point"];

/** Whether a change says a new address: "needed", "maybe" or "no". */
export function newAddressOf(change) {
  if (NEEDS_NEW.includes(change)) return "needed";
  return change === "moved" ? "maybe" : "no";
}

/** Read a written address: {number, bis, street, building, postcode, town}; what cannot be told apart is its street. */
export function split(written) {
  const [, before, number, bis, street, after, postcode, town] = LINE.exec((written ?? "").trim()) ?? [];
  if (!postcode) return { number: "", bis: "", street: (written ?? "").trim(), building: "", postcode: "", town: "" };
  return { number: number ?? "", bis: bis ?? "", street, building: before ?? after ?? "", postcode, town };
}

/** Write an address as the service reads it: `Bâtiment B, 12 bis avenue Pasteur, 93140 Bondy`. */
export function join({ number = "", bis = "", street = "", building = "", postcode = "", town = "" }) {
  const line = [number, bis, street].map((each) => each.trim()).filter(Boolean).join(" ");
  const place = [postcode, town].map((each) => each.trim()).filter(Boolean).join(" ");
  return [building.trim(), line, place].filter(Boolean).join(", ");
}

/** What the new address begins with. */
export function begun(change, old) {
  const known = split(old);
  return Object.fromEntries(PARTS.map((part) => [part, KEEPS[change]?.includes(part) ? known[part] : ""]));
}

/** What is wrong with the parts of a new address: {part, key}, or null. Of one that may be left out, nothing is wrong when it is. */
export function faultOfParts(parts, { change, old }) {
  const isEmpty = PARTS.every((part) => !parts[part].trim());
  if (newAddressOf(change) === "maybe" && isEmpty) return null;
  if (!parts.street.trim()) return { part: "street", key: "address.fault_street" };
  if (parts.postcode.trim() && !/^\d{5}$/.test(parts.postcode.trim())) return { part: "postcode", key: "address.fault_postcode" };
  if (!parts.town.trim()) return { part: "town", key: "address.fault_town" };
  return join(parts) === join(split(old)) ? { part: change === "renamed_street" ? "street" : "number", key: "address.fault_same" } : null;
}

/** A pin one step further: north, east, south or west. */
export function moved({ lat, lon }, way, metres = STEP_M) {
  const [east, north] = WAYS[way];
  const round = (degrees) => Number(degrees.toFixed(7));
  return { lat: round(lat + (north * metres) / DEGREE_M), lon: round(lon + (east * metres) / (DEGREE_M * Math.cos((lat * Math.PI) / 180))) };
}

/** How far a pin is from where it was, in whole metres: {north, east}, negative to the south and to the west. */
export function offset(from, to) {
  const north = Math.round((to.lat - from.lat) * DEGREE_M);
  const east = Math.round((to.lon - from.lon) * DEGREE_M * Math.cos((from.lat * Math.PI) / 180));
  return { north: north || 0, east: east || 0 };
}
