// The proof: one or several things to one person. Who, what was shown, a signature, save.
import { say } from "../../base.js";
import { placeOf } from "../acts.js";
import { DOCUMENTS, acceptors, dayOf, fullName, nameOf, proofOf } from "../cases.js";
import { button, el } from "../dom.js";
import { keepDraft } from "../drafts.js";
import { announce, go, toast } from "../frame.js";
import { lost } from "../lost.js";
import { photoField } from "../photo.js";
import { codeField } from "../postal.js";
import { isId } from "../route.js";
import { decide, isForOwnHands, isSigned } from "../scan.js";
import { openScanner } from "../scanner.js";
import { signaturePad } from "../signature.js";
import { onScan } from "../wedge.js";

export const name = "proof";
export const title = "proof_title";
export const tab = "scan";

export function render(root, params, ctx) {
  const scanner = openScanner(ctx);
  const subjects = params.subject.split("+").filter(Boolean);
  if (!subjects.length || !subjects.every((each) => each.startsWith("item/") && isId(idOf(each)))) return lost(root);
  const form = new ProofForm(root, ctx, { scanner, subjects, stop: params.stop });
  return onScan((code) => form.add(code));
}

class ProofForm {
  constructor(root, ctx, { scanner, subjects, stop }) {
    const task = ctx.day.taskOf(subjects[0]);
    Object.assign(this, { root, ctx, scanner, subjects, task });
    this.stop = ctx.day.stop(stop ?? task?.stop_id);
    this.who = null;
    this.document = null;
    this.known = false;
    this.draw();
  }

  get own() {
    return this.subjects.some((subject) => isForOwnHands(this.ctx.day.taskOf(subject), idOf(subject)));
  }

  draw() {
    this.items = el("div", { class: "proof__items" });
    this.fault = el("p", { class: "fault", role: "alert", id: "proof-fault" });
    this.people = el("div", { class: "choices", role: "group", "aria-label": say("proof_who") });
    this.names = this.nameFields();
    this.shown = el("div", { class: "choices choices--two", role: "group", "aria-label": say("proof_document") });
    this.pad = signaturePad({ label: say("sign_label"), onchange: () => this.fault.replaceChildren() });
    this.own_pad = signaturePad({ label: say("sign_carrier") });
    this.code = codeField({ task: this.task, kept: this.ctx.kept });
    this.photo = photoField({ most: 1 });
    this.root.append(
      this.items,
      section("proof_who", this.people, this.names),
      section("proof_document", this.shown),
      section("proof_sign", this.pad.node, this.own_pad.node),
      el("details", { class: "otherwise" }, el("summary", {}, say("no_drawing")), el("div", { class: "stack" }, el("p", { class: "hint" }, say("no_drawing_what")), this.code?.node, this.photo.node)),
      this.fault,
      button({ text: say("proof_save"), big: true, class: "press--tall", onclick: () => this.save(), dataset: { act: "save" } }),
    );
    this.drawItems();
    this.drawPeople();
    this.forget = keepDraft(this.root, this.ctx);
  }

  drawItems() {
    const { day } = this.ctx;
    const others = (this.stop?.tasks ?? []).filter((task) => task.subject.startsWith("item/") && !this.subjects.includes(task.subject) && day.isOpen(task) && isSigned(task, idOf(task.subject)));
    const list = this.subjects.map((subject) => el("li", { class: "mono" }, idOf(subject)));
    const more = others.map((task) => button({ text: say("proof_add", { id: idOf(task.subject) }), kind: "quiet", icon: "plus", onclick: () => this.join(task.subject) }));
    const place = placeOf(this.stop);
    this.items.replaceChildren(
      el("p", { class: "place" }, el("strong", {}, place.street), place.town && el("span", { class: "muted" }, place.town)),
      el("ul", { class: "plain item-ids" }, list),
      ...(others.length ? [el("p", { class: "hint" }, say("proof_more")), el("div", { class: "presses" }, more)] : []),
    );
  }

  join(subject) {
    if (!this.subjects.includes(subject)) this.subjects = [...this.subjects, subject];
    this.drawItems();
    this.drawPeople();
    announce(say("proof_joined", { n: this.subjects.length }));
  }

  /** A scan on this form is one more thing for the same person. */
  add(code) {
    const found = decide(code, { day: this.ctx.day, mode: "deliver", here: this.stop && { stop_id: this.stop.stop_id, at: Date.now() }, now: Date.now() });
    const here = found.stop?.stop_id === this.stop?.stop_id;
    if (found.subject?.startsWith("item/") && here && found.kind !== "done") return this.join(found.subject);
    toast(say(found.kind === "misread" ? "misread_title" : "proof_other_door"));
  }

  drawPeople() {
    const found = acceptors(this.ctx.day.sheet, { subjects: this.subjects, task: this.task, stop: this.stop });
    const offered = JSON.stringify(found);
    if (offered === this.offered) return; // one more thing for the same people: who was chosen and what was typed stays
    this.offered = offered;
    const buttons = found.map((each) => choice(each.name ? fullName(each.name) : say(`who_other_${each.to}`), each.name ? say(`who_${each.to}`) : "", () => this.choose(each, buttons, found)));
    this.people.replaceChildren(...buttons);
    this.choose(found[0], buttons, found);
  }

  choose(who, buttons, found) {
    this.who = who;
    press(buttons, found.indexOf(who));
    this.names.hidden = who.name !== null;
    const prefilled = who.name ?? nameOf("");
    this.inputs.surname.value = prefilled.surname;
    this.inputs.first_name.value = prefilled.first_name;
    this.drawDocuments();
  }

  /** One touch says what was shown; "known to me" only where the sheet says that this carrier checked before. */
  drawDocuments() {
    const kinds = [...(this.who.known ? ["known"] : []), ...DOCUMENTS];
    const buttons = kinds.map((kind) =>
      choice(say(kind === "known" ? "document_known" : `document_${kind}`), "", () => {
        this.known = kind === "known";
        this.document = this.known ? null : kind;
        press(buttons, kinds.indexOf(kind));
        this.own_pad.node.hidden = !this.known;
        this.fault.replaceChildren();
      }),
    );
    this.known = false;
    this.document = null;
    this.own_pad.node.hidden = true;
    this.shown.replaceChildren(...buttons);
  }

  nameFields() {
    const field = (key, autocomplete) => {
      const input = el("input", { id: `proof-${key}`, autocomplete, maxlength: "200" });
      return [key, input, el("div", { class: "field" }, el("label", { for: `proof-${key}` }, say(`proof_${key}`)), input)];
    };
    const fields = [field("first_name", "off"), field("surname", "off")];
    this.inputs = Object.fromEntries(fields.map(([key, input]) => [key, input]));
    return el("div", { class: "stack", hidden: true }, fields.map(([, , node]) => node));
  }

  get name() {
    return { surname: this.inputs.surname.value.trim(), first_name: this.inputs.first_name.value.trim() };
  }

  /** What is not there yet, in words; the first of it is where the carrier is led. */
  lacking() {
    const signed = !this.pad.empty() || this.code?.ok() || this.photo.blobs().length > 0;
    const faults = [
      [!this.name.surname && this.who.to !== "household", "lack_name", this.inputs.surname],
      [this.own && !this.document && !this.known, "lack_document", this.shown.querySelector("button")],
      [!signed, "lack_signature", this.pad.node],
      [this.known && this.own_pad.empty(), "lack_carrier", this.own_pad.node],
    ];
    return faults.find(([is]) => is);
  }

  async save() {
    const fault = this.lacking();
    if (fault) return this.say(fault);
    if (this.saving) return;
    this.saving = true;
    const keep = async (blob) => (blob ? this.ctx.outbox.picture(blob) : null);
    try {
      const [signature, carrierSignature, photo] = await Promise.all([keep(await this.pad.blob()), keep(this.known ? await this.own_pad.blob() : null), keep(this.photo.blobs()[0])]);
      const day = dayOf(new Date());
      const proof = proofOf({ to: this.who.to, name: this.name, document: this.document, known: this.known, signature, carrierSignature, codeOk: this.code?.ok(), photo, day });
      const who = fullName(this.name) || say(`who_${this.who.to}`);
      await this.scanner.handOver({ ids: this.subjects.map(idOf), stop: this.stop, task: this.task, to: this.who.to, proof, who });
      await this.forget();
      go("#/scan");
    } catch (fault) {
      this.saving = false;
      this.scanner.failed(fault);
    }
  }

  say([, words, where]) {
    this.fault.replaceChildren(say(words));
    where.scrollIntoView({ block: "center" });
    (where.matches("button, input") ? where : where.querySelector("button, input, canvas"))?.focus({ preventScroll: true });
  }
}

const idOf = (subject) => subject.slice(subject.indexOf("/") + 1);

function section(heading, ...children) {
  return el("section", { class: "proof__part" }, el("h2", {}, say(heading)), children);
}

function choice(text, detail, onclick) {
  const made = el("button", { type: "button", "aria-pressed": "false", class: "press press--quiet choice", onclick }, el("span", {}, text), detail && el("span", { class: "choice__detail" }, detail));
  return made;
}

function press(buttons, chosen) {
  buttons.forEach((each, n) => each.setAttribute("aria-pressed", String(n === chosen)));
}

