// How it is shown that somebody was there: a tag that is scanned, a signature, a code, or the stop itself.
import { say } from "../base.js";
import { newId } from "./boxes.js";
import { el } from "./dom.js";
import { codeField } from "./postal.js";
import { signaturePad } from "./signature.js";
import { isTag } from "./visits.js";

/**
 * A box that shows what the chosen proof needs: {node, show(kind), scanned(code) → whether it was the tag, fault(kind) → words or
 * null, data(picture) → {signature?, cannot_sign?}}.
 */
export function presenceBox({ task, ctx, onchange }) {
  const pad = signaturePad({ onchange });
  const cannot = el("input", { type: "checkbox", onchange });
  const code = codeField({ task, kept: ctx.kept, onok: onchange });
  const tag = tagField(task, onchange);
  const parts = {
    tag: tag.node,
    signature: el("div", { class: "form" }, pad.node, el("label", { class: "pick" }, cannot, el("span", {}, say("field_cannot_sign")))),
    code: code?.node ?? el("p", { class: "hint" }, say("visit.no_code")),
    location: el("p", { class: "hint" }, say("visit.by_location")),
  };
  const node = el("div", { class: "presence", "aria-live": "polite" }, Object.values(parts));
  const show = (kind) => Object.entries(parts).forEach(([each, part]) => (part.hidden = each !== kind));
  show(null);
  const faults = { tag: () => !tag.ok() && say("visit.scan_tag_first"), code: () => !code?.ok() && say(code ? "visit.code_first" : "visit.no_code") };
  const data = async (picture) => ({ ...(pad.empty() ? {} : { signature: await picture(await pad.blob()) }), ...(cannot.checked ? { cannot_sign: true } : {}) });
  const hint = () => ({ ...(pad.empty() ? {} : { signature: "drawn" }), ...(cannot.checked ? { cannot_sign: true } : {}) });
  return { node, show, scanned: tag.take, fault: (kind) => faults[kind]?.() || null, data, hint };
}

function tagField(task, onchange) {
  const id = newId("tag");
  let done = false;
  const said = el("p", { class: "hint", id: `${id}-said`, role: "status" }, say("visit.tag_hint"));
  const input = el("input", { id, type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": `${id}-said` });
  const take = (code) => {
    done = isTag(code, task);
    said.textContent = say(done ? "visit.tag_read" : "visit.tag_other");
    said.className = done ? "good" : "fault";
    onchange();
    return done;
  };
  input.addEventListener("change", () => input.value.trim() && take(input.value));
  input.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), take(input.value)));
  return { node: el("div", { class: "field" }, el("label", { for: id }, say("visit.tag")), input, said), take, ok: () => done };
}
