// The sites of the country as rows: their worst state, their counts, their order. Pure: no page, no clock.

const RANK = { alert: 0, uncovered: 1, not_served: 2, late: 3, lost: 4, off: 5, on: 6, paused: 7, planned: 8, ended: 9 };

export const VALUES = {
  state: (row) => row.rank,
  site: (row) => row.site,
  runs: (row) => -row.runs,
  started: (row) => -row.started,
  uncovered: (row) => -row.uncovered,
  lost: (row) => -row.lost,
  overdue: (row) => -row.overdue,
  done: (row) => row.share,
  alerts: (row) => -(1000 * row.urgent + row.alerts),
};

// Make a row of each site that /v1/overview tells of.
export function rowsOf({ sites }) {
  return sites.map(({ site, lon, lat, runs, live, alerts, tasks }) => {
    const state = worst({ runs, live, alerts, tasks });
    return {
      site, lon, lat, state,
      rank: RANK[state],
      runs: runs.all,
      started: runs.started + runs.paused,
      ended: runs.ended,
      uncovered: runs.uncovered + runs.not_served,
      lost: live.lost,
      off: live.off,
      overdue: tasks.overdue,
      done: tasks.done,
      tasks: tasks.all,
      share: tasks.all ? tasks.done / tasks.all : null,
      alerts: alerts.open,
      urgent: alerts.urgent,
    };
  });
}

// The state of the one round of a site that needs somebody most.
export function worst({ runs, live, alerts, tasks }) {
  if (alerts.urgent) return "alert";
  if (runs.uncovered) return "uncovered";
  if (runs.not_served) return "not_served";
  if (tasks.overdue) return "late";
  if (live.lost) return "lost";
  if (live.off) return "off";
  if (runs.started) return "on";
  if (runs.paused) return "paused";
  return runs.all && runs.ended === runs.all ? "ended" : "planned";
}

export function sorted(rows, { column, descending }, compare = new Intl.Collator("fr", { numeric: true }).compare) {
  const value = VALUES[column];
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if ((a === null) !== (b === null)) return a === null ? 1 : -1;
    const order = typeof a === "string" ? compare(a, b) : a - b;
    return order ? sign * order : compare(one.site, other.site);
  });
}

export function filtered(rows, { search = "", states = new Set() }) {
  const words = plain(search).split(/[\s-]+/).filter(Boolean);
  return rows.filter((row) => (!states.size || states.has(row.state)) && words.every((word) => plain(row.site).includes(word)));
}

export function totals(rows) {
  const names = ["runs", "started", "ended", "uncovered", "lost", "overdue", "done", "tasks", "alerts", "urgent"];
  return Object.fromEntries(names.map((name) => [name, rows.reduce((sum, row) => sum + row[name], 0)]));
}

// How large a site is drawn: its area goes with its rounds, between half and twice the usual.
export function sizeOf(runs) {
  return Math.min(2, Math.max(0.6, Math.sqrt(runs / 40)));
}

function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
