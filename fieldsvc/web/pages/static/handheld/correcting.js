// A correction: what was said did not happen, or happened otherwise; the same form again, filled with what was said.
import { clock, language, say } from "../base.js";
import { eventOf } from "./catalogue.js";
import { button, el, linkButton } from "./dom.js";
import { formOf } from "./forms.js";
import { notice, saySo } from "./saying.js";

const TYPE = "event.corrected";
const OWN_MS = 24 * 3_600_000; // for so long a carrier corrects; later a supervisor does

/** Draw the correction of one entry of the outbox: `corrects` is the id of its event. */
export async function correction(root, { corrects }, ctx) {
  const entry = (await ctx.outbox.entries()).find((each) => each.id === corrects);
  const kind = ctx.services?.corrections;
  const found = entry && eventOf(ctx.services, entry.event.type);
  if (!entry || !kind) return root.append(notice(say("correct.unknown"), "warning"), back());
  if (entry.state === "undone" || entry.state === "refused") return root.append(notice(say(`correct.${entry.state}`), "warning"), back());
  const at = new Date(entry.event.time);
  const about = el("div", { class: "card" }, el("h2", {}, found?.event.title[language] ?? entry.event.type), el("p", {}, say("correct.said_at", { time: clock(at), subject: entry.event.subject ?? "" })));
  if (Date.now() - at > OWN_MS) return root.append(about, notice(say("correct.too_old"), "warning"), back());
  return root.append(about, ...fields({ entry, kind, found, ctx, root }));
}

function back() {
  return linkButton({ text: say("correct.to_outbox"), href: "#/outbox", kind: "quiet", big: true });
}

function fields({ entry, kind, found, ctx, root }) {
  const values = { corrects: entry.id };
  const form = formOf(kind, { values, hidden: ["corrects", "replacement", "occurred_at"] });
  const replaced = found && formOf(found.event, { values: entry.event.data, subject: found.service.subject, picture: ctx.outbox.picture });
  const anew = el("section", { hidden: true }, el("h2", {}, say("correct.anew")), replaced?.node);
  const isWrong = () => form.fields.find((each) => each.name === "kind").get() === "incorrect_data";
  form.node.addEventListener("change", () => (anew.hidden = !replaced || !isWrong()));
  const save = button({ text: say("correct.save"), big: true, onclick: () => send() });
  const send = async () => {
    const data = await form.read();
    const replacement = data && isWrong() ? await replaced?.read() : undefined;
    if (!data || (isWrong() && !replacement)) return;
    const words = say("form.saved", { title: kind.title[language] });
    await saySo(ctx, [{ type: TYPE, subject: entry.event.subject, data: { ...data, ...(replacement ? { replacement } : {}) } }], { words, then: "#/outbox", root });
  };
  return [form.node, anew, notice(say("correct.kept")), el("div", { class: "form__save" }, save)];
}
