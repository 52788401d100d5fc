// Joining this phone by its one-time code, the first time or anew. Whatever is kept here stays.
import { say } from "../../base.js";
import { keepDevice, redeem } from "../../joining.js";
import { isExpired } from "../api.js";
import { button, el, linkButton } from "../dom.js";
import { announce, go } from "../frame.js";
import { adopt, leftFor } from "../whose.js";

export const name = "join";
export const title = "join_title";

export function render(root, params, ctx) {
  const fault = el("span", { class: "fault", id: "code-fault", role: "alert" });
  const input = el("input", {
    class: "mono", id: "code", name: "code", maxlength: "40", autocomplete: "one-time-code", autocapitalize: "characters",
    spellcheck: "false", "aria-describedby": "code-hint code-fault", value: params.code ?? "", "data-nodraft": true,
  });
  const press = button({ text: say("join"), type: "submit", big: true });
  const form = el("form", { class: "stack", novalidate: true }, lead(ctx), field(input, fault), press, duty());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    join({ input, fault, press, ctx });
  });
  root.append(form, linkButton({ text: say("me_title"), kind: "quiet", href: "#/me", big: true }));
  if (!ctx.joining) return undefined;
  const end = asking(root, ctx.joining, ctx);
  return () => end();
}

function lead({ device }) {
  return el("p", {}, say(device ? "join_again" : "join_lead"));
}

function field(input, fault) {
  const label = el("label", { for: "code" }, say("join_code"));
  return el("div", { class: "field" }, label, el("span", { class: "hint", id: "code-hint" }, say("join_code_hint")), input, fault);
}

function duty() {
  return el("div", { class: "notice" }, el("p", {}, el("strong", {}, say("join_duty"))), el("p", {}, say("join_duty_what")));
}

async function join({ input, fault, press, ctx }) {
  const code = input.value.trim();
  complain(input, fault, code ? "" : say("code_needed"));
  if (!code || press.disabled) return;
  press.disabled = true;
  const found = await redeem(code);
  press.disabled = false;
  if (!found.device) return complain(input, fault, found.fault);
  if (!(await leftFor(ctx.kept, found.device)).n) return welcome(found.device, ctx);
  ctx.joining = found.device;
  await ctx.kept.set("joining", found.device); // the code is used up: what it gave outlives a reload
  go("#/join");
}

/** Ask what becomes of another carrier's unsent things before this one is joined. Gives what ends that. */
function asking(root, device, ctx) {
  const said = el("div", { class: "stack" });
  const presses = el("div", { class: "presses" });
  let over = false;
  const look = async () => {
    const [left, expired] = await Promise.all([leftFor(ctx.kept, device), isExpired(ctx.kept)]);
    if (over) return;
    if (!left.n) return (over = true), welcome(device, ctx);
    said.replaceChildren(el("p", { class: "notice notice--warning", role: "status" }, say(left.n === 1 ? "join_left_one" : "join_left", { n: left.n })), el("p", {}, say("join_left_what")));
    if (!presses.childElementCount) presses.append(...waysOn({ leaves: left.leaves, expired, device, ctx }));
  };
  root.replaceChildren(said, presses);
  look();
  const end = ctx.outbox.listen(look);
  return () => ((over = true), end());
}

function waysOn({ leaves, expired, device, ctx }) {
  const wait = button({ text: say("join_wait"), big: true, dataset: { act: "wait" }, onclick: () => (ctx.outbox.retry(null, { refused: false }), wait.replaceWith(el("p", { class: "notice" }, say("join_waiting")))) });
  const give = linkButton({ text: say("join_give"), kind: "quiet", href: "#/carry/give", big: true });
  const on = button({ text: say("join_go_on"), kind: "quiet", big: true, dataset: { act: "go-on" }, onclick: () => welcome(device, ctx) });
  return [leaves ? wait : null, ctx.device && !expired ? give : null, on, el("p", { class: "hint" }, say(leaves ? "join_go_on_what" : "join_go_on_stays"))].filter(Boolean);
}

// The queue is not touched: what waits leaves under the credentials of who did it.
async function welcome(device, ctx) {
  keepDevice(device);
  const isOther = await adopt(ctx.kept, device);
  ctx.device = device;
  ctx.joining = null;
  await ctx.outbox.retry(null, { refused: false }); // what a person has to look at stays so
  ctx.day.answered = null;
  if (isOther) await ctx.day.takeRun(null);
  ctx.day.load();
  announce(say("joined", { carrier: device.carrier ?? "" }));
  history.replaceState(null, "", location.pathname + location.search);
  go(ctx.day.isOn ? "#/scan" : "#/start");
}

function complain(input, fault, text) {
  fault.textContent = text;
  if (text) {
    input.setAttribute("aria-invalid", "true");
    input.focus();
  } else input.removeAttribute("aria-invalid");
}
