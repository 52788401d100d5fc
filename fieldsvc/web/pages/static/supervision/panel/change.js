// Changes of the day: a run to a colleague, some of its stops to another run, and what is carried handed over.

import { get, send } from "../api.js";
import { say } from "../dom.js";
import { t } from "../words.js";
import { failed, fillOptions, street, why } from "./part.js";

// `runs()` lists the runs of the same site and day as rows; `onChanged()` is told when something was changed.
export function makeChange(root, { runs, onChanged }) {
  const find = (name) => root.querySelector(`[data-change="${name}"]`);
  const view = { find, row: null, site: null, runs, onChanged };
  const acts = { reassign, split, handover };
  for (const [name, act] of Object.entries(acts)) {
    find(name).addEventListener("submit", (event) => {
      event.preventDefault();
      act(view, Object.fromEntries(new FormData(event.target)));
    });
  }
  return view;
}

export function forget(view, row) {
  view.row = row;
  say(view.find("words"), "");
}

// Offer colleagues, stops and runs of the moment.
export async function offerChoices(view, stops) {
  const { row } = view;
  const ahead = stops.filter(({ state }) => state === "ahead").map((stop) => [stop.stop_id, `${stop.sequence} · ${street(stop.address)}`]);
  const others = view.runs(row).map((other) => [other.id, [other.round, other.name, other.carrier || t("nobody")].filter(Boolean).join(" · ")]);
  for (const name of ["from", "until"]) fillOptions(view.find("split").elements[name], ahead);
  for (const form of ["split", "handover"]) fillOptions(view.find(form).elements.run, others);
  view.find("split").hidden = !ahead.length || !others.length;
  view.find("handover").hidden = !others.length;
  const roster = await failed(get(`/v1/roster?site=${encodeURIComponent(row.site)}&limit=1`), (fault) => say(view.find("words"), why(fault)));
  if (roster && view.row?.id === row.id) offerCarriers(view, roster);
}

function offerCarriers(view, { carriers = [], absences = [] }) {
  const today = new Date().toLocaleDateString("sv");
  const away = new Set(absences.filter(({ from, until }) => from <= today && today <= until).map(({ carrier }) => carrier));
  const free = carriers.map(({ carrier }) => carrier).filter((carrier) => carrier !== view.row.carrier && !away.has(carrier));
  const busy = new Map(view.runs(view.row).map((run) => [run.carrier, run.round]));
  const words = (carrier) => (busy.has(carrier) ? t("change_busy", { carrier, round: busy.get(carrier) }) : carrier);
  const sorted = free.sort((one, other) => Number(busy.has(one)) - Number(busy.has(other)) || one.localeCompare(other, "fr"));
  fillOptions(view.find("reassign").elements.carrier, sorted.map((carrier) => [carrier, words(carrier)]));
}

function reassign(view, { carrier }) {
  return change(view, "reassign", { to_carrier: carrier }, t("change_reassigned", { round: view.row.round, carrier }));
}

function split(view, { from, until, run }) {
  const select = view.find("split").elements.run;
  const to = select.selectedOptions[0].textContent;
  return change(view, "split", { to_run: run, stops: { from, to: until } }, t("change_moved", { to }));
}

function handover(view, { run, items, pouches, keys }) {
  const counts = { items: Number(items), pouches: Number(pouches), keys: Number(keys) };
  return change(view, "handover", { to_run: run, counts }, t("change_handed", counts));
}

async function change(view, what, body, words) {
  const { row } = view;
  const place = view.find("words");
  say(place, t("change_doing"));
  const done = await failed(send(`/v1/runs/${encodeURIComponent(row.id)}/${what}`, body), (fault) => say(place, why(fault)));
  if (!done) return;
  say(place, words);
  view.onChanged();
}
