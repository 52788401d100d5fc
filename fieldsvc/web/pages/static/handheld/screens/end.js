// H8, end of service: what was taken and what became of it, what is unsent, and one tap to end. Possible offline.
import { clock, say } from "../../base.js";
import { button, el, linkButton } from "../dom.js";
import { sayDuty } from "../saying.js";
import { KINDS, sums, toTake } from "../taking.js";

export const name = "end";
export const title = "end_title";
const FATES = ["taken", "delivered", "held", "back", "missing"];

export function render(root, _params, ctx) {
  const draw = async () => {
    const [counts, parts] = [await ctx.outbox.counts(), [totals(ctx.day), left(ctx.day)]];
    root.replaceChildren(...[...parts, counted(ctx.day), unsent(counts), act(ctx)].filter(Boolean));
  };
  const ends = [ctx.day.listen(draw), ctx.outbox.listen(draw)];
  draw();
  return () => ends.forEach((end) => end());
}

function totals(day) {
  const subjects = new Set([...Object.keys(day.own.facts), ...toTake(day.tasks).map(({ subject }) => subject)]);
  const found = sums(subjects, (subject) => day.factsOf(subject));
  const kinds = KINDS.filter((kind) => found[kind]);
  if (!kinds.length) return el("p", { class: "notice" }, say("end_nothing_taken"));
  const head = el("tr", {}, el("td", {}), ...kinds.map((kind) => el("th", { scope: "col" }, say(`end_${kind}`))));
  const row = (fate) => el("tr", {}, el("th", { scope: "row" }, say(`end_${fate}`)), ...kinds.map((kind) => el("td", { class: "num" }, String(found[kind][fate]))));
  const caption = el("caption", { class: "visually-hidden" }, say("end_totals"));
  return el("table", { class: "table sums" }, caption, el("thead", {}, head), el("tbody", {}, ...FATES.map(row)));
}

/** What the service counted once the run was over, and everything of it had come. */
function counted({ run }) {
  if (!run?.reconciled) return null;
  const { at, ...numbers } = run.reconciled;
  const parts = { ...numbers, time: clock(new Date(at)) };
  return el("p", { class: `notice ${numbers.missing ? "notice--warning" : "notice--ok"}` }, say("end_counted", parts));
}

function left(day) {
  const open = day.tasks.filter((task) => day.isOpen(task));
  if (!open.length) return el("p", {}, say("end_all_done"));
  const link = linkButton({ text: say("end_see_tasks"), kind: "quiet", href: "#/today", big: true });
  return el("div", { class: "presses" }, el("p", {}, say(open.length === 1 ? "end_one_left" : "end_left", { n: open.length })), link);
}

function unsent({ unsent: n, refused, pictures }) {
  const waiting = n + pictures.waiting;
  if (!waiting && !refused) return el("p", { class: "notice notice--ok" }, say("end_all_sent"));
  const words = [waiting ? say(waiting === 1 ? "end_unsent_one" : "end_unsent", { n: waiting }) : "", refused ? say("end_refused", { n: refused }) : ""].filter(Boolean).join(" ");
  const link = linkButton({ text: say("end_see_outbox"), kind: "quiet", href: "#/outbox", big: true });
  return el("div", { class: "presses" }, el("p", { class: "notice notice--warning" }, words), link);
}

function act({ day }) {
  if (day.duty === "ended") return el("p", { class: "notice notice--ok", role: "status" }, say("ended"));
  if (!day.run || !day.isOn) return el("p", { class: "notice" }, say("end_not_begun"));
  const end = button({ text: say("end"), big: true, onclick: () => sayDuty(day, "ended"), dataset: { act: "end" } });
  return el("div", { class: "presses" }, end, el("p", { class: "hint" }, say("end_what")));
}
