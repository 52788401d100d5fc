// The panel of the selected round: what is so now, its parts behind tabs, and its replay.

import { Fault, get } from "./api.js";
import { say } from "./dom.js";
import { glyph } from "./shapes.js";
import { makeReplay } from "./replay.js";
import { freshenParts, makeParts, refreshParts, showParts } from "./panel/parts.js";
import { NO_SIGNAL_S } from "./state.js";
import { ago, clock, distance, moment, stateWord, t } from "./words.js";

// `query` narrows requests to the page's site; `onClose`, `onFollow(on)`, `onReplay(round, pieces, head)`, `runs(row)` lists
// the other runs of its site, `onChanged()` hears that a run was changed.
export function makePanel(root, { query, onClose, onFollow, onReplay, runs, onChanged }) {
  const find = (name) => root.querySelector(`[data-panel="${name}"]`);
  const panel = { root, find, row: null, replay: null, query, onReplay };
  panel.parts = makeParts(root, { ask: (path) => path + panel.query, runs, onChanged });
  find("close").addEventListener("click", onClose);
  find("follow").addEventListener("click", () => onFollow(find("follow").getAttribute("aria-pressed") !== "true"));
  find("replay").addEventListener("click", () => toggleReplay(panel));
  return panel;
}

export function showPanel(panel, row) {
  const isOther = row?.id !== panel.row?.id;
  if (isOther) closeReplay(panel);
  panel.row = row;
  panel.root.hidden = !row;
  if (isOther) showParts(panel.parts, row);
  if (!row) return;
  const { find } = panel;
  say(find("round"), row.round);
  say(find("name"), row.name);
  if (find("state").dataset.state !== row.state) {
    find("state").dataset.state = row.state;
    find("state").replaceChildren(glyph(row.state), document.createTextNode(stateWord(row.state)));
  }
  say(find("carrier"), row.carrier || t("nobody"));
  say(find("progress"), row.share === null ? t("no_progress") : t("progress", {
    done: distance(row.distance), length: distance(row.length), percent: Math.round(100 * row.share),
  }));
  say(find("tasks"), row.tasks ? t("tasks", row.tasks) + (row.tasks.overdue ? ` · ${t("overdue", { n: row.tasks.overdue })}` : "") : "");
  say(find("work"), row.work ? t(`work_${row.work}`) : "");
  say(find("seen"), signal(row));
  find("seen").title = row.seenAt ? moment(row.seenAt) : "";
  find("follow").disabled = !row.live;
}

// Whether the phone is heard, which is another question than whether the carrier works.
function signal(row) {
  if (!row.seenAt) return t("ago_never");
  const parts = { age: ago(row.age), at: clock(row.seenAt) };
  if (!row.live) return t("signal_last", parts);
  return t(row.age > NO_SIGNAL_S ? "signal_silent" : "signal_heard", parts);
}

// Ask as this from now on: for a past day the query carries the reason, and nothing can be changed.
export function askAs(panel, query, isPast) {
  panel.query = query;
  panel.parts.isPast = isPast;
}

// Read what is shown of the selected round again.
export function refreshNext(panel) {
  if (panel.row) refreshParts(panel.parts);
}

// Read again what others may have changed: the requests of customers.
export function freshen(panel) {
  if (panel.row) freshenParts(panel.parts);
}

export function showFollowing(panel, on) {
  panel.find("follow").setAttribute("aria-pressed", String(on));
}

async function toggleReplay(panel) {
  const { find, row } = panel;
  if (panel.replay) return closeReplay(panel);
  find("replay").setAttribute("aria-expanded", "true");
  find("replay-words").textContent = t("replay_loading");
  panel.replay = { stop() {} };
  try {
    const { points, round_id: round } = await get(`/v1/runs/${encodeURIComponent(row.id)}/replay${panel.query}`);
    if (panel.row?.id !== row.id || !panel.replay) return undefined;
    find("replay-words").textContent = points.length < 2 ? t("replay_nothing") : t("replay_is_not_live");
    find("replay-box").hidden = points.length < 2;
    if (points.length >= 2) panel.replay = makeReplay(find("replay-box"), points, (pieces, head) => panel.onReplay(round, pieces, head));
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    find("replay-words").textContent = t("replay_fault");
  }
  return undefined;
}

export function closeReplay(panel) {
  if (!panel.replay) return;
  panel.replay.stop();
  panel.replay = null;
  panel.find("replay").setAttribute("aria-expanded", "false");
  panel.find("replay-box").hidden = true;
  panel.find("replay-words").textContent = "";
  panel.onReplay(panel.row?.round, [], null);
}
