// One point of the round: what to know of it, what is to do there, and what else may be said of it.
import { clock, say } from "../../base.js";
import { placeOf } from "../acts.js";
import { isOfRun, reports } from "../answers.js";
import { requestNotes } from "../cards.js";
import { button, el, linkButton } from "../dom.js";
import { announce, toast } from "../frame.js";
import { requestsFor } from "../scan.js";
import { openScanner } from "../scanner.js";
import { taskLine, wayTo } from "../work.js";
import { dangers } from "./today.js";

export const name = "stop";
export const title = (params, { day }) => placeOf(day.stop(params.stop_id)).street;
export const tab = "today";
const NOTES = ["hidden_box", "code", "dog", "order", "hours", "other"];
const TOLD = ["names", "floor", "ring_twice", "neighbour", "safe_place", "never_neighbour", "never_left"]; // by a household
const ABOUT = new Set(["item.delivered", "item.delivery_attempted", "item.held", "access.refused", "medication.delivered", "medication.returned", "home_visit.completed", "home_visit.missed"]);

export function render(root, params, ctx) {
  openScanner(ctx);
  const stop = ctx.day.stop(params.stop_id);
  if (!stop) return root.append(el("p", { class: "empty" }, say("stop_unknown")), linkButton({ text: say("today_back"), href: "#/today", big: true }));
  const before = el("div", { class: "stack" });
  const body = el("div", { class: "stack" });
  const note = noteForm(stop, ctx);
  const told = reports(ctx, (entry) => entry.event.type === "fieldsvc.address_change.reported.v1" && entry.event.data.stop_id === stop.stop_id, say("stop_answers"));
  const draw = () => body.replaceChildren(...bodyOf(ctx.day.stop(stop.stop_id) ?? stop, ctx));
  root.append(el("p", { class: "muted stop__town" }, [placeOf(stop).town, say("stop_number", { n: stop.sequence })].filter(Boolean).join(" · ")), body, note, before, told.node, others(stop));
  draw();
  drawBefore(before, stop, ctx);
  const ends = [ctx.day.listen(draw), ctx.outbox.listen(() => drawBefore(before, stop, ctx)), told.end];
  return () => ends.forEach((end) => end());
}

function bodyOf(stop, ctx) {
  const { day } = ctx;
  const asked = requestsFor(day.sheet, { subject: "", stop });
  const items = stop.tasks.flatMap((task) => requestsFor(day.sheet, { subject: task.subject, stop: null }));
  const asks = [...asked, ...items].some((each) => each.ask);
  return [
    ...dangers(stop, day),
    ...requestNotes([...asked, ...items]),
    asks && linkButton({ text: say("ask_at_door"), href: `#/change/${encodeURIComponent(stop.stop_id)}`, big: true, icon: "ask" }),
    notebook(stop, day),
    el("h2", {}, say("stop_tasks")),
    ...(stop.tasks.length ? stop.tasks.map((task) => taskCard(task, stop, ctx)) : [el("p", { class: "hint" }, say("stop_no_tasks"))]),
  ].filter(Boolean);
}

function taskCard(task, stop, ctx) {
  const open = ctx.day.isOpen(task);
  const words = task.service === "item" ? "do_item" : "do_task";
  const way = open ? linkButton({ text: say(words), href: wayTo(task, stop.stop_id), big: true }) : null;
  const absent = open && task.service === "item" ? linkButton({ text: say("do_scan"), href: "#/scan", kind: "quiet", big: true, icon: "scan" }) : null;
  return el("section", { class: "task-card" }, taskLine(task, { day: ctx.day, services: ctx.services }), way && el("div", { class: "presses" }, way, absent));
}

const BY = { substitute: "note_substitute", household: "note_household" };

// What the regular carrier knows; a substitute's notes say so, and what the household tells.
function notebook(stop, day) {
  const known = stop.notebook ?? [];
  if (!known.length) return null;
  const lines = known.map((each) => [el("dt", {}, say(`note_${[...NOTES, ...TOLD].includes(each.kind) ? each.kind : "other"}`)), el("dd", {}, each.text, BY[each.by] && el("span", { class: "muted" }, ` ${say(BY[each.by])}`))]);
  return el("section", { class: "notebook" }, el("h2", {}, say("notebook")), el("dl", {}, lines), !day.isOn && el("p", { class: "hint" }, say("notebook_secret")));
}

function noteForm(stop, ctx) {
  let kind = null;
  const text = el("textarea", { id: "note-text", rows: "3", maxlength: "280" });
  const said = el("p", { class: "fault", role: "alert" });
  const kinds = NOTES.map((each) => el("button", { type: "button", class: "press press--quiet choice", "aria-pressed": "false", onclick: () => choose(each) }, say(`note_${each}`)));
  const choose = (each) => {
    kind = each;
    kinds.forEach((one, n) => one.setAttribute("aria-pressed", String(NOTES[n] === each)));
    text.value = (stop.notebook ?? []).find((note) => note.kind === each && note.by !== "household")?.text ?? text.value;
    text.focus();
  };
  const save = async () => {
    if (!kind) return said.replaceChildren(say("note_which"));
    said.replaceChildren();
    const point = stop.delivery_point_id ?? stop.stop_id;
    const data = { delivery_point_id: point, kind, text: text.value.trim(), stop_id: stop.stop_id };
    const entry = await ctx.outbox.queue({ type: "notebook.written", subject: `notebook/${point}`, data, holdMs: 10_000 });
    text.value = "";
    details.open = false;
    toast(say(data.text ? "note_saved" : "note_removed"), { undo: () => ctx.outbox.undo([entry.id]).then((ok) => announce(say(ok ? "undone" : "undo_late"))) });
  };
  const details = el("details", { class: "otherwise" }, el("summary", {}, say("note_add")));
  details.append(el("div", { class: "stack" }, el("div", { class: "choices choices--two", role: "group", "aria-label": say("note_which") }, kinds), el("div", { class: "field" }, el("label", { for: "note-text" }, say("note_text")), text), el("p", { class: "hint" }, say("note_hint")), said, button({ text: say("note_save"), big: true, onclick: save })));
  return details;
}

/** What this phone said today of this place, newest first. */
async function drawBefore(root, stop, { outbox, day }) {
  const own = (await outbox.entries()).filter((entry) => isOfRun(entry, day) && entry.event.data?.stop_id === stop.stop_id && entry.state !== "undone");
  const found = own.map((entry) => [entry, entry.event.type.replace(/^fieldsvc\./, "").replace(/\.v\d+$/, "")]).filter(([, type]) => ABOUT.has(type));
  const lines = found.reverse().slice(0, 5).map(([entry, type]) => el("li", {}, el("span", { class: "num" }, clock(new Date(entry.event.time))), " ", said(type, entry.event.data)));
  root.replaceChildren(...(lines.length ? [el("h2", {}, say("stop_before")), el("ul", { class: "plain rows" }, lines)] : []));
}

function said(type, data) {
  const about = type === "item.delivered" ? say(`out_${data.to}`) : type === "item.delivery_attempted" ? say(`reason_${data.reason}`) : say(`out_${type.replace(".", "_")}`);
  const ids = data.item_ids ?? (data.item_id ? [data.item_id] : []);
  return [about, ids.join(", ")].filter(Boolean).join(" · ");
}

function others(stop) {
  const at = encodeURIComponent(stop.stop_id);
  const links = [
    ["stop_address", `#/address/${at}`, "house"],
    ["stop_change", `#/change/${at}`, "change"],
    ["stop_access", `#/form/access.refused?stop=${at}`, "barred"],
    ["stop_hazard", `#/form/hazard.reported?stop=${at}`, "danger"],
    ["stop_other", `#/other?stop=${at}`, "plus"],
  ];
  return el("nav", { "aria-label": say("stop_others"), class: "presses" }, el("h2", {}, say("stop_others")), links.map(([words, href, icon]) => linkButton({ text: say(words), href, kind: "quiet", icon, big: true })));
}

