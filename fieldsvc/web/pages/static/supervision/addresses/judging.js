// A report of an address change as it is judged: what differs, where the point would come, and what a decision says. Pure.

const MOVING = new Set(["moved", "wrong_number", "new_delivery_point"]);

// Write an address that may be text or fields.
export function written(address) {
  if (!address) return null;
  if (typeof address === "string") return address;
  const { number, bis, street, building, postcode, town } = address;
  return [[number, bis, street].filter(Boolean).join(" "), building, [postcode, town].filter(Boolean).join(" ")].filter(Boolean).join(", ");
}

// Cut two texts into words that are the same and words that are not: [{words, same}] of the one and of the other.
export function differing(one, other) {
  const [a, b] = [split(one), split(other)];
  const common = longest(a, b);
  return [parts(a, common.map(([n]) => n)), parts(b, common.map(([, n]) => n))];
}

function split(text) {
  return (text ?? "").split(/\s+/).filter(Boolean);
}

function longest(a, b) {
  const size = a.map(() => new Array(b.length + 1).fill(0)).concat([new Array(b.length + 1).fill(0)]);
  for (let n = a.length - 1; n >= 0; n -= 1) {
    for (let m = b.length - 1; m >= 0; m -= 1) size[n][m] = a[n] === b[m] ? size[n + 1][m + 1] + 1 : Math.max(size[n + 1][m], size[n][m + 1]);
  }
  const found = [];
  for (let n = 0, m = 0; n < a.length && m < b.length;) {
    if (a[n] === b[m]) found.push([n++, m++]);
    else if (size[n + 1][m] >= size[n][m + 1]) n += 1;
    else m += 1;
  }
  return found;
}

function parts(words, kept) {
  const same = new Set(kept);
  const found = [];
  words.forEach((word, n) => {
    const last = found.at(-1);
    if (last && last.same === same.has(n)) last.words += ` ${word}`;
    else found.push({ words: word, same: same.has(n) });
  });
  return found;
}

// Whether a person must say where the point comes, because the server does not know or is not sure.
export function needsPlace({ change, after }) {
  return MOVING.has(change) && (!after.placement?.round_id || after.placement.ambiguous === true);
}

// What a chosen place says: behind a stop of a round; where the address was not found, the point lies at that stop.
export function placeOf(round, stop, placement) {
  const known = placement?.lat !== undefined && placement?.lat !== null;
  const [lon, lat] = known ? [placement.lon, placement.lat] : stop.place;
  const place = { round_id: round, after_stop_id: stop.id, lat, lon };
  return placement?.normalised ? { ...place, normalised: placement.normalised } : place;
}

export function isPicture(text) {
  return /^[0-9a-f]{64}$/.test(text);
}
