// Instructions for a run: written here, on the phone's sheet with its next version.

import { send as sendTo } from "../api.js";
import { el, say } from "../dom.js";
import { clock, t } from "../words.js";
import { uuid7 } from "./ids.js";
import { failed, fillOptions, street, why } from "./part.js";

const GIVEN = "instruction.given";
const SEEN = "sheet.seen";

// `onSent()` is told when one was taken.
export function makeMessages(root, { onSent }) {
  const find = (name) => root.querySelector(`[data-messages="${name}"]`);
  const view = { find, form: find("form"), run: null, sent: new Map(), onSent };
  view.form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(view);
  });
  return view;
}

export function forget(view, run) {
  view.run = run;
  view.form.reset();
  say(view.find("fault"), "");
  view.find("list").replaceChildren();
  say(view.find("words"), "");
}

// Offer the stops that are still ahead.
export function offerStops(view, stops) {
  const ahead = stops.filter(({ state }) => state === "ahead").map((stop) => [stop.stop_id, `${stop.sequence} · ${street(stop.address)}`]);
  fillOptions(view.form.elements.stop, [["", t("message_whole")], ...ahead]);
}

// Show the instructions among the entries of the journal, each with whether the phone has shown a sheet since.
export function showMessages(view, entries) {
  const lines = given(entries).map(({ at, address, seenAt, text: told }) => {
    const text = told ?? view.sent.get(Date.parse(at)); // that of another day is not told again
    const head = [clock(at), address, seenAt ? t("message_seen", { at: clock(seenAt) }) : t("message_not_seen")].filter(Boolean).join(" · ");
    return el("li", {}, text ? el("p", { text }) : null, el("p", { class: seenAt ? "state state--ok" : "state state--silent", text: head }));
  });
  view.find("list").replaceChildren(...lines);
  say(view.find("words"), lines.length ? t("message_hint") : t("message_nothing"));
}

// The instructions that stand, newest first, with when the phone first showed a sheet after them. Pure.
export function given(entries) {
  const seen = entries.filter(({ type }) => type === SEEN);
  const found = entries.filter(({ type, state }) => type === GIVEN && state === "said");
  return found.reverse().map((entry) => ({ ...entry, seenAt: seen.find(({ at }) => Date.parse(at) >= Date.parse(entry.received_at))?.at ?? null }));
}

async function send(view) {
  const { text, stop } = Object.fromEntries(new FormData(view.form));
  const { run } = view;
  const event = {
    specversion: "1.0",
    id: uuid7(),
    source: "/supervision",
    type: `fieldsvc.${GIVEN}.v1`,
    time: new Date().toISOString(),
    runid: run,
    data: { run_id: run, text: text.trim(), ...(stop ? { stop_id: stop } : {}) },
  };
  say(view.find("fault"), "");
  const answer = await failed(sendTo("/v1/events", event, { type: "application/cloudevents+json" }), (fault) => say(view.find("fault"), why(fault)));
  if (!answer) return;
  const [result] = answer.results;
  if (!["accepted", "duplicate"].includes(result.status)) {
    say(view.find("fault"), t("message_refused"));
    return;
  }
  view.sent.set(Date.parse(event.time), event.data.text); // the journal says it again by its time, under an id of its own
  if (view.run !== run) return;
  view.form.reset();
  say(view.find("words"), t("message_sent"));
  view.onSent();
}
