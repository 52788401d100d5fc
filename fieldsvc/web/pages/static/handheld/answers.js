// What the service answered to what was said here: shown when it comes, be it hours later.
import { clock, say } from "../base.js";
import { el } from "./dom.js";
import { valueLabel } from "./labels.js";
import { answerInWords, reasonInWords, warningInWords } from "./outbox_words.js";

/** Tell whether an entry was said on the run of this day: stops of other runs may have the same numbers. */
export function isOfRun({ event, queued_at: at }, { run }) {
  if (event.runid) return event.runid === run?.run_id;
  return new Date(at).toDateString() === new Date().toDateString();
}

/** The entries of this run that `mine` tells apart, newest first below `heading`, each with its answer as it comes: {node, end()}. */
export function reports(ctx, mine, heading = null) {
  const node = el("div", { class: "stack", role: "status" });
  const draw = async () => {
    const found = (await ctx.outbox.entries()).filter((entry) => entry.state !== "undone" && isOfRun(entry, ctx.day) && mine(entry));
    const above = heading && found.length ? [el("h2", {}, heading)] : [];
    node.replaceChildren(...above, ...found.reverse().map((entry) => card(entry, ctx)));
  };
  draw();
  return { node, end: ctx.outbox.listen(draw) };
}

function card(entry, { day }) {
  const { change, kind, new_address: address } = entry.event.data;
  const what = change ? valueLabel(change, "change", entry.event.type) : valueLabel(kind, "kind", entry.event.type);
  const title = el("p", {}, el("strong", {}, what), ` · ${clock(new Date(entry.event.time))}`);
  const lines = { accepted, refused }[entry.state]?.(entry, day) ?? [say("address.waiting")];
  const isOpen = entry.result?.answer?.decision === "review";
  const kinds = { accepted: isOpen ? "notice--warning" : "notice--ok", refused: "notice--danger" };
  return el("div", { class: `notice ${kinds[entry.state] ?? ""}` }, title, typeof address === "string" && entry.state !== "accepted" ? el("p", {}, address) : null, lines.map((text) => el("p", {}, text)));
}

function accepted({ result }, day) {
  const said = answerInWords(result?.answer, day);
  const score = result?.answer?.score;
  const sure = typeof score === "number" && score > 0 ? [say("address.score", { n: Math.round(100 * score) })] : [];
  const noticed = (result?.warnings ?? []).map(warningInWords);
  return said.length ? [...said.slice(0, 1), ...sure, ...said.slice(1), ...noticed] : [say("address.taken"), ...noticed];
}

function refused({ reason }) {
  return [reasonInWords(reason)];
}
