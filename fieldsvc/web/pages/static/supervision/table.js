// The list of rounds: a real table whose rows stay where they are while somebody is in it.

import { glyph } from "./shapes.js";
import { COLUMNS, sorted } from "./state.js";
import { ago, distance, moment, stateWord, t } from "./words.js";

// `table` has its head already, `onSelect(id)` is told of a choice. Rows are put in order again only when neither the
// pointer nor the focus is among them: what would change the order waits until both have left.
export function makeTable(table, { onSelect, onSort }) {
  const view = {
    table,
    body: table.tBodies[0],
    rows: new Map(),
    sort: { column: "state", descending: false },
    selected: null,
    touched: false,
    pending: null,
    onSelect,
  };
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const { column } = button.dataset;
      view.sort = { column, descending: view.sort.column === column && !view.sort.descending };
      onSort();
    });
  }
  view.body.addEventListener("click", (event) => choose(view, event));
  view.body.addEventListener("keydown", (event) => walk(view, event));
  view.body.addEventListener("pointerenter", () => (view.touched = true));
  view.body.addEventListener("pointerleave", () => {
    view.touched = false;
    settle(view);
  });
  view.body.addEventListener("focusout", () => setTimeout(() => settle(view)));
  return view;
}

// Show rows: values at once, the order now if `reorder` or nobody is in the list, else when they leave.
export function show(view, list, { reorder = false } = {}) {
  const wanted = new Set(list.map((row) => row.id));
  for (const [id, row] of view.rows) {
    if (!wanted.has(id)) {
      if (row.tr.contains(document.activeElement)) neighbour(row.tr)?.focus();
      row.tr.remove();
      view.rows.delete(id);
    }
  }
  const order = sorted(list, view.sort);
  for (const row of order) fill(view, row);
  mark(view);
  view.pending = order.map((row) => row.id);
  if (reorder || !isBusy(view)) settle(view, true);
  tabStop(view);
}

export function select(view, id, { reveal = false } = {}) {
  for (const known of [view.selected, id]) {
    const row = view.rows.get(known);
    if (!row) continue;
    row.tr.classList.toggle("is-selected", known === id);
    row.button.setAttribute("aria-pressed", String(known === id));
  }
  view.selected = id;
  tabStop(view);
  if (reveal) view.rows.get(id)?.tr.scrollIntoView({ block: "nearest" });
}

function isBusy(view) {
  return view.touched || view.body.contains(document.activeElement);
}

function settle(view, force = false) {
  if (!view.pending || (!force && isBusy(view))) return;
  const focused = view.body.contains(document.activeElement) ? document.activeElement : null;
  let at = view.body.firstElementChild;
  for (const id of view.pending) {
    const { tr } = view.rows.get(id) ?? {};
    if (!tr) continue;
    if (tr === at) at = at.nextElementSibling;
    else view.body.insertBefore(tr, at);
  }
  view.pending = null;
  if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

function mark(view) {
  for (const button of view.table.tHead.querySelectorAll("button")) {
    const chosen = button.dataset.column === view.sort.column;
    const order = view.sort.descending ? "descending" : "ascending";
    const th = button.closest("th");
    if (chosen) th.setAttribute("aria-sort", order);
    else th.removeAttribute("aria-sort");
  }
}

function fill(view, row) {
  let made = view.rows.get(row.id);
  if (!made) {
    made = make(row);
    view.rows.set(row.id, made);
    view.body.append(made.tr);
    if (row.id === view.selected) select(view, row.id);
  }
  const { cells, tr } = made;
  if (made.state !== row.state) {
    cells.state.replaceChildren(glyph(row.state), text(stateWord(row.state)));
    tr.dataset.state = made.state = row.state;
  }
  say(cells.name, row.name);
  say(cells.carrier, row.carrier);
  say(cells.mode, row.mode ? t(`mode_${row.mode}`) : "");
  say(cells.travelled, travelled(row));
  made.bar.style.width = `${(100 * (row.share ?? 0)).toFixed(1)}%`;
  say(cells.tasks, row.tasks ? `${row.tasks.done}\u202f/\u202f${row.tasks.total}` : "");
  showOverdue(cells.overdue, row.tasks?.overdue ?? 0);
  say(cells.seen, row.seenAt || row.live ? ago(row.age) : "");
  cells.seen.title = row.seenAt ? moment(row.seenAt) : "";
  tr.classList.toggle("is-stale", row.stale);
  say(cells.alarms, row.alarms ? t("alarms_in_row", { n: row.alarms }) : "");
}

// The sign and the number always, the words where there is room; a reader hears all of it.
function showOverdue(cell, n) {
  if (cell.dataset.n === String(n)) return;
  cell.dataset.n = n;
  const [sign, ...words] = n ? t("overdue", { n }).split(String(n)) : [];
  cell.replaceChildren(...(n ? [`${sign}${n}`, Object.assign(span("overdue__word"), { textContent: words.join(n) })] : []));
}

function travelled(row) {
  if (row.distance === null || !row.length) return "";
  return `${distance(row.distance)} · ${Math.round(100 * row.share)}\u202f%`;
}

function make(row) {
  const tr = document.createElement("tr");
  tr.setAttribute("role", "row");
  tr.dataset.run = row.id;
  const cells = {};
  let button;
  let bar;
  for (const column of COLUMNS) {
    const cell = document.createElement(column === "round" ? "th" : "td");
    cell.setAttribute("role", column === "round" ? "rowheader" : "cell");
    cell.className = `c-${column}`;
    tr.append(cell);
    cells[column] = cell;
  }
  cells.round.scope = "row";
  button = document.createElement("button");
  button.type = "button";
  button.className = "pick";
  button.textContent = row.round;
  button.tabIndex = -1;
  button.setAttribute("aria-pressed", "false");
  cells.name = span("name");
  cells.round.append(button, cells.name);
  const track = span("bar");
  bar = span("bar__done");
  track.append(bar);
  track.setAttribute("aria-hidden", "true");
  cells.travelled = span("travelled");
  cells.progress.append(track, cells.travelled);
  const done = span("done");
  cells.overdue = span("overdue");
  cells.tasks.append(done, cells.overdue);
  cells.tasks = done;
  return { tr, cells, button, bar, state: null };
}

function choose(view, event) {
  const tr = event.target.closest("tr");
  if (!tr || String(getSelection())) return;
  const { run } = tr.dataset;
  view.onSelect(run === view.selected && event.target.closest("button") ? null : run);
}

function walk(view, event) {
  const here = event.target.closest("tr");
  const all = [...view.body.rows].filter((tr) => !tr.hidden);
  const at = all.indexOf(here);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  const button = all[to].querySelector(".pick");
  for (const { button: other } of view.rows.values()) other.tabIndex = other === button ? 0 : -1;
  button.focus();
  all[to].scrollIntoView({ block: "nearest" });
}

// One stop of the Tab key for the whole list: the focused row, else the selected one, else the first.
function tabStop(view) {
  const focused = document.activeElement?.closest?.("tr[data-run]")?.dataset.run;
  const first = view.body.rows[0]?.dataset.run;
  const stop = [focused, view.selected, first].find((id) => view.rows.has(id));
  for (const [id, { button }] of view.rows) button.tabIndex = id === stop ? 0 : -1;
}

function neighbour(tr) {
  return (tr.nextElementSibling ?? tr.previousElementSibling)?.querySelector(".pick");
}

function span(name) {
  const made = document.createElement("span");
  made.className = name;
  return made;
}

function text(words) {
  const made = span("word");
  made.textContent = words;
  return made;
}

function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
