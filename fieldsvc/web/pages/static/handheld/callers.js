// Numbers to call, and the address to say aloud: they work without a network, and stand first where it is urgent.
import { say } from "../base.js";
import { el, linkButton } from "./dom.js";
import { contactsOf, dialled, EMERGENCY } from "./visits.js";

/** The three numbers, then the address in large letters with how to get in. */
export function emergency(task, stop) {
  const links = EMERGENCY.map((number) => linkButton({ text: say(`visit.call_${number}`), href: `tel:${number}`, kind: "danger", big: true, icon: "call" }));
  const address = task?.address ?? stop?.address ?? "";
  const ways = (stop?.notebook ?? []).filter((each) => ["code", "hidden_box", "other"].includes(each.kind)).map((each) => each.text);
  return el(
    "section",
    { class: "emergency", "aria-labelledby": "emergency" },
    el("h2", { id: "emergency" }, say("visit.call_first")),
    el("div", { class: "presses" }, links),
    el("p", {}, say("visit.say_address")),
    el("p", { class: "aloud" }, address),
    ways.length ? el("p", {}, say("visit.say_ways", { ways: ways.join(" · ") })) : null,
  );
}

/** The task's contacts as links, in its order; nothing where it has none. */
export function contacts(task) {
  const found = contactsOf(task);
  if (!found.length) return null;
  const links = found.map(({ name, phone }) => linkButton({ text: say("visit.call_contact", { name }), href: dialled(phone), kind: "quiet", big: true, icon: "call" }));
  return el("section", {}, el("h2", {}, say("visit.contacts")), el("div", { class: "presses" }, links));
}
