// Doing what a scan or a thumb decided: saved, noted, said, and taken back for ten seconds by one touch.
import { clock, say } from "../base.js";
import { announce, toast } from "./frame.js";
import { HOLD_MS, takenBack } from "./cases.js";

/**
 * Save events that can be undone, note what was done, and offer to undo it. `notes` are [subject, fact], `alone` in place of
 * what was noted before; `onundo` hears of an undo. Gives the entries, the notes with what was known before them, and what
 * settles it before its ten seconds. With no events there is only the note. Rejects if nothing was saved.
 */
export async function record(ctx, { events = [], notes = [], alone = false, said, onundo = () => {} }) {
  const entries = events.length ? await ctx.outbox.queueAll(events.map((each) => ({ ...each, holdMs: HOLD_MS }))) : [];
  const { noted, words } = await noteAll(ctx.day, notes, { alone, isSaved: entries.length > 0, said });
  const settle = toast(words, { undo: () => undo(ctx, { entries, notes: noted, onundo }) });
  return { entries, settle, noted };
}

/** Note what was done: {noted: [[subject, fact, what was known before]], words}; of saved events the words tell if the note was not kept. */
export async function noteAll(day, notes, { alone = false, isSaved, said }) {
  const noted = [];
  let words = said;
  const unkept = (fault) => {
    console.warn("note", fault);
    words = `${said}. ${say("note_not_kept")}`;
  };
  for (const [subject, fact] of notes) noted.push([subject, fact, await day.note(subject, fact, { alone, unkept: isSaved ? unkept : undefined })]);
  return { noted, words };
}

async function undo(ctx, { entries, notes, onundo }) {
  try {
    if (!(await takeBack(ctx, { entries, notes }))) return toast(say("undo_late"));
  } catch (fault) {
    console.warn("undo", fault);
    return toast(say("undo_not_kept"), { ms: 20_000 });
  }
  announce(say("undone"));
  toast(say("undone"));
  return onundo();
}

/** Take events back: undone while they are held, else corrected, so that the service hears that they did not happen. */
export async function takeBack(ctx, { entries, notes = [], reason = "said_twice", correct = false }) {
  const ids = entries.map((entry) => entry.id);
  const undone = !ids.length || (await ctx.outbox.undo(ids));
  if (!undone && !correct) return false;
  if (!undone) await ctx.outbox.queueAll(entries.map((entry) => takenBack(entry, reason)));
  for (const [subject, fact, before] of notes) await ctx.day.unnote(subject, fact, before);
  return true;
}

/** Let the hand and the ear know: a short buzz for done, two for "look at it". */
export function feel(good, { sound = false } = {}) {
  navigator.vibrate?.(good ? 60 : [120, 80, 120]);
  if (sound) beep(good);
}

function beep(good) {
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = good ? 1320 : 330;
  volume.gain.value = 0.15;
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + (good ? 0.08 : 0.3));
  tone.onended = () => audio.close();
}

/** The street of a stop and its town apart; a stop without an address by its number. */
export function placeOf(stop) {
  if (!stop) return { street: say("place_unknown"), town: "" };
  const [street, ...town] = String(stop.address ?? "").split(", ");
  return { street: street || say("place_number", { n: stop.sequence ?? "?" }), town: town.join(", ") };
}

/** Who a task is for, as it is written. */
export function addresseeOf(task) {
  const known = task?.addressee;
  if (known && typeof known === "object") return [known.first_name, known.surname ?? known.name].filter(Boolean).join(" ");
  return String(known ?? "");
}

/** A day written out: jeudi 7 décembre. */
export function dayInWords(text, language) {
  const [year, month, day] = text.split("-").map(Number);
  return new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" }).format(new Date(year, month - 1, day));
}

/** What of a window is left: {text, state} with state ok, late or over; null without one. */
export function windowInWords(window, now) {
  if (!window) return null;
  const [from, until] = [new Date(window.from), new Date(window.until)];
  const times = { from: clock(from), until: clock(until) };
  const minutes = Math.ceil((until - now) / 60_000);
  if (minutes <= 0) return { text: say("window_over", times), state: "over" };
  if (now < from) return { text: say("window_later", times), state: "ok" };
  const left = minutes < 60 ? say("window_minutes", { n: minutes }) : say("window_hours", { h: Math.floor(minutes / 60), m: String(minutes % 60).padStart(2, "0") });
  return { text: say("window_now", { ...times, left }), state: minutes <= 30 ? "late" : "ok" };
}
