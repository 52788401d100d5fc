// The parts of the panel behind its tabs: each is read when it is shown, and again while it is.

import { say } from "../dom.js";
import { makeStops, readNext } from "../stops.js";
import { number } from "../words.js";
import * as change from "./change.js";
import * as journal from "./journal.js";
import * as messages from "./messages.js";
import * as requests from "./requests.js";
import { chosen, makeTabs, offer } from "./tabs.js";

const OF_TODAY = ["next", "journal", "requests", "messages", "change"];
const OF_PAST = ["next", "journal"];
const COMMIT_MS = 700; // what was just taken is on the journal's page by then

// `ask(path)` adds the site, or the reason; `runs(row)` lists the other runs of a site; `onChanged()` hears of changes.
export function makeParts(root, { ask, runs, onChanged }) {
  const parts = { root, ask, row: null, isPast: false, reading: false, stops: [], next: makeStops(root, ask) };
  parts.next.onStops = (stops) => {
    parts.stops = stops;
    messages.offerStops(parts.messages, stops);
  };
  const again = () => setTimeout(() => refreshParts(parts), COMMIT_MS);
  parts.journal = journal.makeJournal(root);
  parts.requests = requests.makeRequests(root, { onCount: (n) => count(root, "requests", n), onChange: again });
  parts.messages = messages.makeMessages(root, { onSent: again });
  parts.change = change.makeChange(root, {
    runs,
    onChanged() {
      onChanged();
      again();
    },
  });
  parts.tabs = makeTabs(root.querySelector("[role=tablist]"), () => read(parts));
  return parts;
}

// Show the parts of another row, or of none.
export function showParts(parts, row) {
  parts.row = row;
  parts.stops = [];
  journal.forget(parts.journal);
  requests.forget(parts.requests);
  messages.forget(parts.messages, row?.id ?? null);
  change.forget(parts.change, row);
  if (row) offer(parts.tabs, parts.isPast ? OF_PAST : OF_TODAY);
  readNext(parts.next, row);
  if (row) read(parts);
}

export function refreshParts(parts) {
  if (!parts.row) return;
  readNext(parts.next, parts.row);
  read(parts);
}

async function read(parts) {
  if (!parts.row) return;
  if (chosen(parts.tabs) === "change") change.offerChoices(parts.change, parts.stops);
  await Promise.all([readEntries(parts), freshenParts(parts)]);
}

async function readEntries(parts) {
  const { row, ask } = parts;
  if (!["journal", "messages"].includes(chosen(parts.tabs))) return;
  const entries = await journal.readJournal(parts.journal, row.id, ask);
  if (!entries || parts.row?.id !== row.id) return;
  journal.showJournal(parts.journal, entries);
  messages.showMessages(parts.messages, entries);
}

// Read what customers asked; when that is not what it was, the journal is read as well.
export async function freshenParts(parts) {
  const { row, ask } = parts;
  if (parts.isPast || parts.reading) return;
  parts.reading = true;
  const asked = await requests.readRequests(parts.requests, row.id, ask);
  parts.reading = false;
  if (asked && parts.row?.id === row.id && requests.showRequests(parts.requests, asked)) readEntries(parts);
}

function count(root, name, n) {
  const place = root.querySelector(`[data-count="${name}"]`);
  place.hidden = n === 0;
  say(place, number(n));
}
