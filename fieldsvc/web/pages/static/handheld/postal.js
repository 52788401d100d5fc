// The code that an addressee says at the door, checked without a network: the sheet has its salted hash, and three tries.
import { say } from "../base.js";
import { button, el } from "./dom.js";

/** The hashed code of a task as {iterations, salt, hash, tries}, whether it was ordered (`code_check`) or imported (`code`); or null. */
export function hashedOf(task) {
  const { code, code_check: ordered } = task?.details ?? {};
  return ordered ? { ...ordered, iterations: ordered.rounds } : (code ?? null);
}

/** Whether a code is the one that was hashed. */
export async function matches(typed, { iterations, salt, hash }) {
  const text = typed.trim();
  for (const each of new Set([text, text.toUpperCase()])) {
    if ((await derived(each, salt, iterations)) === hash) return true;
  }
  return false;
}

/** Try a code for a task, and keep that it was tried: {ok, used, left}. Nothing is tried once it is right or used up. */
export async function attempt(kept, task, typed) {
  const name = `tries:${task.task_id}`;
  const hashed = hashedOf(task);
  const before = await tried(kept, task);
  if (before.ok || before.left === 0) return before;
  const ok = await matches(typed, hashed);
  await kept.set(name, { ok, used: before.used + 1 });
  return tried(kept, task);
}

/** How far a task's code is: {ok, used, left}; it survives a reload. */
export async function tried(kept, task) {
  const { ok = false, used = 0 } = (await kept.get(`tries:${task.task_id}`)) ?? {};
  return { ok, used, left: Math.max(0, (hashedOf(task)?.tries ?? 0) - used) };
}

/** A field for the code of a task: {node, ok(), tries()}; `onok` is told when it was right. Null where there is no code. */
export function codeField({ task, kept, onok = () => {} }) {
  if (!hashedOf(task)) return null;
  let state = { ok: false, used: 0, left: hashedOf(task).tries };
  const id = `code-${task.task_id}`;
  const input = el("input", { id, inputmode: "numeric", autocomplete: "off", class: "code-field__input", "aria-describedby": `${id}-said` });
  const said = el("p", { id: `${id}-said`, role: "status", class: "hint" });
  const check = button({ text: say("code_check"), kind: "quiet", onclick: () => run() });
  const show = (found) => {
    state = found;
    said.textContent = words(found);
    said.className = found.ok ? "good" : found.used ? "fault" : "hint";
    input.disabled = check.disabled = found.ok || found.left === 0;
  };
  const run = async () => {
    if (!input.value.trim()) return input.focus();
    show(await attempt(kept, task, input.value));
    if (state.ok) onok();
    else input.select();
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), run()));
  tried(kept, task).then(show);
  const row = el("div", { class: "code-field__row" }, input, check);
  const node = el("div", { class: "code-field" }, el("label", { for: id, text: say("code_label") }), row, said);
  return { node, ok: () => state.ok, tries: () => state.used };
}

function words({ ok, used, left }) {
  if (ok) return say("code_right");
  if (left === 0) return say("code_used_up");
  return used ? say(left === 1 ? "code_wrong_last" : "code_wrong", { left }) : say("code_hint");
}

async function derived(text, salt, iterations) {
  const bytes = new TextEncoder().encode(text);
  const key = await crypto.subtle.importKey("raw", bytes, "PBKDF2", false, ["deriveBits"]);
  const settings = { name: "PBKDF2", hash: "SHA-256", salt: fromHex(salt), iterations };
  const bits = await crypto.subtle.deriveBits(settings, key, 256);
  return [...new Uint8Array(bits)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
