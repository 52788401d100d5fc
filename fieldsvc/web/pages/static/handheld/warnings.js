// What the service warned of: quiet cards in words, each with what to do, until the carrier has read them.
import { say } from "../base.js";
import { placeOf, takeBack } from "./acts.js";
import { warningsOf } from "./cases.js";
import { button, el } from "./dom.js";
import { toast } from "./frame.js";

const KNOWN = new Set(["wrong_door", "check_digit", "missing_proof", "unexpected_item", "already_delivered", "not_to_addressee", "custody_broken", "clock_suspect", "implausible_fix", "implausible_reading"]);
const ONCE = new Set(["clock_suspect", "implausible_fix"]); // the phone's fault: said once, not for every item
const SHOWN = 3;
const MOST_KEPT = 500;
const KEPT = "warnings_read";

/** Show what was warned of and not read, newest first; draws again after every answer. Returns what ends that. */
export function showWarnings(root, ctx) {
  const draw = async () => {
    const found = await unread(ctx);
    const read = (each) => markRead(ctx, [each]).then(draw);
    const cards = found.slice(0, SHOWN).map((each) => card(each, { ctx, read }));
    const more = found.length > SHOWN ? el("p", { class: "hint" }, say("warnings_more", { n: found.length - SHOWN })) : null;
    root.replaceChildren(...cards, ...(more ? [more] : []));
  };
  const end = ctx.outbox.listen(draw);
  draw();
  return end;
}

async function unread(ctx) {
  const read = new Set((await ctx.kept.get(KEPT)) ?? []);
  const accepted = (await ctx.outbox.entries("accepted")).filter((entry) => entry.result?.warnings?.length);
  const all = accepted.reverse().flatMap((entry) => warningsOf(entry, ctx.day)).filter((each) => !read.has(key(each)));
  const said = new Set();
  return all.filter(({ code }) => !ONCE.has(code) || (!said.has(code) && said.add(code)));
}

const key = ({ code, entry }) => (ONCE.has(code) ? `${code} ${entry.event.time.slice(0, 10)}` : `${code} ${entry.id}`);

async function markRead({ kept }, found) {
  const before = (await kept.get(KEPT)) ?? [];
  await kept.set(KEPT, [...before, ...found.map(key)].slice(-MOST_KEPT));
}

function card(each, { ctx, read }) {
  const { code, ids } = each;
  const words = KNOWN.has(code) ? code : "other";
  const parts = partsOf(each);
  return el(
    "section",
    { class: "warn-card", dataset: { code }, "aria-label": say("warning") },
    el("h3", {}, say(`warn_${words}`, parts)),
    ids[0] ? el("p", { class: "mono item-id" }, ids.join(" · ")) : null,
    el("p", {}, say(`warn_${words}_do`, parts)),
    el("div", { class: "presses" }, offers(each, { ctx, read }), button({ text: say("warn_read"), kind: "quiet", onclick: () => read(each) })),
  );
}

function partsOf({ code, stop, metres, nearest, missing }) {
  return {
    code,
    place: placeOf(stop).street,
    metres: metres === null ? "?" : Math.round(metres),
    nearest: nearest ? say("warn_nearest", { place: placeOf(nearest).street }) : "",
    missing: missing.map((name) => say(`missing_${name}`)).join(", "),
  };
}

function offers(each, { ctx, read }) {
  if (each.code === "wrong_door" && each.nearest) {
    const text = say("warn_was_at", { place: placeOf(each.nearest).street });
    return [button({ text, onclick: () => correct(each, { ctx, read, stop: each.nearest, ids: each.ids, reason: "wrong_place" }) })];
  }
  if (each.code === "unexpected_item" && each.ids.length === 1) {
    const found = each.candidates.map((id) => [id, say("warn_was", { id })]);
    return found.map(([id, text]) => button({ text, onclick: () => correct(each, { ctx, read, stop: each.stop, ids: [id], reason: "wrong_item" }) }));
  }
  return [];
}

/** Say what really happened: the event is taken back, and said again of the right place or thing. */
async function correct(warned, { ctx, read, stop, ids, reason }) {
  const { entry, ids: before } = warned;
  const { data, type } = entry.event;
  await takeBack(ctx, { entries: [entry], correct: true, reason });
  const { item_id: _one, item_ids: _all, fix: _fix, ...kept } = data;
  const named = ids.length === 1 ? { item_id: ids[0] } : { item_ids: ids };
  const again = { type, subject: `item/${ids[0]}`, data: { ...kept, ...named, stop_id: stop?.stop_id ?? kept.stop_id }, at: entry.event.time };
  await ctx.outbox.queue(again);
  const fact = factOf(type);
  for (const id of before.filter((id) => !ids.includes(id))) await ctx.day.unnote(`item/${id}`, fact);
  for (const id of ids) await ctx.day.note(`item/${id}`, fact);
  toast(say("corrected"));
  await read(warned);
}

const factOf = (type) => ({ "fieldsvc.item.loaded.v1": "loaded", "fieldsvc.item.delivery_attempted.v1": "attempted" })[type] ?? "delivered";
