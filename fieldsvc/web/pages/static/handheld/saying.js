// Saying what was done: kept in the outbox first, noted for the day, and taken back for ten seconds by one touch.
import { say } from "../base.js";
import { noteAll } from "./acts.js";
import { el } from "./dom.js";
import { go, toast } from "./frame.js";

export const HOLD_MS = 10_000;

const underWay = new Set(); // what is being said right now: a second touch does not say it twice
const leaving = new WeakSet(); // screens that have said what they were there for, until another is drawn

/**
 * Say events: [{type, subject, data, urgent?}]. `words` are what the bar says, `notes` what the day notes of them
 * ([[subject, fact]]), `then` the address to go to. Returns the entries, or null if this phone could not keep them: then
 * `root` says so and what was typed is still there. What is urgent leaves at once.
 */
export async function saySo(ctx, wanted, about) {
  const name = wanted.map(({ type, subject }) => `${type} ${subject}`).join();
  const isAgain = underWay.has(name) || leaving.has(about.root);
  if (isAgain && !wanted.some(({ urgent }) => urgent)) return null;
  underWay.add(name);
  try {
    return await said(ctx, wanted, about);
  } finally {
    underWay.delete(name);
  }
}

async function said(ctx, wanted, { words, notes = [], then, root }) {
  const entries = await ctx.outbox.queueAll(wanted.map((each) => ({ holdMs: each.urgent ? 0 : HOLD_MS, ...each }))).catch(() => null);
  if (!entries) {
    root?.append(el("p", { class: "notice notice--danger", role: "alert" }, say("form.not_saved")));
    return null;
  }
  const { noted, words: told } = await noteAll(ctx.day, notes, { isSaved: true, said: words });
  const undo = () => takenBack(ctx, entries, noted);
  toast(told, entries.some((each) => each.state === "held") ? { undo } : {});
  if (then && root) leaving.add(root);
  if (then) go(then);
  return entries;
}

async function takenBack(ctx, entries, noted) {
  if (!(await ctx.outbox.undo(entries.map((each) => each.id)))) return;
  for (const [subject, fact, before] of noted) await ctx.day.unnote(subject, fact, before);
}

/** Begin, pause or end the service; where this phone cannot save it, say so: null then, and nothing has changed. */
export async function sayDuty(day, duty) {
  try {
    return await day.goOnDuty(duty);
  } catch (fault) {
    console.warn("duty", fault);
    toast(say("duty_not_saved"), { ms: 20_000 });
    return null;
  }
}

/** The address of where a carrier goes on: the stop, else the scanner. */
export function onward(stopId) {
  return stopId ? `#/stop/${encodeURIComponent(stopId)}` : "#/scan";
}

/** A whole-width notice; `kind` is ok, warning, danger or none. */
export function notice(text, kind = "") {
  return el("p", { class: kind ? `notice notice--${kind}` : "notice" }, text);
}
