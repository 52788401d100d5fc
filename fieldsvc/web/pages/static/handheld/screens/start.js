// H0, start of service: who, which round, what is ready, what must be taken and read, and one tap to begin.
import { clock, language, say } from "../../base.js";
import { dayInWords } from "../acts.js";
import { dateIn } from "../dates.js";
import { button, el, linkButton } from "../dom.js";
import { go } from "../frame.js";
import { askForPlace } from "../place.js";
import { sayDuty } from "../saying.js";
import { trackerInWords } from "../strip.js";
import { KINDS, taken, toTake } from "../taking.js";

export const name = "start";
export const title = (_params, { day }) => say(day.isOn ? "service_title" : "start_title");

export function render(root, _params, ctx) {
  let drawn = null;
  const draw = () => {
    const now = signature(ctx);
    if (now === drawn) return; // nothing new: what is open or has the focus stays so
    drawn = now;
    const open = root.querySelector("details")?.open ?? false;
    root.replaceChildren(...parts(ctx).filter(Boolean));
    root.querySelector("details")?.toggleAttribute("open", open);
  };
  const ends = [ctx.day.listen(draw), ctx.kept.listen(({ kind }) => kind === "persisted" && draw())];
  draw();
  readySize(ctx).then(draw);
  return () => ends.forEach((end) => end());
}

function signature({ day, kept, bytes, device }) {
  const { facts, duty, begun } = day.own;
  return JSON.stringify([day.run, day.past, duty, begun, facts, day.sheet?.version, day.answered?.status, kept.persisted, bytes, device?.device_id]);
}

function parts(ctx) {
  const { day } = ctx;
  if (!ctx.device) return [el("p", {}, say("join_lead")), linkButton({ text: say("join"), href: "#/join", big: true }), toMe()];
  if (!day.run) return [...noRun(ctx), toMe()];
  const sheet = day.sheet;
  return [
    who(ctx), ready(ctx), act(ctx), sheet && toRead(sheet), sheet && loading(day), tracker(ctx), more(ctx), toMe(),
  ];
}

function noRun(ctx) {
  const { answered, past } = ctx.day;
  const waiting = !answered;
  const unreached = past ? say("start_past", { date: dayInWords(past, language) }) : say("start_not_reached");
  const text = waiting ? say("start_asking") : answered.status === 404 ? say("start_no_run") : unreached;
  const again = button({ text: say("start_again"), kind: "quiet", big: true, onclick: () => ctx.day.load() });
  return [greeting(ctx), el("p", { class: "notice" }, text), waiting ? null : again];
}

function greeting({ device }) {
  return el("p", { class: "start__who" }, device.carrier ?? say("start_nobody"));
}

function who(ctx) {
  const { run, sheet } = ctx.day;
  const day = dateIn(run.run_id);
  const parts = [say("start_round", { round: run.round_id }), day && dayInWords(day, language), sheet && say(`mode_${sheet.mode}`)];
  return el("div", { class: "start__head" }, greeting(ctx), el("p", { class: "start__round" }, parts.filter(Boolean).join(" · ")));
}

function toMe() {
  return linkButton({ text: say("me_title"), kind: "quiet", href: "#/me", big: true });
}

/** What is on the phone by now, and whether the browser promises to keep it. */
function ready({ day, kept, bytes }) {
  const { sheet } = day;
  if (!sheet) return el("p", { class: "notice", role: "status" }, say("start_loading"));
  const what = { points: sheet.stops.length, tasks: day.tasks.length, size: megabytes(bytes) };
  const safe = kept.persisted === null ? null : el("p", { class: "hint" }, say(kept.persisted ? "start_kept" : "start_not_kept"));
  const when = el("p", {}, el("strong", {}, say("start_ready", what)));
  return el("div", { class: "notice notice--ok", role: "status" }, when, safe);
}

function megabytes(bytes) {
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, digits).format(Math.max(0.1, (bytes ?? 0) / 1e6));
}

async function readySize(ctx) {
  ctx.bytes = new Blob([JSON.stringify([ctx.day.sheet, ctx.day.services])]).size;
}

function act(ctx) {
  const { duty } = ctx.day;
  if (duty === "off" || duty === "ended") return begin(ctx);
  const words = duty === "mandate" ? "on_mandate" : duty === "paused" ? "on_pause" : "on_duty";
  const goOn = duty === "paused"
    ? button({ text: say("resume"), big: true, onclick: () => sayDuty(ctx.day, "on"), dataset: { act: "resume" } })
    : linkButton({ text: say("start_scan"), href: "#/scan", big: true });
  const pause = button({ text: say("pause"), icon: "pause", kind: "quiet", onclick: () => sayDuty(ctx.day, "paused"), dataset: { act: "pause" } });
  const end = linkButton({ text: say("end_link"), kind: "quiet", href: "#/end" });
  return el("div", { class: "presses" }, el("p", {}, say(words)), goOn, duty === "on" ? el("div", { class: "presses presses--two" }, pause, end) : end);
}

function begin(ctx) {
  const press = button({ text: say(ctx.day.duty === "ended" ? "begin_again" : "begin"), big: true, onclick: () => takeUp(ctx, "on"), dataset: { act: "begin" } });
  return el("div", { class: "presses" }, press, el("p", { class: "hint" }, say("begin_what")));
}

// The permission for a place is asked now, not at a door: whatever comes of it, the service has begun.
async function takeUp(ctx, duty) {
  if (!(await sayDuty(ctx.day, duty))) return;
  if (duty === "on") askForPlace();
  go(duty === "on" ? "#/scan" : "#/today");
}

function toRead({ instructions, hazards }) {
  const found = [...instructions.map(instruction), ...hazards.map(hazard)];
  if (!found.length) return null;
  return el("section", {}, el("h2", {}, say("start_read")), el("ul", { class: "start__read" }, ...found));
}

function instruction({ text, given_at: at }) {
  return el("li", {}, el("p", {}, text ?? ""), at ? el("p", { class: "hint" }, say("start_given", { time: clock(new Date(at)) })) : null);
}

function hazard({ kind, note, until }) {
  const words = el("strong", { class: "state state--late" }, say(`hazard_${kind}`));
  return el("li", {}, el("p", {}, words), note ? el("p", {}, note) : null, el("p", { class: "hint" }, say("start_until", { time: clock(new Date(until)) })));
}

/** How much of what must be taken was scanned; scanning itself is the scanner's, in its mode for loading. */
function loading(day) {
  const things = toTake(day.tasks);
  if (!things.length) return null;
  const n = taken(things, (subject) => day.factsOf(subject)).length;
  const line = (kind) => {
    const own = things.filter((each) => each.kind === kind);
    return own.length ? el("li", {}, say(`take_${kind}`, { n: taken(own, (subject) => day.factsOf(subject)).length, all: own.length })) : null;
  };
  const link = linkButton({ text: say(n === things.length ? "take_done" : "take_scan"), kind: "quiet", big: true, href: "#/scan?mode=load" });
  return el("section", {}, el("h2", {}, say("take_title", { n, all: things.length })), el("ul", { class: "plain" }, ...KINDS.map(line)), link);
}

function tracker({ day }) {
  const { text, isHeard } = trackerInWords(day);
  const pair = linkButton({ text: say("tracker_pair"), kind: "quiet", big: true, href: "/enrol" });
  return el("section", {}, el("h2", {}, say("tracker_title")), el("p", {}, text), el("p", { class: "hint" }, say("tracker_what")), isHeard ? null : pair);
}

function more(ctx) {
  if (!["off", "ended"].includes(ctx.day.duty)) return null;
  const mandate = button({ text: say("begin_mandate"), kind: "quiet", big: true, onclick: () => takeUp(ctx, "mandate"), dataset: { act: "mandate" } });
  return el("details", {}, el("summary", {}, say("begin_other")), el("p", { class: "hint" }, say("begin_mandate_what")), mandate);
}
