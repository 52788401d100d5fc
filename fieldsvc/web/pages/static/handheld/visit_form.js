// The report of a visit: who was met, what was answered, what shows that somebody was there, and what of it is still missing.
import { language, say, words } from "../base.js";
import { button, el } from "./dom.js";
import { keepDraft } from "./drafts.js";
import { formOf } from "./forms.js";
import { presenceBox } from "./presence.js";
import { onward, saySo } from "./saying.js";
import { formOfTask, questionsOf, sixFacts, visitorOf } from "./visits.js";
import { onScan } from "./wedge.js";

const HIDDEN = ["visit_id", "visitor", "urgent", "signature", "cannot_sign"];

/** Draw it: {node, end()}. `visit` is {subject, task, stop, about, event(type), ctx, root}. */
export function visitForm(visit) {
  const { ctx, task } = visit;
  const asked = formOfTask(task, ctx.day.sheet);
  const parts = { version: asked?.version };
  const check = () => parts.facts && checkFacts(visit, parts);
  parts.box = presenceBox({ task, ctx, onchange: check });
  parts.form = formOf(visit.event("completed"), {
    values: visit.about,
    hidden: HIDDEN,
    offer: { met: ["person", "relative"] },
    questions: questionsOf(asked, { language, words: (question) => words[`question_${question}`] }),
    picture: ctx.outbox.picture,
    onchange: check,
  });
  parts.field = (wanted) => parts.form.fields.find((each) => each.name === wanted);
  parts.field("presence").node.after(parts.box.node);
  parts.facts = el("ul", { class: "six" });
  parts.said = el("p", { class: "hint", role: "status" });
  const save = button({ text: say("visit.save"), big: true, onclick: () => completed(visit, parts, save) });
  const facts = el("section", { class: "card" }, el("h2", {}, say("visit.six")), parts.facts, parts.said);
  check();
  const scanned = (code) => parts.box.scanned(code) && (parts.field("presence").set("tag"), check());
  const node = el("div", { class: "stack" }, parts.form.node, facts, el("div", { class: "form__save" }, save));
  parts.forget = keepDraft(parts.form.node, ctx);
  return { node, end: onScan(scanned) };
}

/** Say which of the six facts are there, before anything is saved. */
function checkFacts(visit, { field, box, facts, said }) {
  const presence = field("presence").get();
  box.show(presence);
  const data = { ...visit.about, met: field("met").get(), answers: field("answers").get(), presence, ...box.hint() };
  const found = sixFacts(data, { started: Boolean(visit.ctx.day.factsOf(visit.subject).started) });
  facts.replaceChildren(...found.map(({ name, there }) => el("li", { class: there ? "state state--ok" : "state state--late" }, say(`visit.fact_${name}`))));
  const missing = found.filter((each) => !each.there).map((each) => say(`visit.fact_${each.name}`));
  said.textContent = missing.length ? say("visit.facts_missing", { facts: missing.join(", ") }) : say("visit.facts_all");
}

async function completed(visit, { form, box, version, field, forget }, save) {
  const { ctx, subject, stop, root } = visit;
  save.disabled = true;
  const data = await form.read();
  const wrong = data && box.fault(data.presence);
  if (wrong) {
    field("presence").fault(wrong);
    box.node.scrollIntoView({ block: "center" });
  } else if (data) {
    const taken = data.presence === "signature" ? await box.data(ctx.outbox.picture) : {};
    const whole = { ...data, visitor: visitorOf(visit.task), ...taken, ...(version === undefined ? {} : { form_version: version }) };
    const entries = await saySo(ctx, [{ type: "home_visit.completed", subject, data: whole }], { words: say("visit.done"), notes: [[subject, "done"]], then: onward(stop?.stop_id), root });
    if (entries) await forget();
  }
  save.disabled = false;
}
