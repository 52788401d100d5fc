// Urgent: the call first, for nothing is quicker; then the alarm, and who has it. It works without a network, and off duty.
import { clock, say } from "../../base.js";
import { button, el, linkButton } from "../dom.js";
import { announce } from "../frame.js";
import { newId } from "../ids.js";

export const name = "urgent";
export const title = "urgent_title";
const NUMBERS = ["15", "18", "112"];
const KINDS = ["sos", "accident", "assault", "fall"];
const LOOKS_EVERY_MS = 5_000;

export function render(root, _params, ctx) {
  const state = el("div", { role: "status", class: "alarms" });
  const raise = KINDS.map((kind) => button({ text: say(`alarm_${kind}`), kind: "danger", onclick: () => alarm(kind, ctx, look, state), dataset: { kind } }));
  root.append(
    el("div", { class: "presses" }, ...NUMBERS.map(call)),
    state,
    el("h2", {}, say("urgent_alarm")),
    el("p", {}, say(ctx.device ? "urgent_alarm_what" : "urgent_no_device")),
    ...(ctx.device ? [el("div", { class: "presses presses--two" }, ...raise)] : []),
  );
  const look = () => show(state, ctx);
  if (!ctx.device) return undefined;
  const [ends, every] = [ctx.outbox.listen(look), setInterval(look, LOOKS_EVERY_MS)];
  look();
  return () => (ends(), clearInterval(every));
}

function call(number) {
  return linkButton({ text: say(`call_${number}`), href: `tel:${number}`, big: true, class: "press--call", icon: "call" });
}

async function alarm(kind, { outbox, day, api }, look, state) {
  const id = newId();
  const run = day.run?.run_id;
  const data = { alarm_id: id, kind, ...(run ? { run_id: run } : {}) };
  const wanted = { type: "alarm.raised", subject: `alarm/${id}`, data, urgent: true };
  const saved = await outbox.queue(wanted).catch((fault) => console.warn("handheld.alarm", fault));
  if (!saved) return sayAtOnce(wanted, api, state);
  announce(say("alarm_noted"));
  return look();
}

// A phone that can keep nothing more sends it as it is; if that fails too, it says so: the call is what is left.
async function sayAtOnce({ type, subject, data }, api, state) {
  const event = { specversion: "1.0", id: newId(), source: "/handheld", type: `fieldsvc.${type}.v1`, subject, time: new Date().toISOString(), data };
  const { status, json } = await api("/v1/events", { method: "POST", json: event });
  const isTaken = status === 200 && ["accepted", "duplicate"].includes(json?.results?.[0]?.status);
  state.replaceChildren(el("p", { class: "notice notice--danger" }, say(isTaken ? "alarm_arrived" : "alarm_not_saved")));
}

async function show(root, { outbox, api }) {
  const said = (await outbox.entries()).filter(({ event }) => event.type === "fieldsvc.alarm.raised.v1").slice(-3).reverse();
  if (!said.length) return;
  const answer = said.some(({ state }) => state === "accepted") ? await api("/v1/me/alarms") : null;
  const known = new Map((answer?.json?.alarms ?? []).map((each) => [each.id, each]));
  root.replaceChildren(...said.map((entry) => line(entry, known.get(entry.event.data.alarm_id))));
}

function line(entry, known) {
  const head = el("strong", { class: "state state--alert" }, say("alarm_at", { kind: say(`alarm_${entry.event.data.kind}`), time: clock(new Date(entry.event.time)) }));
  return el("div", { class: "notice notice--danger" }, el("p", {}, head), el("p", {}, stateInWords(entry, known)));
}

/** Say who has an alarm: taken, told, on its way, not sent yet, or refused. */
function stateInWords({ state, reason }, known) {
  if (known?.taken) {
    const { by, role, at } = known.taken;
    return say("alarm_taken", { who: by === role ? say(`role_${role}`) : by, time: clock(new Date(at)) });
  }
  if (known) return say(known.told ? "alarm_told" : "alarm_arrived");
  if (state === "refused") return say("alarm_refused", { reason: reason ?? "" });
  return say(state === "accepted" ? "alarm_arrived" : "alarm_waiting");
}
