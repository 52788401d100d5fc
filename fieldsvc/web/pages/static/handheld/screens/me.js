// What this phone and the service know of its carrier, how the page looks, and the way out.
import { clock, language, say } from "../../base.js";
import { forgetDevice } from "../../joining.js";
import { carried, standing } from "../carry.js";
import { button, el, linkButton } from "../dom.js";
import { wipeAll } from "../keeping.js";
import { LOOKS, chooseLook, chosenLook } from "../look.js";
import { chooseLanguage, version } from "../update.js";
import { letGo } from "../whose.js";

export const name = "me";
export const title = "me_title";

export function render(root, _params, ctx) {
  const [asked, forget] = [el("div", { class: "stack" }), el("div", { class: "presses" })];
  root.append(...(ctx.device ? [who(ctx)] : []), looks(), languages(), ...(ctx.device ? [asked, forget] : []), about());
  if (!ctx.device) return undefined;
  showAsked(asked, ctx);
  showForget(forget, ctx);
  const ends = [ctx.outbox.listen(() => showForget(forget, ctx)), ctx.kept.listen(({ kind, name: what }) => kind === "kept" && what === "carried" && showForget(forget, ctx))];
  return () => ends.forEach((end) => end());
}

function who({ device }) {
  return el("div", { class: "start__head" }, el("p", {}, device.carrier ?? ""), el("p", {}, device.site ?? ""));
}

function looks() {
  const chosen = chosenLook();
  const each = (look) => button({ text: say(`look_${look}`), kind: "quiet", "aria-pressed": String(look === chosen), dataset: { look }, onclick: choose });
  const all = LOOKS.map(each);
  function choose({ currentTarget }) {
    chooseLook(currentTarget.dataset.look);
    for (const other of all) other.setAttribute("aria-pressed", String(other === currentTarget));
  }
  return section("me_look", el("div", { class: "presses presses--two" }, ...all));
}

function languages() {
  const each = (code, word) =>
    button({ text: word, lang: code, kind: "quiet", "aria-pressed": String(code === language), onclick: () => chooseLanguage(code), dataset: { language: code } });
  return section("me_language", el("div", { class: "presses presses--two" }, each("fr", "Français"), each("en", "English")));
}

async function showAsked(root, { api }) {
  root.replaceChildren(...section("me_known", el("p", { class: "hint" }, say("me_asking"))).children);
  const [receipts, access] = [await api("/v1/me/receipts?limit=1000"), await api("/v1/me/access?limit=10")];
  if (receipts.status !== 200 || access.status !== 200) return root.lastChild.replaceWith(el("p", {}, say("me_not_reached")));
  const kept = receipts.json.receipts.length;
  const count = el("p", {}, say(receipts.json.cursor ? "me_receipts_many" : kept === 1 ? "me_receipts_one" : "me_receipts", { n: kept }));
  const looked = access.json.looks;
  const list = el("ul", { class: "looks" }, ...looked.map(look));
  root.lastChild.replaceWith(count, el("h3", {}, say("me_looks")), looked.length ? list : el("p", {}, say("me_no_looks")));
}

function look({ at, role, action, reason }) {
  const known = (key, other) => (say(key) === key ? say(other) : say(key));
  const what = known(`act_${action.replace(".", "_")}`, "act_other");
  const why = reason ? say("me_why", { reason: known(`reason_${reason}`, "reason_other") }) : "";
  return el("li", {}, el("p", {}, what), el("p", { class: "hint" }, [known(`role_${role}`, "role_other"), when(at), why].filter(Boolean).join(" · ")));
}

function when(at) {
  const date = new Date(at);
  return `${date.toLocaleDateString(language, { day: "numeric", month: "long" })} · ${clock(date)}`;
}

// What was not sent, or is carried for a colleague, would be gone with the phone's credentials: it must leave first.
async function showForget(root, ctx) {
  const [{ unsent, pictures, refused, former }, parcels] = await Promise.all([ctx.outbox.counts(), aboard(ctx)]);
  const own = unsent + pictures.waiting;
  const lines = [warned("me_unsent", own), warned("me_former", former.unsent), warned("me_parcels", parcels)].filter(Boolean);
  const carry = linkButton({ text: say(own ? "me_carry" : parcels ? "me_parcels_see" : "me_to_outbox"), kind: "quiet", href: own || parcels ? "#/carry" : "#/outbox", big: true });
  const press = button({ text: say("me_forget"), kind: "danger", big: true, onclick: () => forget(root, ctx), dataset: { act: "forget" } });
  const parts = lines.length ? [...lines, carry] : [el("p", {}, say("me_forget_what")), warned("me_refused", refused), press].filter(Boolean);
  root.replaceChildren(el("h2", {}, say("me_forget_title")), ...parts);
}

function warned(key, n) {
  return n ? el("p", { class: "notice notice--warning" }, say(n === 1 ? `${key}_one` : key, { n })) : null;
}

/** Count the colleagues' queues that this phone has not handed over yet. */
async function aboard({ kept }) {
  return (await carried(kept)).filter((parcel) => standing(parcel).state !== "brought").length;
}

async function forget(root, ctx) {
  if ((await aboard(ctx)) || !(await wipeAll(ctx.kept))) return showForget(root, ctx);
  forgetDevice();
  ctx.device = null;
  await ctx.day.forget({ all: true });
  await letGo(ctx.kept);
  location.hash = "#/join";
  return location.reload();
}

function about() {
  return section("me_version", el("p", { class: "mono" }, version() ?? say("me_no_version")));
}

function section(key, ...children) {
  return el("section", {}, el("h2", {}, say(key)), ...children);
}
