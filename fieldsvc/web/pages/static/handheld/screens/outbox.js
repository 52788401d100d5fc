// Everything of the day and everything unsent, with its state and what to do: nothing waits unseen, and nothing is lost unsaid.

import { clock, say } from "../../base.js";
import { carried, entrusted, standing } from "../carry.js";
import { button, el, linkButton } from "../dom.js";
import { toast } from "../frame.js";
import { agoInWords, reasonInWords } from "../outbox_words.js";
import { receiptsSince } from "../receipts.js";
import { Rows } from "./outbox_rows.js";
import { receiptsPart, storagePart } from "./outbox_parts.js";

export const name = "outbox";
export const title = "outbox_title";
const STALE_MS = 10 * 60_000;
const AT_FIRST = 50; // of what is sent; the rest on demand

export function render(root, _params, ctx) {
  const view = new View(root, ctx);
  view.draw();
  const ends = [ctx.outbox.listen(() => view.soon()), ctx.kept.listen(({ kind, name: what }) => kind === "kept" && ["entrusted", "carried"].includes(what) && view.soon())];
  const ticking = setInterval(() => view.tick(), 1_000);
  return () => {
    for (const end of ends) end();
    clearInterval(ticking);
    view.over = true;
  };
}

class View {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx, most: AT_FIRST, over: false, asked: null });
    this.lines = el("div", {}, el("p", { class: "skeleton" }), el("p", { class: "skeleton" }));
    this.retry = button({ text: say("outbox_retry_all"), big: true, class: "retry-all", hidden: true, onclick: () => this.tryAll() });
    this.carry = linkButton({ text: say("outbox_carry_take"), href: "#/carry", kind: "quiet", big: true });
    const presses = el("div", { class: "presses" }, this.retry, this.carry); // made once: what a thumb is on never goes away under it
    this.summary = el("section", { class: "card summary", "aria-label": say("outbox_summary") }, this.lines, presses);
    this.lists = el("div", { class: "lists" }, [1, 2, 3].map(() => el("p", { class: "skeleton skeleton--row", "aria-hidden": "true" })));
    this.rows = new Rows(ctx);
    root.append(this.summary, this.lists, receiptsPart(ctx), storagePart(ctx));
  }

  /** Draw once for many changes that come together. */
  soon() {
    this.asked ??= setTimeout(() => ((this.asked = null), this.draw()), 80);
  }

  async draw() {
    if (this.over) return;
    try {
      this.found = await this.read();
    } catch (fault) {
      console.warn("handheld.outbox", fault);
      return this.drawFault();
    }
    this.drawSummary();
    this.drawLists();
  }

  async read() {
    const { outbox, kept } = this.ctx;
    const since = new Date().setHours(0, 0, 0, 0);
    const [entries, counts, given, receipts, brought, media] = await Promise.all([
      outbox.entries(), outbox.counts(), entrusted(kept), receiptsSince(), carried(kept), kept.read(["media"], ({ media: store }) => all(store)),
    ]);
    const isShown = ({ state, queued_at: at }) => at >= since || !["accepted", "undone"].includes(state);
    return { entries: entries.filter(isShown), counts, given, receipts, brought, media, now: Date.now() };
  }

  drawFault() {
    const again = button({ text: say("outbox_again"), onclick: () => this.draw() });
    this.lines.replaceChildren(el("p", { class: "fault" }, say("outbox_fault")), el("p", {}, say("outbox_fault_what")), again);
    this.lists.replaceChildren();
  }

  drawSummary() {
    const { counts, now } = this.found;
    const { unsent, refused, stopped, last_sent_at: sentAt, pictures } = counts;
    const isStale = unsent > 0 && (!sentAt || now - sentAt > STALE_MS);
    const lines = [
      el("p", { class: "summary__count" }, countInWords(unsent, refused)),
      stopped ? el("p", { class: "summary__why" }, reasonInWords(stopped.reason), stopped.until > now ? ` ${say("outbox_next_try", { time: clock(new Date(stopped.until)) })}` : "") : null,
      pictures.waiting ? el("p", {}, say(pictures.waiting === 1 ? "outbox_picture_left" : "outbox_pictures_left", { n: pictures.waiting })) : null,
      sentAt ? el("p", { class: isStale ? "stale" : "muted" }, say("outbox_last_sent", { time: clock(new Date(sentAt)), ago: agoInWords(sentAt, now) })) : null,
      this.broughtLine(),
      counts.former.unsent ? el("p", { class: "summary__former" }, formerInWords(counts.former)) : null,
    ];
    this.lines.replaceChildren(...lines.filter(Boolean));
    this.retry.hidden = unsent + refused + pictures.refused + pictures.waiting === 0;
    this.carry.lastChild.textContent = say(unsent ? "outbox_carry" : "outbox_carry_take");
  }

  async tryAll() {
    await this.ctx.outbox.retry();
    toast(say("outbox_trying"));
  }

  broughtLine() {
    const waiting = this.found.brought.filter((each) => standing(each).state !== "brought").length;
    return waiting ? el("p", {}, say(waiting === 1 ? "outbox_brings_one" : "outbox_brings", { n: waiting })) : null;
  }

  drawLists() {
    const { entries } = this.found;
    const of = (...states) => entries.filter(({ state }) => states.includes(state));
    const sent = of("accepted", "undone").reverse();
    const left = sent.length - this.most;
    const more = left > 0 ? button({ text: say("outbox_more", { n: Math.min(left, AT_FIRST) }), kind: "quiet", big: true, onclick: () => ((this.most += AT_FIRST), this.drawLists()) }) : null;
    this.rows.keepFocus(() => { // making a list already moves the rows that stay as they are
      const parts = [
        this.section("refused", of("refused").reverse()),
        this.section("unsent", of("held", "waiting", "sending", "draft")),
        this.section("sent", sent.slice(0, this.most), more, sent.length),
      ].filter(Boolean);
      this.lists.replaceChildren(...(parts.length ? parts : [emptyBox()]));
    });
  }

  section(kind, entries, more = null, total = entries.length) {
    if (!total) return null;
    const id = `outbox-${kind}`;
    const list = el("ul", { class: "plain rows" }, entries.map((entry) => this.rows.row(entry, this.found)));
    return el("section", { "aria-labelledby": id }, el("h2", { id }, say(`outbox_${kind}`, { n: total })), list, more);
  }

  tick() {
    const held = this.found?.entries.some(({ state }) => state === "held");
    if (held) this.rows.tick(this.found.entries, Date.now());
  }
}

function countInWords(unsent, refused) {
  const left = unsent ? say(unsent === 1 ? "outbox_one_left" : "outbox_left", { n: unsent }) : say("outbox_none_left");
  return refused ? `${say(refused === 1 ? "outbox_one_refused" : "outbox_some_refused", { n: refused })} · ${left}` : left;
}

function formerInWords({ unsent, leaves }) {
  return `${say(unsent === 1 ? "outbox_former_one" : "outbox_former", { n: unsent })} ${say(leaves ? "outbox_former_leaves" : "outbox_former_stays")}`;
}

function emptyBox() {
  return el("div", { class: "empty" }, el("p", {}, say("outbox_empty")), linkButton({ text: say("outbox_empty_do"), href: "#/scan" }));
}

function all(store) {
  return new Promise((resolve, reject) => {
    const asked = store.getAll();
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
