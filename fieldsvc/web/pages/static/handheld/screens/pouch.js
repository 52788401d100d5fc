// A sealed pouch from the pharmacy's hands to those of somebody whom the order names. There is no other way to leave it.
import { clock, say } from "../../base.js";
import { eventOf } from "../catalogue.js";
import { el } from "../dom.js";
import { carried } from "../pouch_door.js";
import { lost } from "../lost.js";
import { atPharmacy, returning } from "../pouch_pharmacy.js";
import { namedFor, placeOf } from "../pouches.js";
import { isId } from "../route.js";
import { notice } from "../saying.js";
import { unknown } from "./form.js";

export const name = "pouch";
export const title = "pouch.title";
export const tab = "today";

const PARTS = { pharmacy: atPharmacy, carried, returning };

export function render(root, { pouch_id: id }, ctx) {
  root.classList.add("forms");
  if (!isId(id)) return lost(root);
  const event = (type) => eventOf(ctx.services, `medication.${type}`)?.event;
  if (!event("delivered")) return root.append(...unknown(ctx));
  const subject = `pouch/${id}`;
  const task = ctx.day.taskOf(subject);
  const stop = task?.stop_id ? ctx.day.stop(task.stop_id) : null;
  const pouch = { id, subject, task, stop, ctx, root, event, body: el("div", { class: "stack" }) };
  const about = el("div", {});
  root.append(about, pouch.body);
  let shown = null;
  let leave = null;
  const show = () => {
    const place = placeOf(ctx.day.factsOf(subject));
    if (place === shown) return;
    shown = place;
    leave?.();
    about.replaceChildren(aboutOf(pouch, place));
    pouch.body.replaceChildren();
    leave = place === "over" ? over(pouch) : (PARTS[place](pouch) ?? null);
  };
  show();
  const end = ctx.day.listen(show);
  return () => (end(), leave?.());
}

function aboutOf({ id, subject, task, stop, ctx }, place) {
  const { from, until } = task?.window ?? {};
  const when = from ? say("visit.window", { from: clock(new Date(from)), until: clock(new Date(until)) }) : null;
  const named = namedFor(subject, ctx.day.sheet);
  const lines = [stop?.address, when, named.length ? say("pouch.named", { names: named.join(", ") }) : null, say("pouch.number", { id })];
  const all = ["pharmacy", "carried", place === "returning" ? "returning" : "over"];
  const steps = all.map((each) => el("li", { "aria-current": each === place ? "step" : null }, el("span", {}, say(`pouch.at_${each}`))));
  const who = el("p", { class: "lead" }, el("strong", {}, task?.addressee ?? say("pouch.no_task")));
  const chain = el("ol", { class: "chain", "aria-label": say("pouch.chain") }, steps);
  return el("div", { class: "card about" }, who, lines.filter(Boolean).map((each) => el("p", {}, each)), chain);
}

function over({ body, subject, ctx }) {
  const facts = ctx.day.factsOf(subject);
  body.append(notice(say(facts.delivered ? "pouch.was_delivered" : facts.back ? "pouch.was_back" : "pouch.was_passed_on"), "ok"));
  return null;
}
