// Several replays on one clock. Pure: `prepare` and `at` of replay.js, for each run.

import { at, prepare } from "../replay.js";

const MINUTE_S = 60;

// Prepare the answers of /v1/runs/{id}/replay; a run of which nothing is known stays in the list, without moments.
export function tracks(answers) {
  return answers.map((answer, tone) => {
    const replay = prepare(answer.points);
    return { run: answer.run_id, round: answer.round_id, carrier: answer.carrier, length: answer.length_m, tone: tone % 10, replay, ...totals(replay) };
  });
}

// The span of the common clock, in milliseconds; null where nothing is known of any.
export function span(list) {
  const known = list.filter(({ replay }) => replay.moments.length);
  if (!known.length) return null;
  return { first: Math.min(...known.map(({ replay }) => replay.first)), last: Math.max(...known.map(({ replay }) => replay.first + replay.length * 1000)) };
}

// What is known of a track at a moment: `before` its first, `after` its last, or as `at` says it.
export function stand({ replay }, time) {
  if (!replay.moments.length) return { when: "nothing", head: null, pieces: [], last: null, inGap: false };
  const s = (time - replay.first) / 1000;
  if (s < 0) return { when: "before", head: null, pieces: [], last: null, inGap: false };
  const found = at(replay, s);
  return { ...found, when: s > replay.length ? "after" : found.inGap ? "gap" : "on" };
}

// How far and how long, what is missing, and what came late, by the minute in which it came.
function totals({ moments, spans, length }) {
  const gone = spans.filter(({ gap }) => gap);
  const known = moments.filter(({ distance_along_m: metres }) => metres !== null);
  const batches = new Map();
  for (const { lateBy, received_at: received } of moments) {
    if (!lateBy) continue;
    const minute = received.slice(0, 16);
    batches.set(minute, { at: received, n: (batches.get(minute)?.n ?? 0) + 1 });
  }
  return {
    far: known.length ? Math.max(...known.map(({ distance_along_m: metres }) => metres)) : 0,
    minutes: length / MINUTE_S,
    gaps: gone.length,
    gapMinutes: gone.reduce((all, { from, to }) => all + (to - from), 0) / MINUTE_S,
    late: [...batches.values()].sort((one, other) => one.at.localeCompare(other.at)),
  };
}
