// Who is missing on a day, and who is there: what runs, roster and alerts say, put together. Pure.

const AT_WORK = new Set(["started", "resumed", "paused"]);
const OVER = new Set(["ended", "reconciled"]);

const WHY = { run_not_served: "not_served", uncovered: "uncovered", late_start: "late" };

// The rounds that nobody walks, or that have not begun in time, in the order in which they press.
export function missing({ runs, roster }) {
  const rows = byRound(roster);
  const found = runs.filter(({ risk }) => WHY[risk]).map((run) => ({ run, row: rows.get(run.round_id) ?? null, why: WHY[run.risk] }));
  const rank = { not_served: 0, uncovered: 1, late: 2 };
  return found.sort((one, other) => rank[one.why] - rank[other.why] || compare(one.run.round_id, other.run.round_id));
}

// The runs without a carrier that are in no danger: colleagues do all of them.
export function covered({ runs }) {
  return runs.filter(({ carrier, state, risk }) => !carrier && state === "planned" && !risk);
}

// Everybody of the day: who walks what, what they are trained for, whether they are away; last who is known and has no round.
export function people({ runs, roster }) {
  const states = new Map(runs.map((run) => [run.round_id, run]));
  const away = new Map(roster.absences.map(({ carrier, kind }) => [carrier, kind]));
  const rows = roster.rows.filter(({ carrier }) => carrier).map((row) => ({
    carrier: row.carrier,
    round: row.round_id,
    qualifications: row.qualifications,
    absence: row.absence ?? away.get(row.carrier) ?? null,
    duty: dutyOf(states.get(row.round_id), row),
  }));
  const named = new Set(rows.map(({ carrier }) => carrier));
  const free = roster.carriers.filter(({ carrier }) => !named.has(carrier)).map(({ carrier, qualifications }) => (
    { carrier, round: null, qualifications, absence: away.get(carrier) ?? null, duty: "free" }
  ));
  const order = (one, other) => (one.round === null) - (other.round === null) || compare(one.round ?? one.carrier, other.round ?? other.carrier);
  return [...rows, ...free].sort(order);
}

function dutyOf(run, row) {
  if (!run || run.carrier !== row.carrier) return "expected";
  if (AT_WORK.has(run.state)) return "at_work";
  return OVER.has(run.state) ? "over" : "expected";
}

function byRound(roster) {
  return new Map(roster.rows.map((row) => [row.round_id, row]));
}

// What presses on a run: its open tasks, and those of them with an hour, the first first.
export function pressing(stops) {
  const open = stops.filter(({ open_tasks }) => open_tasks > 0);
  const timed = open.filter(({ window_until }) => window_until).sort((one, other) => Date.parse(one.window_until) - Date.parse(other.window_until));
  return { tasks: open.reduce((all, { open_tasks }) => all + open_tasks, 0), timed };
}

// The days from one to another, for an absence; at most `most`.
export function days(first, last, most = 31) {
  const found = [];
  for (let day = new Date(`${first}T12:00:00Z`); found.length < most; day.setUTCDate(day.getUTCDate() + 1)) {
    const text = day.toISOString().slice(0, 10);
    if (text > last) break;
    found.push(text);
  }
  return found.length ? found : [first];
}

const { compare } = new Intl.Collator("fr", { numeric: true });
