// A home visit: arrive, ask, show that somebody was there, leave. What is urgent is called first, and said at once.
import { clock, say } from "../../base.js";
import { contacts, emergency } from "../callers.js";
import { eventOf } from "../catalogue.js";
import { button, el } from "../dom.js";
import { formOf } from "../forms.js";
import { lost } from "../lost.js";
import { isId } from "../route.js";
import { HOLD_MS, notice, onward, saySo } from "../saying.js";
import { visitForm } from "../visit_form.js";
import { MISSED_FOR, visitorOf } from "../visits.js";
import { unknown } from "./form.js";

export const name = "visit";
export const title = "visit.title";
export const tab = "today";

export function render(root, { visit_id: id }, ctx) {
  root.classList.add("forms");
  if (!isId(id)) return lost(root);
  const event = (type) => eventOf(ctx.services, `home_visit.${type}`)?.event;
  if (!event("completed")) return root.append(...unknown(ctx));
  const subject = `visit/${id}`;
  const task = ctx.day.taskOf(subject);
  const stop = task?.stop_id ? ctx.day.stop(task.stop_id) : null;
  const visit = { id, subject, task, stop, ctx, root, event, about: { visit_id: id, ...(stop ? { stop_id: stop.stop_id } : {}) }, urgent: false };
  const call = el("div", { class: "call" });
  const body = el("div", { class: "stack" });
  root.append(call, aboutOf(visit), body);
  showCall(visit, call);
  return follow(visit, body);
}

/** Show the step that the visit is at, and the next one when it comes there: to arrive, to ask, over. */
function follow(visit, body) {
  const { ctx, subject } = visit;
  let shown = null;
  let leave = null;
  const show = () => {
    const facts = ctx.day.factsOf(subject);
    const step = facts.done || facts.missed ? "over" : facts.started ? "ask" : "arrive";
    if (step === shown) return;
    leave?.();
    body.replaceChildren();
    leave = { over, ask, arrive }[step](visit, body) ?? null;
    if (shown === "arrive" && step === "ask") body.querySelector("input")?.focus({ preventScroll: true });
    shown = step;
  };
  show();
  const end = ctx.day.listen(show);
  return () => {
    end();
    leave?.();
  };
}

function aboutOf({ task, stop }) {
  const { from, until } = task?.window ?? {};
  const when = from ? say("visit.window", { from: clock(new Date(from)), until: clock(new Date(until)) }) : say("visit.no_window");
  const lines = [stop?.address, when, say(`visit.you_${visitorOf(task)}`), task?.details?.notes];
  return el("div", { class: "card about" }, el("p", { class: "lead" }, el("strong", {}, task?.addressee ?? say("visit.no_task"))), lines.filter(Boolean).map((each) => el("p", {}, each)));
}

function over({ ctx, subject, task }, body) {
  const { done, missed } = ctx.day.factsOf(subject);
  body.append(notice(say(done ? "visit.was_done" : "visit.was_missed", { time: clock(new Date(done ?? missed)) }), "ok"), contacts(task) ?? "");
}

function ask(visit, body) {
  const { node, end } = visitForm(visit);
  body.append(node, nobody(visit), contacts(visit.task) ?? "");
  return end;
}

/** The button that calls first; once pressed, the numbers, and what the service is told. */
function showCall(visit, call) {
  const press = button({ text: say("visit.urgent"), kind: "danger", big: true, icon: "urgent", onclick: () => tell() });
  const tell = async () => {
    visit.urgent = true;
    call.replaceChildren(emergency(visit.task, visit.stop), contacts(visit.task) ?? "", el("p", { class: "hint" }, say("visit.urgent_follows")));
    call.querySelector("a").focus();
    const data = { ...visit.about, level: "urgent", reason: "urgent_need" };
    await saySo(visit.ctx, [{ type: "home_visit.alert", subject: visit.subject, data, urgent: true, holdMs: HOLD_MS }], { words: say("visit.urgent_said"), root: visit.root });
  };
  call.replaceChildren(press);
}

function arrive(visit, body) {
  const { ctx, subject, task } = visit;
  const data = { ...visit.about, visitor: visitorOf(task) };
  const start = () => saySo(ctx, [{ type: "home_visit.started", subject, data }], { words: say("visit.started"), notes: [[subject, "started"]], root: body });
  body.append(button({ text: say("visit.arrive"), big: true, onclick: start }), nobody(visit), contacts(task) ?? "");
}

/** Nobody, or no visit: why, and what happens then. */
function nobody(visit) {
  const { ctx, subject, stop, root } = visit;
  const form = formOf(visit.event("missed"), { values: visit.about, hidden: ["visit_id"], offer: { reason: MISSED_FOR } });
  const save = button({ text: say("visit.save_missed"), big: true, onclick: () => send() });
  const send = async () => {
    const data = await form.read();
    if (data) await saySo(ctx, [{ type: "home_visit.missed", subject, data }], { words: say("visit.missed"), notes: [[subject, "missed"]], then: onward(stop?.stop_id), root });
  };
  return el("details", { class: "more" }, el("summary", {}, say("visit.nobody")), form.node, notice(say("visit.missed_then")), save);
}
