// An address that is not as the sheet says: what has changed, the new one in parts, and what the service answers to it.
import { say } from "../../base.js";
import { reports } from "../answers.js";
import { newAddressOf } from "../addresses.js";
import { eventOf } from "../catalogue.js";
import { button, el } from "../dom.js";
import { keepDraft } from "../drafts.js";
import { formOf } from "../forms.js";
import { newAddress } from "../new_address.js";
import { pin } from "../pin.js";
import { saySo } from "../saying.js";
import { stopChoice } from "../stop_choice.js";
import { unknown } from "./form.js";

export const name = "address";
export const title = "address.title";
export const tab = "other";

const TYPE = "address_change.reported";

export function render(root, { stop_id: id }, ctx) {
  root.classList.add("forms");
  const found = eventOf(ctx.services, TYPE);
  if (!found) return root.append(...unknown(ctx));
  const stop = ctx.day.stop(id);
  if (!stop) return root.append(stopChoice(ctx.day, (each) => `#/address/${encodeURIComponent(each.stop_id)}`));
  const answers = reports(ctx, (entry) => entry.event.type === found.event.type && entry.event.data.stop_id === stop.stop_id);
  const body = el("div", {});
  root.append(el("div", { class: "card about" }, el("p", { class: "hint" }, say("address.old")), el("p", { class: "lead" }, el("strong", {}, stop.address ?? stop.stop_id))), answers.node, body);
  draw(body, { found, stop, ctx });
  return answers.end;
}

function draw(body, { found, stop, ctx }) {
  const task = stop.tasks.find((each) => ["address_change", "check_address"].includes(each.service)) ?? stop.tasks[0];
  const values = { stop_id: stop.stop_id, delivery_point_id: stop.delivery_point_id ?? undefined, old_address: stop.address ?? stop.stop_id, addressee: task?.addressee ?? undefined };
  const known = Object.fromEntries(Object.entries(values).filter(([, value]) => typeof value === "string"));
  const form = formOf(found.event, { values: known, hidden: ["delivery_point_id", "old_address", "new_address"], big: ["change"], picture: ctx.outbox.picture });
  const field = (wanted) => form.fields.find((each) => each.name === wanted);
  const where = newAddress(stop.address ?? "");
  const [lon, lat] = stop.box_at ?? [stop.lon, stop.lat];
  const box = pin({ lat, lon });
  box.node.hidden = true;
  field("change").node.after(where.node, box.node);
  const consent = field("consent");
  const shown = () => {
    const change = field("change").get();
    where.show(change);
    box.node.hidden = change !== "mailbox_moved";
    if (consent) consent.node.hidden = newAddressOf(change) !== "maybe";
  };
  form.node.addEventListener("change", shown);
  shown();
  const save = button({ text: say("form.save"), big: true, onclick: () => send() });
  const send = async () => {
    save.disabled = true;
    const data = await form.read();
    const written = data ? where.get() : null;
    if (data && written !== null) await reported({ data, written, fix: box.node.hidden ? null : box.get() }, { body, stop, ctx, found, forget });
    save.disabled = false;
  };
  body.replaceChildren(form.node, el("div", { class: "form__save" }, save));
  const forget = keepDraft(form.node, ctx);
}

async function reported({ data, written, fix }, { body, stop, ctx, found, forget }) {
  const { consent, ...rest } = data;
  const agreed = consent && newAddressOf(data.change) === "maybe" ? { consent } : {};
  const whole = { ...rest, ...agreed, ...(written ? { new_address: written } : {}), ...(fix ? { fix } : {}) };
  const subject = `delivery_point/${stop.delivery_point_id ?? stop.stop_id}`;
  const checks = stop.tasks.filter((each) => each.service === "address_change").map((each) => [each.subject, "done"]);
  const said = await saySo(ctx, [{ type: TYPE, subject, data: whole }], { words: say("address.saved"), notes: checks, root: body });
  if (!said) return;
  await forget();
  const again = button({ text: say("address.another"), kind: "quiet", big: true, onclick: () => draw(body, { found, stop, ctx }) });
  body.replaceChildren(again);
  window.scrollTo(0, 0);
}
