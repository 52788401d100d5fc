// What is known of the rounds, from the list (/v1/runs) and the stream (/v1/live). Pure: no page, no clock of its own.

export const STALE_S = 30;
export const SILENT_S = 120;
export const OLD_S = 120;
export const NO_SIGNAL_S = 900;
const GRACE_MS = 300000;
const RANK = { alert: 0, uncovered: 1, not_served: 2, late: 3, lost: 4, off: 5, vague: 6, on: 7, paused: 8, planned: 9, private: 10, ended: 11 };

export function empty() {
  return { at: null, live: new Map(), listed: new Map(), back: new Map(), alarms: new Map() };
}

// Take a message of the stream. Returns which runs it changed, and whether it told of alarms or of runs not listed yet.
export function take(state, event, data) {
  const changed = new Set();
  if (event === "snapshot") {
    for (const id of state.live.keys()) changed.add(id);
    state.live = new Map(data.runs.map((run) => [run.run_id, { ...run }]));
    for (const id of state.live.keys()) changed.add(id);
  } else {
    for (const run of data.n ?? []) {
      state.live.set(run.run_id, { ...run });
      changed.add(run.run_id);
    }
    for (const row of data.m ?? []) if (move(state, row, data.t)) changed.add(row[0]);
    for (const [id, seenAt] of Object.entries(data.s ?? {})) {
      const run = state.live.get(id);
      if (run) run.seen_at = seenAt;
    }
    for (const id of data.x ?? []) if (state.live.delete(id)) changed.add(id);
  }
  state.at = data.t;
  const alarms = (data.a ?? []).map((alarm) => takeAlarm(state, alarm)).includes(true);
  for (const id of alarms ? [...state.alarms.values()].map((alarm) => alarm.run_id) : []) if (id) changed.add(id);
  return { changed, alarms, unlisted: [...state.live.keys()].some((id) => !state.listed.has(id)) };
}

// Whether a message of the stream tells anything of a run.
export function tells(data, id) {
  return Boolean(data.m?.some(([run]) => run === id) || data.n?.some((run) => run.run_id === id) || data.s?.[id]);
}

function move(state, [id, lon, lat, distance, status], t) {
  const run = state.live.get(id);
  if (!run) return false;
  Object.assign(run, { lon, lat, distance_along_m: distance, status, seen_at: t });
  return true;
}

// Calls for help; the other alerts get their place on the page with its own issue.
// One that was just heard of may not be in the list yet: it is on screens before it is committed.
const FRESH_MS = 3000;
const HELP = new Set(["sos", "accident", "assault", "fall"]);

function takeAlarm(state, alarm) {
  if (!HELP.has(alarm.kind)) return false;
  const known = state.alarms.get(alarm.id);
  alarm.heard_at = Date.now();
  if (alarm.acknowledged_at) return state.alarms.delete(alarm.id);
  state.alarms.set(alarm.id, { ...known, ...alarm });
  return !known;
}

// Take the list of the day's runs, or of the open alarms, as a whole.
export function takeList(state, runs) {
  state.listed = new Map(runs.map((run) => [run.run_id, run]));
}

// Take who is not back yet, with what is left: /v1/runs/not-back.
export function takeBack(state, runs) {
  state.back = new Map(runs.map((run) => [run.run_id, run]));
}

// Behind: a task's window is over, or the end of the run is expected after it should have ended.
export function isBehind(listed, back) {
  if (listed?.tasks?.overdue > 0) return true;
  return Boolean(back?.ends_at && back.expected_end_at && Date.parse(back.expected_end_at) > Date.parse(back.ends_at) + GRACE_MS);
}

export function takeAlarms(state, alarms) {
  const open = new Map(alarms.filter((alarm) => HELP.has(alarm.kind) && !alarm.acknowledged_at).map((alarm) => [alarm.id, alarm]));
  for (const [id, alarm] of state.alarms) {
    if (!open.has(id) && Date.now() - alarm.heard_at < FRESH_MS) open.set(id, alarm);
  }
  state.alarms = open;
}

// The form in which another tab starts: a snapshot as the server sends it.
export function snapshotOf(state) {
  return { t: state.at, runs: [...state.live.values()], a: [...state.alarms.values()] };
}

export function ageOf(seenAt, now) {
  return seenAt ? Math.max(0, (now - Date.parse(seenAt)) / 1000) : null;
}

// on, late (on the round, but behind), paused, lost (no signal), vague (a signal, but no clear place), off or alert for those
// at work; planned, uncovered, not_served or ended for the others; private for a round at work without a position to show.
export function stateOf(listed, live, { alarmed = false, behind = false, now }) {
  if (alarmed) return "alert";
  if (live) {
    if (live.status === "paused") return "paused";
    const age = ageOf(live.seen_at, now);
    if (age === null || age > NO_SIGNAL_S) return "lost";
    if (live.status === "unknown") return "vague";
    if (live.status === "off_round") return "off";
    return behind ? "late" : "on";
  }
  const said = listed?.state;
  if (said === "started" || said === "resumed" || said === "paused") return "private";
  if (said === "ended" || said === "reconciled") return "ended";
  if (listed?.risk === "run_not_served") return "not_served";
  return said === "uncovered" || said === "not_served" ? said : listed?.risk === "uncovered" ? "uncovered" : "planned";
}

// Make one row for each round, whichever of the two told of it. `now` in milliseconds of the server's clock.
export function rows(state, now) {
  const ids = new Set([...state.listed.keys(), ...state.live.keys()]);
  const alarmsOf = new Map();
  for (const alarm of state.alarms.values()) {
    if (alarm.run_id) alarmsOf.set(alarm.run_id, (alarmsOf.get(alarm.run_id) ?? 0) + 1);
  }
  return [...ids].map((id) => row(id, state, alarmsOf.get(id) ?? 0, now));
}

function row(id, state, alarms, now) {
  const listed = state.listed.get(id);
  const live = state.live.get(id);
  const known = listed ?? live;
  const seenAt = live?.seen_at ?? listed?.seen_at ?? null;
  const distance = live?.distance_along_m ?? listed?.distance_along_m ?? null;
  const length = listed?.length_m ?? null;
  const back = state.back.get(id) ?? null;
  const said = stateOf(listed, live, { alarmed: alarms > 0, behind: isBehind(listed, back), now });
  return {
    id,
    round: known.round_id,
    site: listed?.site ?? null,
    name: placeName(listed),
    carrier: known.carrier ?? "",
    mode: listed?.mode ?? "",
    state: said,
    rank: RANK[said],
    status: live?.status ?? null,
    distance,
    length,
    share: distance !== null && length ? Math.min(1, Math.max(0, distance / length)) : null,
    tasks: listed?.tasks ?? null,
    seenAt,
    age: ageOf(seenAt, now),
    stale: ["on", "late", "off", "lost", "vague", "alert"].includes(said) && (ageOf(seenAt, now) ?? Infinity) > OLD_S,
    alarms,
    work: listed?.state ?? (live ? "started" : null),
    timed: back ? back.tasks_left.filter((task) => task.service === "timed_task").length : 0,
    endsAt: back?.ends_at ?? null,
    live: Boolean(live),
  };
}

// A round's name without the town and the number that stand before it: both are said elsewhere.
export function placeName(listed) {
  const name = listed?.name ?? "";
  const mark = `${listed?.round_id}: `;
  const at = name.indexOf(mark);
  return at < 0 ? name : name.slice(at + mark.length);
}

const VALUES = {
  state: (row) => row.rank,
  round: (row) => row.round,
  carrier: (row) => row.carrier,
  mode: (row) => row.mode,
  progress: (row) => row.share,
  tasks: (row) => (row.tasks ? -1000 * row.tasks.overdue - (row.tasks.total - row.tasks.done) : null),
  seen: (row) => row.age,
  alarms: (row) => -row.alarms,
};
export const COLUMNS = Object.keys(VALUES);

// Sort rows by a column; rows with nothing in it come last in both directions, and equals by their round.
export function sorted(list, { column, descending }, compare = new Intl.Collator("fr", { numeric: true }).compare) {
  const value = VALUES[column];
  const sign = descending ? -1 : 1;
  return [...list].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if ((a === null) !== (b === null)) return a === null ? 1 : -1;
    const order = typeof a === "string" ? compare(a, b) : a - b;
    return order ? sign * order : compare(one.round, other.round);
  });
}

export function filtered(list, { states = new Set(), search = "", timed = false }) {
  const words = plain(search).split(/\s+/).filter(Boolean);
  return list.filter((row) => {
    if ((states.size && !states.has(row.state)) || (timed && !row.timed)) return false;
    const text = plain(`${row.round} ${row.name} ${row.carrier}`);
    return words.every((word) => text.includes(word));
  });
}

export function counts(list) {
  const found = {};
  for (const row of list) found[row.state] = (found[row.state] ?? 0) + 1;
  return found;
}

// live, stale or silent: how long ago the server was last heard, in seconds.
export function freshness(silence) {
  if (silence >= SILENT_S) return "silent";
  return silence >= STALE_S ? "stale" : "live";
}

export function initials(name) {
  const parts = name.split(/[\s-]+/).filter(Boolean);
  return ((parts[0]?.[0] ?? "") + (parts.length > 1 ? parts[parts.length - 1][0] : "")).toUpperCase();
}

function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
