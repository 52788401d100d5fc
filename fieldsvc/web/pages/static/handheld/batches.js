// What is sent next, and what an answer comes to. Pure: no page, no clock, no database.

export const MOST_EVENTS = 100; // the service takes 500; on a slow line the first answers should come soon
export const MOST_BYTES = 900_000;
const UNANSWERED = new Set(["held", "waiting", "sending"]);
const FIRST_MS = 2_000;
const LONGEST_MS = 300_000;
const LONGEST_WISH_MS = 3_600_000;
const GOOD = new Set(["accepted", "duplicate"]);
const SIGNED_OUT = new Set(["unauthorized", "revoked"]);

/** Tell whether an entry may leave; a clock that went back behind its saving holds nothing up. */
export function isDue(entry, now) {
  if (!UNANSWERED.has(entry.state)) return false;
  if (now < entry.queued_at) return true;
  return !((entry.state === "held" && entry.due_at > now) || entry.next_at > now);
}

/**
 * Choose the next batch of what is unanswered, which is given by seq: what is due, in its order. Nothing overtakes an earlier
 * entry of its own subject, and urgent entries are left to `pickUrgent`.
 */
export function pick(entries, now, { events = MOST_EVENTS, bytes = MOST_BYTES } = {}) {
  const behind = new Set();
  const batch = [];
  let size = 2;
  for (const entry of entries) {
    const { subject } = entry.event;
    if (entry.urgent || !isDue(entry, now) || (subject && behind.has(subject))) {
      behind.add(subject);
      continue;
    }
    size += sizeOf(entry) + 1;
    if (batch.length && (batch.length >= events || size > bytes)) break;
    batch.push(entry);
  }
  return batch;
}

/** Choose the first urgent entry that is due, behind those of its own subject that have no answer yet: they keep their order. */
export function pickUrgent(entries, now) {
  const urgent = entries.find((entry) => entry.urgent && isDue(entry, now));
  if (!urgent) return [];
  const { subject } = urgent.event;
  const earlier = entries.filter((entry) => subject && entry.event.subject === subject && entry.seq < urgent.seq);
  return [...earlier.slice(1 - MOST_EVENTS), urgent];
}

/** Say when to look again: the earliest moment at which an entry that is not due yet will be, or null. */
export function nextMoment(entries, now) {
  const moments = entries.filter((entry) => !isDue(entry, now)).map((entry) => Math.max(entry.due_at ?? 0, entry.next_at ?? 0));
  return moments.length ? Math.min(...moments) : null;
}

/** Wait how long before the n-th attempt after a failure: doubling from 2 s to 5 min, of which a random half. */
export function backoff(failures, random = Math.random()) {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10));
  return Math.round(most * (0.5 + random / 2));
}

/** Read Retry-After, seconds or a date, as milliseconds up to an hour; null when it says nothing. */
export function retryAfter(value, now) {
  if (!value) return null;
  const wish = /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isFinite(wish) ? Math.min(LONGEST_WISH_MS, Math.max(0, wish)) : null;
}

/**
 * Say what an answer to a whole request means: `results` to settle, `split` it in halves, `expired`, or `later` with a reason,
 * and `wait` ms where the service named them.
 */
export function meaning({ status, json, headers, late }, now) {
  if (status === 200 && Array.isArray(json?.results)) return { kind: "results", results: json.results, receipt: json.receipt ?? null };
  if (status === 413) return { kind: "split", reason: "too_large" };
  if (status === 400 || status === 415) return { kind: "split", reason: json?.code ?? "not_json" };
  if (isSignedOut({ status, json })) return { kind: "expired", reason: "sign_in_expired" };
  if (status === 0 && !late) return { kind: "later", reason: "offline", wait: null };
  const wait = status === 503 || status === 429 ? retryAfter(headers.get("Retry-After"), now) : null;
  return { kind: "later", reason: "server_busy", wait };
}

/** Tell whether an answer says that the service does not know this phone, and not that something between says no. */
export function isSignedOut({ status, json }) {
  return [401, 403].includes(status) && SIGNED_OUT.has(json?.code);
}

/** Match the results of an answer with the entries sent: by id, or by place for an id that the service could not read. */
export function matched(entries, results) {
  const byId = new Map(results.filter((each) => each?.id).map((each) => [each.id.toLowerCase(), each]));
  const inPlace = results.length === entries.length;
  return entries.map((entry, n) => byId.get(entry.id) ?? (inPlace && results[n]?.id === null ? results[n] : null));
}

/** Give an entry as it is after its own result: what is no good answer is refused, with its reason. */
export function settled(entry, result, { now, receipt }) {
  const good = GOOD.has(result.status);
  const reason = good ? null : (result.reason ?? result.status);
  return {
    ...entry,
    state: good ? "accepted" : "refused",
    status: result.status,
    reason,
    result,
    receipt,
    answered_at: now,
    next_at: null,
    due_at: null,
  };
}

function sizeOf(entry) {
  return new TextEncoder().encode(JSON.stringify(entry.event)).length;
}
