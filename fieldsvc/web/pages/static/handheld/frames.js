// A parcel as a row of QR codes, read in any order and any number of times. Pure: no page, no clock.
//
// A frame is `FS1/<name>/<n>/<total>/<crc>/<data>`, in letters that a QR code holds tightly: the parcel's name (8 letters), which
// frame of how many (from 1), CRC-32 of all but itself (8 hexadecimal digits), and its bytes in base32.

import { base32, fromBase32, joined } from "./sealing.js";

export const FRAME_BYTES = 300;
export const FRAMES_A_SECOND = 5;
const FRAME = /^FS1\/([A-Z2-7]{8})\/(\d{1,5})\/(\d{1,5})\/([0-9A-F]{8})\/([A-Z2-7]+)$/;
const MOST_FRAMES = 8_000;

/** Cut a parcel into its frames. */
export function framesOf(name, parcel, size = FRAME_BYTES) {
  const total = Math.ceil(parcel.length / size);
  return Array.from({ length: total }, (_, n) => frame(name, n + 1, total, base32(parcel.subarray(n * size, (n + 1) * size))));
}

/** Read a frame: {name, n, total, bytes}; null for what is none, or was misread. */
export function readFrame(text) {
  const [, name, number, of, crc, data] = FRAME.exec(text.trim().toUpperCase()) ?? [];
  if (!name) return null;
  const [n, total, bytes] = [Number(number), Number(of), fromBase32(data)];
  const fits = bytes && n >= 1 && n <= total && total <= MOST_FRAMES && crc === sum(name, n, total, data);
  return fits ? { name, n, total, bytes } : null;
}

/** Collects the frames of one parcel after the other: `add(text)`, then `whole` once every one was read. */
export class Collector {
  #frames = new Map();
  name = null;
  total = 0;

  /** Take what was read. Returns `new`, `known`, `other` (of another parcel, which begins anew), or `none` for no frame. */
  add(text) {
    const found = readFrame(text);
    if (!found) return "none";
    const isOther = this.name !== null && (found.name !== this.name || found.total !== this.total);
    if (isOther || this.name === null) this.#begin(found);
    if (this.#frames.has(found.n)) return "known";
    this.#frames.set(found.n, found.bytes);
    return isOther ? "other" : "new";
  }

  get count() {
    return this.#frames.size;
  }

  /** The numbers of the frames that were not read yet. */
  get missing() {
    return Array.from({ length: this.total }, (_, n) => n + 1).filter((n) => !this.#frames.has(n));
  }

  /** The parcel, or null while something is missing. Its name is checked by whoever takes it. */
  get whole() {
    if (!this.total || this.count < this.total) return null;
    return joined(Array.from({ length: this.total }, (_, n) => this.#frames.get(n + 1)));
  }

  #begin({ name, total }) {
    this.#frames.clear();
    this.name = name;
    this.total = total;
  }
}

function frame(name, n, total, data) {
  return `FS1/${name}/${n}/${total}/${sum(name, n, total, data)}/${data}`;
}

function sum(name, n, total, data) {
  return crc32(`${name}/${n}/${total}/${data}`).toString(16).toUpperCase().padStart(8, "0");
}

function crc32(text) {
  let crc = 0xffffffff;
  for (let place = 0; place < text.length; place += 1) {
    crc ^= text.charCodeAt(place);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
