// Ids of events: UUIDv7, so that they are in the order of their time.

export function uuid7(now = Date.now(), random = crypto.getRandomValues(new Uint8Array(10))) {
  const time = now.toString(16).padStart(12, "0");
  const tail = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const variant = (8 + (random[2] & 3)).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${tail.slice(0, 3)}-${variant}${tail.slice(5, 8)}-${tail.slice(8, 20)}`;
}
