// Pictures: made small and without what the camera wrote into them, kept until the service has them, sent apart from events.

import { api } from "./api.js";
import { meaning } from "./batches.js";
import { done, open } from "./kept.js";
import { pausedBy } from "./sending.js";
import { ownersIn, rememberIn } from "./whose.js";

const LONGEST_SIDE = 1600;
const DRAWING_PIXELS = 1_048_576; // a small PNG is a signature: its lines stay sharp
const QUALITY = 0.8;

/** Keep a picture, made anew; give its SHA-256, by which an event names it. Rejects for what is no picture. */
export async function keepPicture(blob) {
  const made = await smaller(blob);
  const sha256 = hex(await crypto.subtle.digest("SHA-256", await made.arrayBuffer()));
  const kept = await open();
  await kept.write(["kept", "media"], async ({ kept: names, media }) => {
    const [known, device] = await Promise.all([done(media.getKey(sha256)), done(names.get("device"))]);
    if (known) return;
    rememberIn(names, device);
    media.put({ sha256, device_id: device?.device_id ?? null, blob: made, type: made.type, size: made.size, state: "draft", taken_at: Date.now(), received: 0, ...FRESH });
  });
  kept.tell({ kind: "media" });
  return sha256;
}

const FRESH = { tries: 0, next_at: null, reason: null, answered_at: null };

/** List which of the kept pictures an event's data names, wherever it does. */
export function namedIn(data, kept) {
  if (typeof data === "string") return kept.has(data) ? [data] : [];
  if (data === null || typeof data !== "object") return [];
  return [...new Set(Object.values(data).flatMap((each) => namedIn(each, kept)))];
}

async function smaller(blob) {
  const picture = await createImageBitmap(blob, { imageOrientation: "from-image" });
  const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(picture.width * scale)), Math.max(1, Math.round(picture.height * scale)));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const drawing = blob.type === "image/png" && canvas.width * canvas.height <= DRAWING_PIXELS;
  if (drawing) return canvas.convertToBlob({ type: "image/png" });
  const made = await canvas.convertToBlob({ type: "image/webp", quality: QUALITY });
  return made.type === "image/webp" ? made : canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

function hex(bytes) {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const PART_BYTES = 131_072;
const TIMEOUT_MS = 60_000;
const NEVER = new Set(["not_a_picture", "too_many_pixels", "too_large", "bad_name"]);

/** Send every picture that an event on its way names. `eventsFirst()` is awaited before every part. */
export async function sendPictures(kept, { pause, isStopped, eventsFirst }) {
  for (;;) {
    if (await isStopped()) return;
    const picture = await next(kept);
    if (!picture) return;
    const end = await upload(picture, eventsFirst);
    await note(kept, picture, end, pause);
  }
}

/** Let the pictures go whose event can not be undone any more: what was taken back leaves nothing behind. */
export async function claimPictures(kept) {
  const claimed = await kept.write(["outbox", "media"], async ({ outbox, media }) => {
    const drafts = (await done(media.getAll())).filter(({ state }) => state === "draft" || state === "sending");
    if (!drafts.length) return 0;
    const leaving = (await done(outbox.getAll())).filter(({ state }) => !["held", "undone"].includes(state));
    const named = new Set(leaving.flatMap(({ pictures }) => pictures));
    const found = drafts.filter(({ sha256 }) => named.has(sha256));
    for (const picture of found) media.put({ ...picture, state: "waiting" });
    return found.length;
  });
  if (claimed) kept.tell({ kind: "media" });
}

async function next(kept) {
  const taken = await kept.write(["kept", "media"], async ({ kept: names, media }) => {
    const whose = await ownersIn(names);
    const waiting = (await done(media.getAll())).filter((each) => each.state === "waiting" && whose.senderOf(each));
    const first = waiting.sort((one, other) => one.tries - other.tries || one.taken_at - other.taken_at)[0];
    if (first) media.put({ ...first, state: "sending", tries: first.tries + 1 });
    return first ? { ...first, sender: whose.senderOf(first) } : null;
  });
  if (taken) kept.tell({ kind: "media" });
  return taken;
}

// Give how it ended: {state: accepted | refused | waiting, reason?, wait?, received?}.
async function upload(picture, eventsFirst) {
  const { blob } = picture;
  let from = picture.tries > 0 ? null : 0; // after a cut, ask first how much is there
  for (let stuck = 0; stuck < 3; ) {
    await eventsFirst();
    const answer = await put(picture, from);
    if (answer.status === 200 || answer.status === 201) return { state: "accepted", received: blob.size };
    if (answer.status !== 308) return failure(answer);
    const here = received(answer.headers.get("Range"));
    stuck = from !== null && here <= from ? stuck + 1 : 0;
    from = here < blob.size ? here : null;
  }
  return { state: "waiting", reason: "server_busy" };
}

function put({ sha256, blob, sender }, from) {
  const part = from === null ? new Blob([]) : blob.slice(from, from + PART_BYTES);
  const range = from === null ? `bytes */${blob.size}` : `bytes ${from}-${from + part.size - 1}/${blob.size}`;
  const headers = { "Content-Type": "application/octet-stream", "Content-Range": range };
  return api(`/v1/media/${sha256}`, { method: "PUT", body: part, headers, timeout: TIMEOUT_MS, as: sender });
}

function received(range) {
  const found = /^bytes=0-(\d+)$/.exec(range ?? "");
  return found ? Number(found[1]) + 1 : 0;
}

function failure(answer) {
  const code = answer.json?.code;
  if (answer.status === 413 || NEVER.has(code)) return { state: "refused", reason: code ?? "too_large" };
  const said = meaning(answer, Date.now());
  return { state: "waiting", reason: said.reason, wait: said.wait };
}

async function note(kept, { sha256 }, { state, reason = null, wait, received: bytes }, pause) {
  const now = Date.now();
  await kept.write(["kept", "media"], async (stores) => {
    const picture = await done(stores.media.get(sha256));
    if (!picture) return;
    const answered = state === "waiting" ? null : now;
    stores.media.put({ ...picture, state, reason, received: bytes ?? picture.received, answered_at: answered });
    if (state !== "waiting") stores.kept.delete(pause);
    else if (reason !== "sign_in_expired") stores.kept.put(pausedBy({ reason, wait }, await done(stores.kept.get(pause)), now), pause);
  });
  kept.tell({ kind: "media" });
}
