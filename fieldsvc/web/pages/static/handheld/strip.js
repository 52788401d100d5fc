// The strip on top: the network and the work are two different things; below it what the carrier must know at any time.
import { clock, language, say } from "../base.js";
import { dayInWords } from "./acts.js";
import { isExpired } from "./api.js";
import { $, button, el, linkButton } from "./dom.js";
import { sayDuty } from "./saying.js";

const PATIENCE_MS = 180_000;

/** Say the state of the work in words: {text, isTrouble}, by what `outbox.counts()` tells. */
export function workInWords({ unsent, refused, last_sent_at: sentAt }) {
  const when = sentAt && !refused ? clock(new Date(sentAt)) : "";
  const left = unsent ? say("strip_waiting", { n: unsent }) : say(sentAt ? "strip_all_sent" : "strip_nothing_yet");
  const text = [refused ? say("strip_refused", { n: refused }) : "", left, when].filter(Boolean).join(" · ");
  return { text, isTrouble: refused > 0 };
}

/** Keep the strip and the notes below it up to date. */
export function showStrip(ctx) {
  const draw = () => {
    drawNet(ctx);
    drawWork(ctx);
    drawNotes(ctx);
  };
  ctx.redraw = draw;
  ctx.day.listen(draw);
  ctx.outbox.listen(() => drawWork(ctx));
  window.addEventListener("online", draw);
  window.addEventListener("offline", draw);
  draw();
}

function drawNet({ day }) {
  const reached = day.answered?.status !== 0;
  const [state, word] = !navigator.onLine ? ["off", "offline_now"] : reached ? ["on", "online_now"] : ["off", "unreached_now"];
  $("strip-net").dataset.net = state;
  $("strip-net").textContent = say(word);
}

async function drawWork({ outbox }) {
  const { text, isTrouble } = workInWords(await outbox.counts());
  $("strip-sent").textContent = text;
  $("strip-state").classList.toggle("is-trouble", isTrouble);
}

async function drawNotes(ctx) {
  const expired = await isExpired(ctx.kept);
  const notes = [expired ? expiredNote() : null, ctx.update ?? null, pastNote(ctx), pausedNote(ctx), trackerNote(ctx)];
  $("notes").replaceChildren(...notes.filter(Boolean));
}

function expiredNote() {
  const link = linkButton({ text: say("expired_join"), href: "#/join" });
  return el("div", { class: "note note--danger" }, el("p", {}, say("expired")), link);
}

// Yesterday's sheet is better than none, but nobody may take it for today's.
function pastNote({ day: { past } }) {
  return past && el("p", { class: "note note--line note--warn" }, say("past_sheet", { date: dayInWords(past, language) }));
}

function pausedNote({ day }) {
  if (day.duty !== "paused") return null;
  const resume = button({ text: say("resume"), onclick: () => sayDuty(day, "on") });
  return el("div", { class: "note note--paused" }, el("p", { class: "state state--paused" }, say("paused_now")), resume);
}

function trackerNote({ day }) {
  if (day.duty !== "on") return null;
  const { text, isHeard } = trackerInWords(day, "tracker_short");
  return el("p", { class: `note note--line ${isHeard ? "" : "note--warn"}` }, text);
}

/** Say whether positions come: {text, isHeard}. They come from another app; it has some minutes to be heard first. */
export function trackerInWords({ run, own }, none = "tracker_none") {
  const heard = run?.position_heard_at;
  if (heard) return { text: say("tracker_heard", { time: clock(new Date(heard)) }), isHeard: true };
  const isEarly = own.begun && Date.now() - own.begun < PATIENCE_MS;
  return { text: say(isEarly ? "tracker_waiting" : none), isHeard: false };
}
