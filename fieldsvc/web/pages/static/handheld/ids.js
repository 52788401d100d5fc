// Ids of events: UUIDv7, in the order in which they are made, also within a millisecond; tabs differ by 62 random bits.

let last = 0;
let count = 0;

/** Make an id for what happens at `now`, in milliseconds. */
export function newId(now = Date.now()) {
  const random = crypto.getRandomValues(new Uint8Array(10));
  if (now > last) {
    last = now;
    count = ((random[8] & 0x07) << 8) | random[9]; // half of the 4,096 of a millisecond is left to count on
  } else if ((count += 1) > 0xfff) {
    last += 1; // the clock stands still, or went back
    count = 0;
  }
  return written(last, count, random);
}

function written(milliseconds, counted, random) {
  const time = milliseconds.toString(16).padStart(12, "0");
  const third = (0x7000 | counted).toString(16);
  random[0] = (random[0] & 0x3f) | 0x80;
  const rest = [...random.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${time.slice(0, 8)}-${time.slice(8)}-${third}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}
