// The queue of alerts: what is shown of it, in which order, each matter once. Pure.

export const HELP = new Set(["sos", "accident", "assault", "fall"]);
const RANK = { urgent: 0, attention: 1 };

// Put alerts of one kind about one matter together: the newest stands for all, with how many there are.
export function together(alerts) {
  const found = new Map();
  for (const alert of alerts) {
    const key = HELP.has(alert.kind) ? alert.id : [alert.kind, alert.subject, alert.run_id, alert.state].join(" ");
    const known = found.get(key);
    if (!known) found.set(key, { ...alert, ids: [alert.id] });
    else {
      if (!known.ids.includes(alert.id)) known.ids.push(alert.id);
      if (alert.raised_at > known.raised_at) Object.assign(known, alert);
    }
  }
  return [...found.values()];
}

// Calls for help first, then urgent ones, then the oldest, as nobody has had them for longest; what is over goes newest first.
export function ordered(alerts) {
  const over = (alert) => alert.state !== "open";
  return [...alerts].sort((one, other) => (
    over(one) - over(other) || HELP.has(other.kind) - HELP.has(one.kind) || RANK[one.level] - RANK[other.level]
    || (over(one) ? other.raised_at.localeCompare(one.raised_at) : one.raised_at.localeCompare(other.raised_at))
  ));
}

export function filtered(alerts, { level = "", kind = "", mine = false, me = null }) {
  return alerts.filter((alert) => (!level || alert.level === level) && (!kind || alert.kind === kind) && (!mine || alert.assigned_to === me));
}

// The words of a kind: the last part of their keys.
export function kindKey(kind) {
  return kind.replaceAll(".", "_");
}
