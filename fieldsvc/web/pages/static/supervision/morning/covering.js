// A proposal of cover from its question to what became of it: asked for, shown, confirmed once, and followed until the runs say so.

import { Fault, get, send } from "../api.js";
import { clock, config, t } from "../words.js";
import { $, announce, el, say } from "../dom.js";
import { whyNot } from "../board/five.js";
import { count, listed, roundOf } from "../board/told.js";
import { stopOf } from "../board/trace.js";
import { takers } from "./cover.js";
import { stopName, summary, takerItem, telling, undoneItem } from "./proposal.js";

const SOLVED_WITHIN_MS = 60000;
const ASKED_AGAIN = 30;
const CHANGES = new Set(["gone", "started", "covered", "sheet_changed", "ended", "carrier_changed", "day_over", "another_confirmed"]);

// `dayOf()` is the day that is shown, `reload()` reads it again and answers its runs, `onShow()` is told when a proposal came or went.
export function makeCovering({ dayOf, reload, onShow, onFault }) {
  const view = { proposal: null, documents: new Map(), stops: new Map(), dayOf, reload, onShow, onFault };
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    propose(view);
  });
  $("confirm").addEventListener("click", () => confirm(view));
  $("drop").addEventListener("click", () => {
    drop(view);
    $("missing-title").focus();
  });
  view.drop = () => drop(view);
  return view;
}

async function propose(view) {
  const hours = Number($("hours").value);
  busy(true);
  try {
    const found = await send("/v1/cover/proposals", { day: view.dayOf(), site: config.site, working_time_h: hours }, { within: SOLVED_WITHIN_MS });
    await readDocuments(view, found);
    view.proposal = found;
    $("done").hidden = true;
    show(view);
  } catch (fault) {
    view.onFault(fault);
  }
  busy(false);
}

function busy(on) {
  $("propose").disabled = on;
  say($("propose"), t(on ? "cover_working" : "cover_ask"));
  if (on) announce(t("cover_working"));
}

// The stops of every round that a proposal names, to call them by their streets.
async function readDocuments(view, { pieces, undone }) {
  const wanted = new Set([...pieces.flatMap(({ run_id: of, to_run: to }) => [of, to]), ...undone.map(({ run_id: of }) => of)].map(roundOf));
  await Promise.all([...wanted].filter((id) => !view.documents.has(id)).map(async (id) => {
    view.documents.set(id, (await get(`/v1/rounds/${encodeURIComponent(id)}`)).features);
  }));
  view.stops = new Map([...view.documents].map(([id, features]) => [id, stopsOf(features)]));
}

function stopsOf(features) {
  const stops = features.filter(({ geometry }) => geometry.type === "Point");
  return new Map(stops.map(({ properties }) => [properties.stop_id, stopOf(properties)]));
}

function show(view) {
  const { proposal } = view;
  const names = (runId) => (stopId) => stopName(view.stops.get(roundOf(runId))?.get(stopId));
  $("proposal").hidden = false;
  say($("proposal-words"), summary(proposal));
  $("takers").replaceChildren(...takers(proposal).map((taker) => takerItem(taker, names)));
  $("undone").hidden = proposal.undone.length === 0;
  $("undone-list").replaceChildren(...proposal.undone.map((line) => undoneItem(line, names)));
  $("begun").hidden = proposal.begun.length === 0;
  say($("begun"), count("cover_begun", proposal.begun.length, { rounds: listed(proposal.begun.map(roundOf)) }));
  $("telling").replaceChildren(...telling(proposal).map((words) => el("li", {}, words)));
  $("confirm").disabled = proposal.pieces.length + proposal.undone.length === 0;
  say($("cover-fault"), "");
  announce(summary(proposal));
  $("proposal-title").focus();
  view.onShow();
}

function drop(view) {
  view.proposal = null;
  $("proposal").hidden = true;
  view.onShow();
}

async function confirm(view) {
  const { proposal } = view;
  $("confirm").disabled = true;
  try {
    const told = await send(`/v1/cover/proposals/${encodeURIComponent(proposal.proposal_id)}/confirm`, {});
    const carriers = takers(proposal).map(({ carrier }) => carrier).filter(Boolean);
    drop(view);
    await showDone(view, told, carriers);
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    $("confirm").disabled = fault.status === 409;
    say($("cover-fault"), fault.status === 409 ? stale(fault) : whyNot(fault));
  }
}

// Say what is different since the proposal, by round.
function stale(fault) {
  const changed = (fault.problem?.changed ?? []).map(({ run_id: run, what }) => {
    const known = CHANGES.has(what) ? what : "other";
    return t(`stale_${known}`, { round: roundOf(run) });
  });
  return [t(fault.code === "proposal_confirmed" ? "cover_confirmed_before" : "cover_stale"), ...new Set(changed)].join(" ");
}

async function showDone(view, told, carriers) {
  const words = [t("done_at", { at: clock(Date.now()) })];
  if (told.covered.length) words.push(count("done_covered", told.covered.length, { rounds: listed(told.covered.map(roundOf)) }));
  if (told.not_served.length) words.push(count("done_not_served", told.not_served.length, { rounds: listed(told.not_served.map(roundOf)) }));
  words.push(count("done_sheets", carriers.length, { names: listed(carriers) }));
  $("done-list").replaceChildren(...words.map((each) => el("li", {}, each)));
  $("done").hidden = false;
  $("done-title").focus();
  announce(words.join(" "));
  await followUp(view, told, ASKED_AGAIN);
}

// Read the day again until the runs say themselves that they are covered, and say so.
async function followUp(view, told, tries) {
  const runs = await view.reload();
  const waiting = runs.filter(({ run_id: run, risk }) => told.covered.includes(run) && risk);
  say($("done-now"), waiting.length ? t("done_waiting") : t("done_all"));
  if (!waiting.length || !tries) return;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await followUp(view, told, tries - 1);
}
