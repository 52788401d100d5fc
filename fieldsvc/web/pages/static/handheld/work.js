// A task in a list: what it is in one icon and a word, whom it is for, how long its window lasts, and where it leads.
import { language, say } from "../base.js";
import { addresseeOf, windowInWords } from "./acts.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";
import { isForOwnHands, isSigned, requestsFor } from "./scan.js";

const ICONS = { item: "letter", registered: "sign", signed: "sign", home_visit: "person", medication: "cross", key: "key", pet: "paw", meter: "meter", letter_code: "code", check_address: "house", address_change: "house" };
const CODES = { absent: "attempted" };

/** What kind of work a task is: registered and signed items are told from plain ones. */
export function kindOfTask(task) {
  if (task.service !== "item") return task.service;
  const id = task.subject.slice(task.subject.indexOf("/") + 1);
  return isForOwnHands(task, id) ? "registered" : isSigned(task, id) ? "signed" : "item";
}

/** A service's title in the reader's language, where this page has no word of its own for it. */
export function kindInWords(kind, services) {
  const own = say(`task_${kind}`);
  if (own !== `task_${kind}`) return own;
  const found = services?.services?.find((each) => each.service === kind);
  return found?.title?.[language] ?? kind;
}

/** Where a task is done: the pouch and the visit have screens, an address check its form, the rest its service's form. */
export function wayTo(task, stopId) {
  const [kind, id] = [task.subject.slice(0, task.subject.indexOf("/")), task.subject.slice(task.subject.indexOf("/") + 1)];
  const at = stopId ? `stop=${encodeURIComponent(stopId)}` : "";
  if (kind === "item") return `#/proof/${task.subject}${at && `?${at}`}`;
  if (kind === "pouch" || kind === "visit") return `#/${kind}/${encodeURIComponent(id)}`;
  if (task.service === "address_change" && stopId) return `#/address/${encodeURIComponent(stopId)}`;
  const form = { key: "key.returned", pet: "pet.handed_over", meter: "meter.read", letter_code: "letter.delivered", check_address: "address.checked" }[task.service];
  return form ? `#/form/${form}?subject=${encodeURIComponent(task.subject)}${at && `&${at}`}` : "#/other";
}

/** What became of a task today, in a word; null while it is open. */
export function doneInWords(day, task) {
  const fact = day.stateOf(task.subject);
  if (!fact || day.isOpen(task)) return fact === "loaded" ? { word: say("fact_loaded"), open: true } : null;
  const word = say(`fact_${CODES[fact] ?? fact}`);
  return { word: word.startsWith("fact_") ? say("fact_done") : word, open: false };
}

/** One task as a line: icon and word, whom it is for, its window, what became of it, what a customer asked. */
export function taskLine(task, { day, services, now = new Date() }) {
  const kind = kindOfTask(task);
  const window = day.isOpen(task) ? windowInWords(task.window, now) : null;
  const done = doneInWords(day, task);
  const asked = requestsFor(day.sheet, { subject: task.subject, stop: null });
  return el(
    "div",
    { class: `task ${done && !done.open ? "task--done" : ""}`, dataset: { subject: task.subject } },
    el("span", { class: "task__glyph", "aria-hidden": "true" }, icon(ICONS[kind] ?? "dot")),
    el(
      "div",
      { class: "task__text" },
      el("p", { class: "task__kind" }, kindInWords(kind, services), done && el("span", { class: "badge" }, done.word), asked.length > 0 && el("span", { class: "badge badge--asked" }, say("asked_badge"))),
      addresseeOf(task) && el("p", { class: "muted" }, addresseeOf(task)),
      window && el("p", { class: `window window--${window.state}` }, window.text),
    ),
  );
}
