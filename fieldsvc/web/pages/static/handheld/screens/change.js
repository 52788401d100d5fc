// A delivery change asked at the door, one question after the other; and what the sheet asks to be verified there.
import { language, say } from "../../base.js";
import { reports } from "../answers.js";
import { ANSWERS, askable, IN_DETAILS, KINDS, productOf } from "../asking.js";
import { eventOf } from "../catalogue.js";
import { button, el } from "../dom.js";
import { fieldOf } from "../fields.js";
import { checked } from "../forms.js";
import { valueLabel } from "../labels.js";
import { notice, onward, saySo } from "../saying.js";
import { fieldsOf } from "../schema.js";
import { stopChoice } from "../stop_choice.js";
import { unknown } from "./form.js";

export const name = "change";
export const title = "change.title";
export const tab = "other";

export function render(root, params, ctx) {
  root.classList.add("forms");
  const found = eventOf(ctx.services, "delivery_change.requested");
  if (!found) return root.append(...unknown(ctx));
  const stop = ctx.day.stop(params.stop_id);
  if (!stop) return root.append(stopChoice(ctx.day, (each) => `#/change/${encodeURIComponent(each.stop_id)}`));
  const answers = reports(ctx, (entry) => entry.event.type === found.event.type && entry.event.data.stop_id === stop.stop_id);
  const body = el("div", { class: "stack" });
  root.append(el("p", { class: "hint" }, stop.address ?? stop.stop_id), ...asked(stop, ctx, root), answers.node, body);
  whatFor({ stop, ctx, root, body, event: found.event });
  return answers.end;
}

/** The requests of this stop in words; one that is to be verified here has its four answers. */
function asked(stop, ctx, root) {
  const mine = (each) => each.stop_id === stop.stop_id || stop.tasks.some((task) => task.subject === each.subject);
  return (ctx.day.sheet?.requests ?? []).filter(mine).map((request) => el("section", { class: "card" }, el("p", {}, request.what[language]), request.ask ? doorCheck(request, stop, ctx, root) : null));
}

function doorCheck(request, stop, ctx, root) {
  const [kind, ...rest] = request.subject.split("/");
  const tell = async (answer) => {
    const data = { request_id: request.request_id, [`${kind}_id`]: rest.join("/"), stop_id: stop.stop_id, answer };
    await saySo(ctx, [{ type: "delivery_change.door_checked", subject: request.subject, data }], { words: say("change.heard"), then: onward(stop.stop_id), root });
  };
  const answers = (request.ask.answers ?? ANSWERS).map((answer) => button({ text: valueLabel(answer, "answer", "delivery_change.door_checked"), kind: "quiet", big: true, onclick: () => tell(answer) }));
  return el("div", { class: "stack" }, el("p", { class: "hint" }, say("change.door_how")), el("div", { class: "presses" }, answers));
}

/** First question: which item, or all the mail of this address. One step back is always there. */
function whatFor(asking) {
  const { stop, ctx, body } = asking;
  const items = stop.tasks.filter((task) => task.subject.startsWith("item/") && ctx.day.isOpen(task));
  const choose = (subject, product) => kinds({ ...asking, subject, product, isLoaded: Boolean(ctx.day.factsOf(subject).loaded) });
  const rows = items.map((task) => {
    const id = task.subject.slice("item/".length);
    return way(id, task.addressee, () => choose(task.subject, productOf(id, task.requirements)));
  });
  const point = stop.delivery_point_id;
  if (point) rows.push(way(say("change.all_mail"), stop.address, () => choose(`delivery_point/${point}`, "ordinary")));
  body.replaceChildren(el("h2", {}, say("change.for_what")), el("div", { class: "ways" }, rows));
}

function way(text, more, onclick) {
  return el("button", { type: "button", class: "way", onclick }, el("span", {}, text, more && el("small", {}, more)));
}

/** Second question: what is wanted; what cannot be says why. */
function kinds(asking) {
  const { body } = asking;
  const all = askable(asking);
  const can = all.filter((each) => !each.why).map((each) => way(valueLabel(each.kind, "kind", "delivery_change.requested"), each.confirm && say("change.confirm"), () => details({ ...asking, ...each })));
  const cannot = all.filter((each) => each.why).map((each) => el("li", {}, el("strong", {}, valueLabel(each.kind, "kind", "delivery_change.requested")), ` : ${say(`change.why_${each.why}`)}`));
  body.replaceChildren(
    ...heading(say("change.which"), () => whatFor(asking)),
    can.length ? el("div", { class: "ways" }, can) : notice(say("change.nothing"), "warning"),
    cannot.length ? el("details", { class: "more" }, el("summary", {}, say("change.cannot")), el("ul", { class: "steps" }, cannot)) : "",
  );
}

/** Third question: what this kind needs; then it is said. */
function details(asking) {
  const { body, event, kind, confirm } = asking;
  const spec = fieldsOf(event.schema);
  const inside = spec.find((each) => each.name === "details").spec.fields;
  const fields = KINDS[kind].fields.map((each) => fieldOf({ ...(IN_DETAILS.includes(each) ? inside : spec).find((one) => one.name === each), required: true }, aboutField(each, kind)));
  const save = button({ text: say("form.save"), big: true, onclick: () => send(asking, fields) });
  body.replaceChildren(
    ...heading(valueLabel(kind, "kind", "delivery_change.requested"), () => kinds(asking)),
    el("div", { class: "form" }, fields.map((each) => each.node)),
    confirm ? notice(say("change.confirm_then"), "warning") : notice(say("change.then")),
    save,
  );
  fields[0].target.focus({ preventScroll: true });
}

/** One day alone is asked for as such. */
function aboutField(field, kind) {
  const isAlone = field === "from" && !KINDS[kind].fields.includes("to");
  return { event: "delivery_change.requested", ...(isAlone ? { label: say("change.which_day") } : {}) };
}

function heading(text, back) {
  const title = el("h2", { tabindex: "-1" }, text);
  queueMicrotask(() => title.focus({ preventScroll: true }));
  return [button({ text: say("change.back"), kind: "quiet", icon: "back", onclick: back }), title];
}

async function send({ subject, kind, stop, ctx, root }, fields) {
  const [wrong] = checked(fields);
  if (wrong) return wrong.target.focus();
  const [about, ...rest] = subject.split("/");
  const values = Object.fromEntries(fields.map((each) => [each.name, each.get()]));
  const inside = Object.fromEntries(Object.entries(values).filter(([each]) => IN_DETAILS.includes(each)));
  const dates = Object.fromEntries(Object.entries(values).filter(([each]) => !IN_DETAILS.includes(each)));
  const data = { [`${about}_id`]: rest.join("/"), stop_id: stop.stop_id, kind, asked_by: "carrier", ...dates, ...(Object.keys(inside).length ? { details: inside } : {}) };
  return saySo(ctx, [{ type: "delivery_change.requested", subject, data }], { words: say("change.saved"), then: onward(stop.stop_id), root });
}
