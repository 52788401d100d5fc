// A colleague's phone takes the queue along: two ways from here, and what this phone brings for others.

import { clock, say } from "../../base.js";
import { bringAgain, carried, dropParcel, standing } from "../carry.js";
import { button, el, linkButton } from "../dom.js";
import { reasonInWords } from "../outbox_words.js";
import { renderGiving } from "./carry_give.js";
import { renderTaking } from "./carry_take.js";

export const name = "carry";
export const tab = "outbox";
const VIEWS = { give: renderGiving, take: renderTaking };

export function title({ parts: [view] }) {
  return say(VIEWS[view] ? `carry_${view}_title` : "carry_title");
}

export function render(root, params, ctx) {
  const view = VIEWS[params.parts[0]];
  return view ? view(root, ctx) : renderChoice(root, ctx);
}

function renderChoice(root, ctx) {
  const list = el("section", {});
  const draw = async () => list.replaceChildren(...parcels(await carried(ctx.kept), ctx));
  root.append(
    el("p", { class: "lead" }, say("carry_what")),
    el(
      "div",
      { class: "presses" },
      linkButton({ text: say("carry_give"), href: "#/carry/give", big: true, icon: "out" }),
      linkButton({ text: say("carry_take"), href: "#/carry/take", kind: "quiet", big: true, icon: "in" }),
    ),
    list,
  );
  draw();
  return ctx.kept.listen(({ kind, name: what }) => kind === "kept" && what === "carried" && draw());
}

function parcels(found, ctx) {
  const heading = el("h2", {}, say("carry_brought_title"));
  if (!found.length) return [heading, el("p", { class: "muted" }, say("carry_brought_none"))];
  return [heading, el("ul", { class: "plain rows" }, [...found].reverse().map((each) => parcelRow(each, ctx)))];
}

/** One parcel that this phone brings, with its state in words and what can be done. */
export function parcelRow(parcel, { kept }) {
  const { state, counts, reason } = standing(parcel);
  const glyph = { waiting: "silent", brought: "ok", refused: "alert" }[state];
  const buttons = [];
  if (state !== "brought") buttons.push(button({ text: say("outbox_retry"), kind: "quiet", onclick: () => bringAgain(kept, parcel.name) }));
  if (state === "refused") buttons.push(button({ text: say("carry_drop"), kind: "danger", onclick: () => dropParcel(kept, parcel.name) }));
  return el(
    "li",
    { class: "row", dataset: { parcel: parcel.name, state } },
    el("p", { class: "row__what" }, say("carry_parcel", { name: spaced(parcel.name), time: clock(new Date(parcel.taken_at)) })),
    el("p", { class: `state state--${glyph}` }, say(`carry_state_${state}`)),
    state === "brought" ? el("p", { class: "muted" }, countsInWords(counts)) : null,
    reason ? el("p", {}, reasonInWords(reason)) : null,
    buttons.length ? el("div", { class: "row__buttons" }, buttons) : null,
  );
}

/** Eight letters are compared in two groups of four. */
export function spaced(code) {
  return `${code.slice(0, 4)} ${code.slice(4)}`;
}

function countsInWords({ accepted = 0, duplicate = 0, conflict = 0, quarantined = 0 }) {
  const parts = [say("carry_count_accepted", { n: accepted })];
  if (duplicate) parts.push(say("carry_count_duplicate", { n: duplicate }));
  if (conflict + quarantined) parts.push(say("carry_count_refused", { n: conflict + quarantined }));
  return parts.join(" · ");
}
