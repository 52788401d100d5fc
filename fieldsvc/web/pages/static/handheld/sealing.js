// A queue sealed for the service alone, so that any phone may carry it. The layout, as fieldsvc/intake/relay.py opens it:
//
//    0    4  "FSR" and the version, 1
//    4    8  the key it is sealed for: the first bytes of the SHA-256 of the service's public key
//   12   65  the public key made for this one envelope, an uncompressed point of P-256
//   77    …  AES-256-GCM over the gzip of two lines, and its tag; the 77 bytes before are its additional data
//
// Key (32 bytes) and nonce (12) are HKDF-SHA-256 of the two keys' ECDH secret, salt = those 77 bytes, info = "fieldsvc relay 1".
// The first line is {"device_id", "token", "made_at"}; the second is the body of POST /v1/events, as this phone would send it.
// Several envelopes travel as one parcel: "FSP" and the version, 1, then each envelope behind its length (4 bytes, big endian).

const ENVELOPE = [0x46, 0x53, 0x52, 1];
const PARCEL = [0x46, 0x53, 0x50, 1];
const POINT_BYTES = 65;
const ID_BYTES = 8;
const HEADER_BYTES = ENVELOPE.length + ID_BYTES + POINT_BYTES;
const INFO = new TextEncoder().encode("fieldsvc relay 1");
const P256 = { name: "ECDH", namedCurve: "P-256" };
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; // base32 (RFC 4648): short in a QR code, and typed alike on every keyboard

export const MOST_EVENTS = 500;
export const MOST_BYTES = 900_000;

/** Seal events, given in their order, for the service whose `key` is the answer of GET /v1/relay-key. Gives the parcel. */
export async function sealQueue(key, device, events, now = Date.now()) {
  const head = { device_id: device.device_id, token: device.token, made_at: new Date(now).toISOString() };
  const bodies = batches(events.map((event) => JSON.stringify(event)));
  const envelopes = await Promise.all(bodies.map((body) => seal(key, `${JSON.stringify(head)}\n${body}`)));
  return parcelOf(envelopes);
}

/** Put texts of events together to bodies that one envelope may hold. */
export function batches(texts, { events = MOST_EVENTS, bytes = MOST_BYTES } = {}) {
  const found = [];
  let batch = [];
  let size = 2;
  for (const text of texts) {
    const more = new TextEncoder().encode(text).length + 1;
    if (batch.length && (batch.length >= events || size + more > bytes)) {
      found.push(batch);
      batch = [];
      size = 2;
    }
    batch.push(text);
    size += more;
  }
  if (batch.length) found.push(batch);
  return found.map((each) => `[${each.join(",")}]`);
}

/** Seal one text. */
export async function seal({ public_key: told }, text) {
  const { subtle } = crypto;
  const theirs = Uint8Array.from(atob(told), (letter) => letter.charCodeAt(0));
  const own = await subtle.generateKey(P256, false, ["deriveBits"]);
  const header = joined([
    ENVELOPE,
    (await digest(theirs)).slice(0, ID_BYTES),
    new Uint8Array(await subtle.exportKey("raw", own.publicKey)),
  ]);
  const key = await subtle.importKey("raw", theirs, P256, false, []);
  const secret = await subtle.deriveBits({ name: "ECDH", public: key }, own.privateKey, 256);
  const { cipher, nonce } = await keysOf(secret, header);
  const sealed = await subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: header }, cipher, await packed(text));
  return joined([header, new Uint8Array(sealed)]);
}

/** Put envelopes into one parcel. */
export function parcelOf(envelopes) {
  return joined([PARCEL, ...envelopes.flatMap((each) => [lengthOf(each), each])]);
}

/** Take a parcel apart; null if it is none, or was cut. Nothing in it can be read. */
export function unpack(parcel) {
  if (!PARCEL.every((byte, place) => parcel[place] === byte)) return null;
  const found = [];
  let place = PARCEL.length;
  while (place < parcel.length) {
    const length = new DataView(parcel.buffer, parcel.byteOffset, parcel.length).getUint32(Math.min(place, parcel.length - 4));
    const envelope = parcel.slice(place + 4, place + 4 + length);
    if (place + 4 > parcel.length || envelope.length !== length || !isEnvelope(envelope)) return null;
    found.push(envelope);
    place += 4 + length;
  }
  return found.length ? found : null;
}

/** Name a parcel by its content: eight letters that people can compare. */
export async function nameOf(parcel) {
  return base32((await digest(parcel)).slice(0, 5));
}

/** Write bytes as base32, without padding. */
export function base32(bytes) {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += LETTERS[(held >> (bits - 5)) & 31];
  }
  return bits ? text + LETTERS[(held << (5 - bits)) & 31] : text;
}

/** Read base32; null for anything else. */
export function fromBase32(text) {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let bits = 0;
  let held = 0;
  let place = 0;
  for (const letter of text) {
    const value = LETTERS.indexOf(letter);
    if (value < 0) return null;
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) bytes[place++] = (held >> (bits -= 8)) & 255;
  }
  return bytes;
}

/** Put arrays of bytes together. */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((place, part) => (whole.set(part, place), place + part.length), 0);
  return whole;
}

function lengthOf({ length }) {
  return new Uint8Array([length >>> 24, length >>> 16, length >>> 8, length]);
}

function isEnvelope(bytes) {
  return bytes.length > HEADER_BYTES && ENVELOPE.every((byte, place) => bytes[place] === byte);
}

async function keysOf(secret, header) {
  const { subtle } = crypto;
  const base = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const made = await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: header, info: INFO }, base, 352);
  const cipher = await subtle.importKey("raw", made.slice(0, 32), "AES-GCM", false, ["encrypt"]);
  return { cipher, nonce: made.slice(32) };
}

async function packed(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function digest(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
