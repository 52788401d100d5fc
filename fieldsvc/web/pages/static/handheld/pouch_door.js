// The pouch at the door: the label read against the person, who takes it, how that is known; or why it goes back.
import { say } from "../base.js";
import { newId } from "./boxes.js";
import { button, el } from "./dom.js";
import { pressed } from "./fields_choice.js";
import { formOf } from "./forms.js";
import { toast } from "./frame.js";
import { codeField } from "./postal.js";
import { identities, NOT_HANDED, receivers } from "./pouches.js";
import { notice, onward, saySo } from "./saying.js";
import { signaturePad } from "./signature.js";
import { onScan } from "./wedge.js";

const BACK = { label: "label_mismatch", seal: "seal_broken" };

export function carried(pouch) {
  const { body } = pouch;
  const door = el("div", { class: "form" });
  const stays = el("div", { class: "form", hidden: true });
  const check = pressed(
    { name: "check", label: say("pouch.check"), required: true, about: { event: "", onchange: (value) => chosen(value) } },
    ["fine", "label", "seal"].map((value) => ({ value, text: say(`pouch.check_${value}`) })),
    "picks--one",
  );
  const chosen = (value) => {
    door.hidden = stays.hidden = true;
    if (value === "fine") door.hidden = false;
    else stays.hidden = false;
    if (value === "fine") return;
    const save = button({ text: say("pouch.save_returned"), big: true, onclick: () => returned(pouch, { pouch_id: pouch.id, reason: BACK[value] }) });
    stays.replaceChildren(notice(say(`pouch.stays_${value}`), "danger"), save);
  };
  const given = handing(pouch, door);
  door.hidden = true;
  body.append(check.node, door, stays, notHanded(pouch), passing(pouch));
  return given;
}

const HIDDEN = ["pouch_id", "seal_intact", "label_matched", "temperature", "signature", "code_ok", "code_attempts"];

/** Who takes it and how that is known; where the order leaves one answer only, it is given already. */
function handedForm({ id, task, stop, event }) {
  const offer = { handed_to: receivers(task), identity: identities(task) };
  const given = Object.entries(offer).filter(([, all]) => all.length === 1).map(([name, [only]]) => [name, only]);
  const known = { pouch_id: id, seal_intact: true, label_matched: true, ...(stop ? { stop_id: stop.stop_id } : {}) };
  return formOf(event("delivered"), { values: { ...known, ...Object.fromEntries(given) }, hidden: HIDDEN, offer });
}

/** The hand-over with its proof: the code, or a signature. Returns what ends the hearing of scans. */
function handing(pouch, door) {
  const { id, subject, task, stop, ctx, root } = pouch;
  const form = handedForm(pouch);
  const fault = el("p", { class: "fault", role: "alert" });
  const wrong = (words) => (fault.textContent = words);
  const code = codeField({ task, kept: ctx.kept, onok: () => wrong("") });
  const pad = signaturePad({ onchange: () => wrong("") });
  const save = button({ text: say("pouch.save"), big: true, onclick: () => send() });
  const send = async () => {
    const data = await form.read();
    const proven = code?.ok() || !pad.empty();
    if (data && !proven) (wrong(say(code ? "pouch.code_or_sign" : "pouch.sign")), fault.scrollIntoView({ block: "center" }));
    if (!data || !proven) return;
    const tried = code?.tries() ? { code_attempts: code.tries() } : {};
    const signed = pad.empty() ? {} : { signature: await ctx.outbox.picture(await pad.blob()) };
    const whole = { ...data, ...tried, ...(code?.ok() ? { code_ok: true } : {}), ...signed };
    await saySo(ctx, [{ type: "medication.delivered", subject, data: whole }], { words: say("pouch.delivered"), notes: [[subject, "delivered"]], then: onward(stop?.stop_id), root });
  };
  const signing = code ? el("details", { class: "more" }, el("summary", {}, say("pouch.or_sign")), pad.node) : pad.node;
  const more = form.node.querySelector("details.more");
  const proof = el("div", { class: "form" }, code?.node, signing, fault);
  if (more) more.before(proof);
  else form.node.append(proof);
  door.append(form.node, el("div", { class: "form__save" }, save));
  const envelope = form.fields.find((each) => each.name === "prescription_pouch_id");
  return onScan((text) => !door.hidden && text !== id && (envelope.target.value = text));
}

function notHanded(pouch) {
  const form = formOf(pouch.event("returned"), { values: { pouch_id: pouch.id }, hidden: ["pouch_id"], offer: { reason: NOT_HANDED } });
  const send = async () => {
    const data = await form.read();
    if (data) await returned(pouch, data);
  };
  return el("details", { class: "more" }, el("summary", {}, say("pouch.not_handed")), form.node, button({ text: say("pouch.save_returned"), big: true, onclick: send }));
}

async function returned({ subject, stop, ctx, root }, data) {
  const whole = { ...data, ...(stop ? { stop_id: stop.stop_id } : {}) };
  await saySo(ctx, [{ type: "medication.returned", subject, data: whole }], { words: say("pouch.returned"), notes: [[subject, "returned"]], root });
}

/** To a colleague: the colleague's scan says so; this one takes it off the carrier's list. */
function passing({ id, subject, ctx }) {
  const name = newId("pass");
  const said = el("p", { class: "fault", role: "alert", id: `${name}-fault` });
  const input = el("input", { id: name, type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": `${name}-fault` });
  const take = async () => {
    const isIt = [id, subject].includes(input.value.trim());
    said.textContent = isIt ? "" : say("pouch.other_pouch");
    if (!isIt) return input.focus();
    await ctx.day.note(subject, "passed_on");
    toast(say("pouch.passed_on"), { undo: () => ctx.day.unnote(subject, "passed_on") });
  };
  input.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), take()));
  const field = el("div", { class: "field" }, el("label", { for: name }, say("pouch.scan_to_pass")), input, said);
  return el("details", { class: "more" }, el("summary", {}, say("pouch.pass")), notice(say("pouch.pass_how")), field, button({ text: say("pouch.save_passed"), kind: "quiet", big: true, onclick: take }));
}
