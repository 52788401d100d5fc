// Figures by service, site and month: as tables, as CSV, on paper.

import { get } from "../api.js";
import { config, language, t } from "../words.js";
import { $, el, say } from "../dom.js";
import { five } from "../board/five.js";
import { count, monthWord, number } from "../board/told.js";
import { query, tables } from "./figures.js";

const TITLES = JSON.parse($("titles").textContent);
const list = five($("figures"), read);

$("asked").addEventListener("submit", (event) => {
  event.preventDefault();
  list.forget();
  list.load();
});
$("print").addEventListener("click", () => print());
list.load();

function asked() {
  const [from, until] = [$("from").value, $("until").value].sort();
  return { from, until, site: config.site, service: $("service").value };
}

async function read() {
  const found = query(asked());
  $("csv").href = `/v1/kpis?${found}&format=csv&lang=${language}`;
  const document = await get(`/v1/kpis?${found}`);
  say($("span"), document.from === document.until ? monthWord(document.from) : t("months", { from: monthWord(document.from), until: monthWord(document.until) }));
  const small = document.cells.filter(({ suppressed }) => suppressed).length;
  $("small").hidden = small === 0;
  say($("small"), small ? count("figures_small", small, { answers: document.thresholds.answers, carriers: document.thresholds.carriers }) : "");
  const kpis = new Map(document.kpis.map((each) => [each.kpi, each]));
  $("tables").replaceChildren(...tables(document).map((each) => table(each, kpis)));
  $("definitions").replaceChildren(...document.kpis.filter(({ kpi }) => document.cells.some((cell) => cell.kpi === kpi)).map(({ title, definition }) => el("div", {}, el("dt", {}, title[language]), el("dd", {}, definition[language]))));
  return document.cells.length;
}

function table({ service, columns, rows, totals }, kpis) {
  const heads = columns.map((kpi) => el("th", { scope: "col", class: "num" }, kpis.get(kpi).title[language]));
  const shown = (cell, kpi) => el("td", { class: "num" }, cell ? value(cell, kpis.get(kpi)) : el("span", { class: "muted" }, "–"));
  const body = rows.map((row) => el("tr", {}, el("th", { scope: "row" }, monthWord(row.month)), el("td", {}, row.site), columns.map((kpi) => shown(row.cells.get(kpi), kpi))));
  const foot = rows.length > 1 ? el("tfoot", {}, el("tr", {}, el("th", { scope: "row", colspan: 2 }, t("figures_total")), columns.map((kpi) => shown(totals.get(kpi), kpi)))) : null;
  const title = TITLES[service] ?? service;
  return el("section", { class: "figure", "data-service": service },
    el("h3", { id: `of-${service}` }, title),
    el("div", { class: "scroll", tabindex: 0, role: "group", "aria-labelledby": `of-${service}` },
      el("table", { class: "table people figures" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("figures_month")), el("th", { scope: "col" }, t("figures_site")), heads)), el("tbody", {}, body), foot)),
  );
}

// A cell without company is said to be so; it is not nought.
function value(cell, { unit }) {
  if (cell.suppressed) return el("span", { class: "muted" }, t("figures_too_few"));
  const words = unit === "percent" ? t("percent", { n: number(cell.value) }) : number(cell.value);
  return [el("b", {}, words), el("span", { class: "muted figures__of" }, ` ${count("figures_answers", cell.answers)}`)];
}
