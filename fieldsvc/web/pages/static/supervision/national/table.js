// The table of sites: it says everything that the map shows. Rows keep their place while somebody is among them.

import { el, say } from "../dom.js";
import { glyph } from "../shapes.js";
import { number, percent, stateWord, t } from "../words.js";
import { sorted } from "./sites.js";

const COUNTS = ["runs", "started", "uncovered", "lost", "overdue"];

export function makeTable(table, { onSort }) {
  const view = { table, body: table.tBodies[0], rows: new Map(), sort: { column: "state", descending: false } };
  for (const head of table.tHead.querySelectorAll("button")) {
    head.addEventListener("click", () => {
      const { column } = head.dataset;
      view.sort = { column, descending: view.sort.column === column && !view.sort.descending };
      onSort();
    });
  }
  return view;
}

// Show rows: values at once, their order now if `reorder` or if neither pointer nor focus is in the list.
export function show(view, rows, { reorder = false } = {}) {
  const wanted = new Set(rows.map((row) => row.site));
  for (const [site, { tr }] of view.rows) {
    if (wanted.has(site)) continue;
    tr.remove();
    view.rows.delete(site);
  }
  const order = sorted(rows, view.sort);
  for (const row of order) fill(view, row);
  mark(view);
  if (reorder || !view.body.matches(":hover, :focus-within")) view.body.append(...order.map((row) => view.rows.get(row.site).tr));
}

function fill(view, row) {
  const { tr, cells } = view.rows.get(row.site) ?? make(view, row);
  if (tr.dataset.state !== row.state) {
    tr.dataset.state = row.state;
    cells.state.replaceChildren(glyph(row.state), el("span", { class: "word", text: stateWord(row.state) }));
  }
  for (const name of COUNTS) say(cells[name], row[name] ? number(row[name]) : "–");
  say(cells.done, row.share === null ? "–" : percent(row.share));
  cells.done.title = t("national_done", { done: number(row.done), all: number(row.tasks) });
  say(cells.alerts, row.alerts ? t(row.urgent ? "national_alerts_urgent" : "national_alerts", { n: number(row.alerts), urgent: number(row.urgent) }) : "–");
}

function make(view, row) {
  const link = el("a", { href: `/supervision?site=${encodeURIComponent(row.site)}`, text: row.site });
  const cells = { state: el("td", { class: "c-state" }), site: el("th", { scope: "row", class: "c-site" }, link) };
  for (const name of [...COUNTS, "done", "alerts"]) cells[name] = el("td", { class: `c-${name} num` });
  const tr = el("tr", { dataset: { site: row.site } }, ...Object.values(cells));
  view.body.append(tr);
  view.rows.set(row.site, { tr, cells });
  return view.rows.get(row.site);
}

function mark(view) {
  for (const head of view.table.tHead.querySelectorAll("button")) {
    const th = head.closest("th");
    if (head.dataset.column === view.sort.column) th.setAttribute("aria-sort", view.sort.descending ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  }
}
