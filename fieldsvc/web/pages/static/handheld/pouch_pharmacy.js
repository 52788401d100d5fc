// The pouch at the pharmacy: taken from there, or from a colleague; and brought back there.
import { say } from "../base.js";
import { button, el, linkButton } from "./dom.js";
import { fieldOf } from "./fields.js";
import { boxFault, needsBox, pharmacyOf } from "./pouches.js";
import { notice, saySo } from "./saying.js";
import { fieldsOf } from "./schema.js";
import { dialled } from "./visits.js";

/** One touch where the seal is intact; what must stay cold needs the temperature of its box first. */
export function atPharmacy(pouch) {
  const { task, body, event } = pouch;
  const box = needsBox(task) ? boxOf(event("picked_up")) : null;
  const refused = el("div", { role: "alert" });
  const take = (type) => async () => {
    const wrong = box && boxFault(box.get());
    refused.replaceChildren(wrong ? notice(say(`pouch.${wrong}`), "danger") : "");
    if (!wrong) await taken(pouch, type, box?.get());
  };
  const broken = () => refused.replaceChildren(notice(say("pouch.leave_broken"), "danger"));
  body.append(
    ...(box ? [notice(say("pouch.cold"), "warning"), box.node] : []),
    el("h2", {}, say("pouch.seal_question")),
    el(
      "div",
      { class: "presses" },
      button({ text: say("pouch.take"), big: true, onclick: take("picked_up") }),
      button({ text: say("pouch.take_colleague"), kind: "quiet", big: true, onclick: take("passed_on") }),
      button({ text: say("pouch.broken"), kind: "danger", big: true, onclick: broken }),
    ),
    refused,
  );
}

function boxOf(event) {
  const spec = fieldsOf(event.schema).find((each) => each.name === "temperature");
  return fieldOf({ ...spec, required: true }, { event: "medication.picked_up" });
}

async function taken({ id, subject, ctx, root }, type, temperature) {
  const data = { pouch_id: id, seal_intact: true, ...(temperature ? { temperature } : {}) };
  await saySo(ctx, [{ type: `medication.${type}`, subject, data }], { words: say("pouch.taken"), notes: [[subject, "loaded"]], root });
}

/** It goes back to its pharmacy, today; where that is closed, somebody is called. */
export function returning(pouch) {
  const { task, body, subject, ctx, id, root } = pouch;
  const { name, phone, closes } = pharmacyOf(task);
  const until = closes ?? say("pouch.its_closing");
  const stranded = () => saySo(ctx, [{ type: "medication.stranded", subject, data: { pouch_id: id, reason: "pharmacy_closed" }, urgent: true, holdMs: 10_000 }], { words: say("pouch.stranded"), root });
  const back = async () => {
    await ctx.day.note(subject, "back");
  };
  body.append(
    notice(say("pouch.bring_back", { name: name || say("pouch.the_pharmacy"), until }), "warning"),
    phone ? linkButton({ text: say("visit.call_contact", { name: name || say("pouch.the_pharmacy") }), href: dialled(phone), kind: "quiet", big: true, icon: "call" }) : "",
    el("div", { class: "presses" }, button({ text: say("pouch.given_back"), big: true, onclick: back }), button({ text: say("pouch.closed"), kind: "danger", big: true, onclick: stranded })),
    el("p", { class: "hint" }, say("pouch.closed_then")),
  );
}
