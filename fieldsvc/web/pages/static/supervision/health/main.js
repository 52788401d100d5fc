// Health: whether events arrive, which phones have fallen silent, what came late, and which subscribers are not reached.

import { get } from "../api.js";
import { ago, clock, config, moment, t } from "../words.js";
import { $, el, say } from "../dom.js";
import { five } from "../board/five.js";
import { duration, number } from "../board/told.js";

const EVERY_MS = 30000;
const QUIET_S = 300;
const LONG_S = 3600;
const site = config.site ? `?site=${encodeURIComponent(config.site)}` : "";

five($("health"), read, { everyMs: EVERY_MS }).load();

async function read() {
  const found = await get(`/v1/supervision/health${site}`);
  const now = Date.parse(found.at);
  say($("at"), t("health_at", { at: clock(found.at) }));
  $("ingest").replaceChildren(...ingest(found.ingest, now));
  $("sites").replaceChildren(...found.sites.map((each) => siteRow(each, now)));
  $("sites-none").hidden = found.sites.length > 0;
  $("sites-box").hidden = found.sites.length === 0;
  $("endpoints-card").hidden = found.endpoints === undefined;
  if (found.endpoints) showEndpoints(found.endpoints);
  return 1;
}

function ingest({ last_event_at: last, accepted_5_min: taken, late_5_min: late, quarantined_today: aside }, now) {
  const age = last ? (now - Date.parse(last)) / 1000 : null;
  const quiet = age === null || age > QUIET_S;
  return [
    tile("health_last", last ? ago(age) : t("health_nothing"), quiet ? "silent" : "ok", quiet ? t("health_quiet") : t("health_flowing")),
    tile("health_taken", number(taken), "ok", t("health_five")),
    tile("health_late", number(late), late ? "late" : "ok", t(late ? "health_late_why" : "health_late_none")),
    tile("health_aside", number(aside), aside ? "late" : "ok", t(aside ? "health_aside_why" : "health_aside_none")),
  ];
}

function tile(key, value, state, words) {
  return el("div", { class: "tile", "data-state": state }, el("dt", {}, t(key)), el("dd", { class: "tile__value" }, value), el("dd", { class: `state state--${state} tile__words` }, words));
}

function siteRow(row, now) {
  const oldest = row.oldest_heard_at;
  return el("tr", { "data-site": row.site },
    el("th", { scope: "row" }, row.site),
    el("td", {}, number(row.on_duty)),
    el("td", {}, row.on_duty ? heard(row.silent) : el("span", { class: "muted" }, t("health_nobody"))),
    el("td", { title: oldest ? moment(oldest) : "" }, oldest ? ago((now - Date.parse(oldest)) / 1000) : "–"),
    el("td", {}, number(row.late_today)),
    el("td", {}, longest(row.longest_late_s)),
  );
}

function heard(silent) {
  return el("span", { class: `state ${silent ? "state--silent" : "state--ok"}` }, silent ? t("health_silent", { n: number(silent) }) : t("health_all_heard"));
}

function longest(seconds) {
  if (!seconds) return "–";
  return el("span", { class: seconds > LONG_S ? "state state--late" : "" }, duration(seconds / 60));
}

function showEndpoints(endpoints) {
  $("endpoints-none").hidden = endpoints.length > 0;
  $("endpoints-box").hidden = endpoints.length === 0;
  $("endpoints").replaceChildren(...endpoints.map((each) => el("tr", { "data-endpoint": each.endpoint_id },
    el("th", { scope: "row" }, each.account),
    el("td", {}, el("code", {}, each.endpoint_id)),
    el("td", {}, el("span", { class: "state state--alert" }, ["disabled", "paused", "open", "failing"].includes(each.state) ? t(`endpoint_${each.state}`) : each.state)),
    el("td", { title: each.since ? moment(each.since) : "" }, each.since ? clock(each.since) : "–"),
    el("td", {}, each.why ?? "–"),
    el("td", {}, number(each.backlog)),
  )));
}
