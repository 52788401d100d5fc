// The panel of the selected round: what is so now, and its replay.

import { Fault, get } from "./api.js";
import { glyph } from "./shapes.js";
import { makeReplay } from "./replay.js";
import { makeStops, readNext } from "./stops.js";
import { ago, clock, distance, moment, stateWord, t } from "./words.js";

// `query` narrows requests to the page's site; `onClose`, `onFollow(on)`, `onReplay(round, pieces, head)`.
export function makePanel(root, { query, onClose, onFollow, onReplay }) {
  const find = (name) => root.querySelector(`[data-panel="${name}"]`);
  const panel = { root, find, row: null, replay: null, next: makeStops(root, query), query, onReplay };
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
  if (isOther) readNext(panel.next, row);
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
  say(find("seen"), row.seenAt ? `${ago(row.age)} (${clock(row.seenAt)})` : t("ago_never"));
  find("seen").title = row.seenAt ? moment(row.seenAt) : "";
  find("follow").disabled = !row.live;
}

// Ask as this from now on: for a past day the query carries the reason.
export function askAs(panel, query) {
  panel.query = panel.next.query = query;
}

// Read the expected times of the selected round again.
export function refreshNext(panel) {
  if (panel.row) readNext(panel.next, panel.row);
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

function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
