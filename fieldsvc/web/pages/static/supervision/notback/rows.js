// Who is not back yet, as rows in the order of need. Pure: no page, no clock.

import { NO_SIGNAL_S, ageOf, placeName } from "../state.js";

export const TIMED = "timed_task";
const LATE_MS = 300000;

// Make rows of what /v1/runs/not-back tells: the round with a timed task that is overdue first, then the latest return.
export function rowsOf(runs, now) {
  return runs.map((run) => rowOf(run, now)).sort((one, other) => other.need - one.need || one.round.localeCompare(other.round, "fr", { numeric: true }));
}

function rowOf(run, now) {
  const tasks = [...run.tasks_left].sort((one, other) => rank(one) - rank(other) || until(one).localeCompare(until(other)));
  const age = ageOf(run.seen_at, now);
  const lateBy = run.ends_at && run.expected_end_at ? Date.parse(run.expected_end_at) - Date.parse(run.ends_at) : 0;
  const timed = tasks.filter(({ service }) => service === TIMED);
  return {
    id: run.run_id,
    round: run.round_id,
    name: placeName(run),
    carrier: run.carrier,
    state: run.state,
    age,
    seenAt: run.seen_at,
    silent: run.state !== "paused" && (age === null || age > NO_SIGNAL_S),
    expectedAt: run.expected_end_at,
    earlyAt: run.expected_early_at ?? null,
    lateAt: run.expected_late_at ?? null,
    endsAt: run.ends_at,
    late: lateBy > LATE_MS,
    stops: run.stops_left,
    tasks,
    timed: timed.length,
    things: run.things_out,
    need: 1e12 * timed.filter(({ overdue }) => overdue).length + 1e9 * timed.length + Math.max(0, lateBy) / 1000 + run.stops_left / 1e4,
  };
}

// The sums of what is left, for the sentence over the table.
export function sums(rows) {
  return {
    n: rows.length,
    timed: rows.reduce((sum, row) => sum + row.timed, 0),
    silent: rows.filter((row) => row.silent).length,
  };
}

// How many of a kind there are, timed tasks first: [[kind, n, overdue]].
export function kinds(tasks) {
  const found = new Map();
  for (const { service, overdue } of tasks) {
    const [n, late] = found.get(service) ?? [0, 0];
    found.set(service, [n + 1, late + (overdue ? 1 : 0)]);
  }
  return [...found].map(([kind, [n, late]]) => [kind, n, late]);
}

function rank({ service, overdue }) {
  return (service === TIMED ? 0 : 2) + (overdue ? 0 : 1);
}

function until({ window }) {
  return window?.until ?? "9";
}
