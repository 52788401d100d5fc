// What a home visit is made of: its questions, its six facts, and who is called. No page here.
import { humanise } from "./labels.js";

const PLAIN = ["feels_well", "has_eaten", "good_spirits", "needs_something", "home_in_order", "something_worries"];
export const MISSED_FOR = ["nobody", "absent", "refused", "no_access", "unsafe", "other"];
export const EMERGENCY = ["15", "18", "112"];

/** The form of a task on its sheet; null for the plain questions. */
export function formOfTask(task, sheet) {
  return (task?.form && sheet?.forms?.[task.form]) || null;
}

/** The questions that a visit asks: [{name, kind, label, choices}], in the language of `words(name)`. */
export function questionsOf(form, { language, words }) {
  const asked = form?.questions ? Object.entries(form.questions) : PLAIN.map((name) => [name, "boolean"]);
  const label = (name) => said(form?.labels?.[name], language) ?? words(name) ?? humanise(name);
  return asked.map(([name, kind]) => ({ name, kind, label: label(name), choices: form?.choices?.[name] }));
}

function said(label, language) {
  return typeof label === "string" ? label : label?.[language];
}

/** Who comes, as the sheet says: only its regular carrier learns whether the person is known. */
export function visitorOf(task) {
  return task?.known_to_you === null || task?.known_to_you === undefined ? "substitute" : "usual";
}

/** The six facts of a visit, each with whether it is there: who, whom, what, where, start, end. `data` is what would be said. */
export function sixFacts(data, { started }) {
  const signed = data.presence !== "signature" || Boolean(data.signature || data.cannot_sign);
  const located = data.presence !== "location" || Boolean(data.stop_id);
  const facts = {
    who: true,
    whom: Boolean(data.met) && data.met !== "nobody",
    what: Object.keys(data.answers ?? {}).length > 0,
    where: Boolean(data.presence) && signed && located,
    start: started,
    end: true,
  };
  return Object.entries(facts).map(([name, there]) => ({ name, there }));
}

/** The people to call, in the order of the task: [{name, phone}]. */
export function contactsOf(task) {
  const all = task?.details?.contacts ?? [];
  const found = all.map((each) => (typeof each === "string" ? { name: each } : { name: each.name ?? "", phone: each.phone ?? each.mobile }));
  return found.filter((each) => each.phone);
}

/** A number as a phone dials it. */
export function dialled(phone) {
  return `tel:${String(phone).replaceAll(/[^+\d]/g, "")}`;
}

/** Whether a scanned code is the tag of this visit: the one that the order names, else any that somebody wore or hung there. */
export function isTag(code, task) {
  const named = task?.details?.tag;
  return named ? code.trim() === String(named) : code.trim().length >= 4;
}
