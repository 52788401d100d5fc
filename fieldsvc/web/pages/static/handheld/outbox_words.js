// The outbox in words: what an event is, how it stands and why, what the service answered. No page, no clock.

import { clock, language, say, words } from "../base.js";
import { fieldLabel, humanise, shortType, valueLabel } from "./labels.js";

const S10 = /^([A-Z])[A-Z]\d{9}[A-Z]{2}$/;
const GLYPHS = { held: "paused", waiting: "silent", sending: "silent", accepted: "ok", refused: "alert", undone: "paused", draft: "paused" };
const CLOCK_OFF_MS = 60_000;
const NOT_CORRECTED = new Set(["event.corrected", "sheet.seen"]);

/** Say what an event is: `Recommandé RK… remis`, else its service's title and what it is about. */
export function whatInWords({ event }, services) {
  const type = shortType(event.type);
  const key = `outbox_what_${type.replaceAll(".", "_")}`;
  if (type.startsWith("item.") && words[key]) return say(key, { thing: thingInWords(event) });
  const title = titleOf(event.type, services);
  const id = (event.subject ?? "").split("/").slice(1).join("/");
  return /^(run|sheet|visit|delivery_point|notebook|alarm|idea|hazard)\//.test(event.subject ?? "run/") || !id ? title : `${title} · ${id}`;
}

/** Say where and how: the stop's address, to whom, why not. */
export function detailInWords({ event, where }, day) {
  const { stop_id: stop, to, reason } = event.data ?? {};
  const type = shortType(event.type);
  const known = (value, name) => (typeof value === "string" && valueLabel(value, name, type) !== humanise(value) ? valueLabel(value, name, type) : null);
  return [known(to, "to"), known(reason, "reason"), where ?? day?.stop(stop)?.address].filter(Boolean).join(" · ");
}

/** Say how an entry stands, and by which glyph: {text, glyph}. `given` is to whom it was given, where it was. */
export function stateInWords({ state, due_at: due, status }, { now, given }) {
  const glyph = GLYPHS[state] ?? "silent";
  if (state === "held") return { glyph, text: say("outbox_state_held", { n: Math.max(0, Math.ceil((due - now) / 1000)) }) };
  if (given && ["waiting", "sending"].includes(state)) return { glyph, text: given.to ? say("outbox_state_given_to", { to: given.to }) : say("outbox_state_given") };
  if (state === "accepted" && status === "duplicate") return { glyph, text: say("outbox_state_duplicate") };
  return { glyph, text: say(`outbox_state_${state}`) };
}

/** Say why something did not go or was not taken, and what to do. */
export function reasonInWords(code) {
  return words[`outbox_why_${code}`] ? say(`outbox_why_${code}`) : say("outbox_why_other", { code: humanise(code) });
}

/** Say what the service noticed about an event that it took. */
export function warningInWords(code) {
  return words[`outbox_noticed_${code}`] ? say(`outbox_noticed_${code}`) : humanise(code);
}

/** Say when it happened: once, or by both clocks where this phone's was wrong by `ahead` milliseconds. */
export function timesInWords({ event }, ahead) {
  const here = new Date(event.time);
  if (ahead === null || Math.abs(ahead) < CLOCK_OFF_MS) return say("outbox_time_one", { time: clock(here) });
  return say("outbox_time_two", { here: clock(here), there: clock(new Date(here.getTime() - ahead)) });
}

/** Say what the service answered to an event: sentences, none where it had nothing to say. */
export function answerInWords(answer, day) {
  if (!answer) return [];
  return [...placeInWords(answer, day), ...otherAnswers(answer)].filter(Boolean);
}

/** Tell whether a correction of this entry can be said. */
export function isCorrectable({ state, event }) {
  return state === "accepted" && !NOT_CORRECTED.has(shortType(event.type));
}

/** Write a number of bytes: 3,1 Mo, 3.1 MB. */
export function bytesInWords(bytes) {
  const units = language === "fr" ? ["o", "ko", "Mo", "Go"] : ["B", "kB", "MB", "GB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: step > 1 ? 1 : 0 }).format(bytes / 1000 ** step);
  return `${number}\u00a0${units[step]}`;
}

/** Say how long ago something was: stale things must look stale. */
export function agoInWords(at, now) {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return say("outbox_ago_now");
  return minutes < 60 ? say("outbox_ago_minutes", { n: minutes }) : say("outbox_ago_hours", { n: Math.floor(minutes / 60) });
}

function thingInWords({ data = {}, subject = "" }) {
  const ids = data.item_ids ?? [];
  if (ids.length > 1) return say("outbox_thing_many", { n: ids.length });
  const id = data.item_id ?? ids[0] ?? subject.split("/")[1] ?? "";
  const kind = { R: "registered", C: "parcel" }[S10.exec(id)?.[1]] ?? "item";
  return say(`outbox_thing_${kind}`, { id });
}

function titleOf(type, services) {
  const every = [...(services?.services ?? []).flatMap(({ events }) => events), services?.corrections].filter(Boolean);
  return every.find((each) => each.type === type)?.title[language] ?? humanise(shortType(type).replaceAll(".", " "));
}

function placeInWords(answer, day) {
  if (!("decision" in answer)) return [];
  const [after, before] = [answer.after_stop_id, answer.before_stop_id].map((id) => id && (day?.stop(id)?.address ?? id));
  const between = after && before ? say("outbox_answer_between", { after, before }) : after ? say("outbox_answer_after", { after }) : "";
  return [
    answer.normalised ? say("outbox_answer_address", { address: answer.normalised }) : say("outbox_answer_no_address"),
    answer.round_id ? `${say("outbox_answer_round", { round: answer.round_id })}${between && ` ${between}`}` : null,
    answer.cost_m ? say("outbox_answer_cost", { m: Math.round(answer.cost_m) }) : null,
    say(`outbox_answer_decision_${answer.decision}`),
  ];
}

function otherAnswers(answer) {
  const { candidates, missing, state, mail_waits_at: at, mail_waits_until: until } = answer;
  return [
    candidates ? say("outbox_answer_candidates", { list: Object.values(candidates).flat().join(", ") }) : null,
    missing?.length ? say("outbox_answer_missing", { list: missing.map((each) => fieldLabel(each)).join(", ") }) : null,
    answer.request_id && words[`outbox_change_${state}`] ? say(`outbox_change_${state}`) : null,
    until ? say("outbox_answer_mail_waits", { at: at ?? say("outbox_answer_office"), until: new Date(until).toLocaleDateString(language) }) : null,
  ];
}
