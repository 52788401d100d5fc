// Any service's own form, drawn from /v1/services, and the correction of what was said.
import { language, say } from "../../base.js";
import { eventOf, filledIn, subjectOf } from "../catalogue.js";
import { correction } from "../correcting.js";
import { button, el, linkButton } from "../dom.js";
import { keepDraft } from "../drafts.js";
import { formOf } from "../forms.js";
import { shortType } from "../labels.js";
import { notice, onward, saySo } from "../saying.js";

export const name = "form";
export const tab = "other";

export function title({ type }, { services }) {
  if (shortType(type) === "event.corrected") return say("correct.title");
  return eventOf(services, type)?.event.title[language] ?? say("form.unknown_title");
}

export function render(root, params, ctx) {
  root.classList.add("forms");
  if (shortType(params.type) === "event.corrected") return correction(root, params, ctx);
  const found = eventOf(ctx.services, params.type);
  return found ? draw(root, { found, params, ctx }) : root.append(...unknown(ctx));
}

/** What is said where a form cannot be shown. */
export function unknown({ services }) {
  return [notice(say(services ? "form.unknown" : "form.no_services"), "warning"), linkButton({ text: say("form.to_others"), href: "#/other", kind: "quiet", big: true })];
}

function draw(root, { found, params, ctx }) {
  const { day } = ctx;
  const stop = (params.stop && day.stop(params.stop)) || placeOf(day, params.subject);
  const values = filledIn(found, { stop, subject: params.subject, run: day.run });
  const form = formOf(found.event, { values, subject: found.service.subject, at: stop ?? day.next(), picture: ctx.outbox.picture });
  const save = button({ text: say("form.save"), big: true, onclick: () => send() });
  const send = () => saved({ form, found, stop, params, ctx, root, save, forget });
  root.append(...aboutOf(found, params, stop), form.node, el("div", { class: "form__save" }, save));
  const forget = keepDraft(form.node, ctx);
}

function placeOf(day, subject) {
  const task = subject && day.taskOf(subject);
  return task?.stop_id ? day.stop(task.stop_id) : null;
}

function aboutOf({ service }, { subject }, stop) {
  const words = [subject && say("form.about", { subject }), stop && say("form.at_stop", { address: stop.address ?? stop.stop_id })];
  return [el("p", { class: "hint" }, service.title[language], ...words.filter(Boolean).map((each) => [el("br"), each]))];
}

async function saved({ form, found, stop, params, ctx, root, save, forget }) {
  save.disabled = true;
  const data = await form.read();
  if (data) {
    const subject = subjectOf(found.service, data, params.subject);
    const notes = params.subject && found.event.closes_task ? [[params.subject, "done"]] : [];
    const entries = await saySo(ctx, [{ type: found.name, subject, data }], { words: say("form.saved", { title: found.event.title[language] }), notes, then: onward(stop?.stop_id), root });
    if (entries) await forget();
  }
  save.disabled = false;
}
