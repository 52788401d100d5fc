// The rows of the outbox. A row is made anew only when something of it changed: what is open stays open, and focus stays.

import { clock, say } from "../../base.js";
import { isOfRun } from "../answers.js";
import { button, el, linkButton } from "../dom.js";
import { toast } from "../frame.js";
import { shortType } from "../labels.js";
import { bodyOf, clockAhead } from "../letters.js";
import { answerInWords, bytesInWords, detailInWords, isCorrectable, reasonInWords, stateInWords, timesInWords, warningInWords, whatInWords } from "../outbox_words.js";

export class Rows {
  constructor(ctx) {
    this.ctx = ctx;
    this.made = new Map();
  }

  /** Give the row of an entry, with `found` = {given, receipts, media, now}. */
  row(entry, found) {
    const about = {
      given: found.given.get(entry.id) ?? null,
      receipt: found.receipts.find(({ ids }) => ids.includes(entry.id)) ?? null,
      pictures: found.media.filter(({ sha256 }) => entry.pictures.includes(sha256)),
      now: found.now,
    };
    const { state, status, reason, tries, answered_at: at, next_at: next } = entry;
    const pictures = about.pictures.map((each) => [each.state, each.reason, each.received]);
    const mark = JSON.stringify([state, status, reason, tries, at, next, about.given, pictures]);
    const before = this.made.get(entry.id);
    if (before?.mark === mark) return before.node;
    const node = this.#make(entry, about, before?.node.querySelector("details").open);
    this.made.set(entry.id, { mark, node });
    return node;
  }

  /** Change the page, and put the focus back to where it was in the row that had it. */
  keepFocus(change) {
    const id = document.activeElement?.closest?.("[data-entry]")?.dataset.entry;
    const before = document.activeElement;
    change();
    if (id && !before.isConnected) this.made.get(id)?.node.querySelector("summary").focus();
    else if (id) before.focus();
  }

  /** Count down what can still be undone. */
  tick(entries, now) {
    for (const entry of entries.filter(({ state }) => state === "held")) {
      const node = this.made.get(entry.id)?.node.querySelector(".state");
      if (node) node.textContent = stateInWords(entry, { now, given: null }).text;
    }
  }

  #make(entry, about, open = false) {
    const { text, glyph } = stateInWords(entry, about);
    const detail = detailInWords(entry, this.#dayOf(entry));
    const buttons = this.#buttons(entry);
    const isPressing = entry.state === "refused"; // what to do stands there without a touch
    return el(
      "li",
      { class: "row row--event", dataset: { entry: entry.id, state: entry.state } },
      el(
        "details",
        { open },
        el(
          "summary",
          {},
          el("span", { class: "row__what" }, whatInWords(entry, this.ctx.services)),
          el("time", { class: "row__time num", datetime: entry.event.time }, clock(new Date(entry.event.time))),
          detail ? el("span", { class: "row__detail" }, detail) : null,
          el("span", { class: `state state--${glyph}` }, text),
          entry.reason ? el("span", { class: "row__reason" }, reasonInWords(entry.reason)) : null,
        ),
        this.#more(entry, about),
        isPressing ? null : buttons,
      ),
      isPressing ? buttons : null,
    );
  }

  // The day whose stops an entry may name; none for another run's.
  #dayOf(entry) {
    return isOfRun(entry, this.ctx.day) ? this.ctx.day : null;
  }

  #more(entry, { given, receipt, pictures }) {
    const ahead = clockAhead(entry, receipt);
    const { result } = entry;
    return el(
      "div",
      { class: "row__more" },
      el("p", {}, timesInWords(entry, ahead)),
      given ? el("p", {}, say("outbox_given_what", { time: clock(new Date(given.at)) })) : null,
      (result?.warnings ?? []).map((code) => el("p", { class: "row__warning" }, warningInWords(code))),
      answerInWords(result?.answer, this.#dayOf(entry)).map((text) => el("p", {}, text)),
      pictures.map(pictureLine),
      entry.tries > 1 ? el("p", { class: "muted" }, say("outbox_tries", { n: entry.tries })) : null,
      receipt ? el("p", { class: "muted" }, say("outbox_receipt", { no: bodyOf(receipt.receipt)?.no ?? "–" })) : null,
      el("p", { class: "muted row__id" }, say("outbox_id"), " ", el("code", {}, entry.id)),
    );
  }

  #buttons(entry) {
    const { state } = entry;
    const retry = async () => {
      await this.ctx.outbox.retry(entry.id);
      toast(say("outbox_trying"));
    };
    const correct = `#/form/event.corrected?corrects=${entry.id}`;
    const made = [
      ["waiting", "refused"].includes(state) ? button({ text: say("outbox_retry"), kind: "quiet", onclick: retry }) : null,
      state === "refused" ? linkButton({ text: say("outbox_say_again"), href: anew(entry, this.#dayOf(entry)), kind: "quiet" }) : null,
      isCorrectable(entry) ? linkButton({ text: say("outbox_correct"), href: correct, kind: "quiet" }) : null,
    ].filter(Boolean);
    return made.length ? el("div", { class: "row__buttons" }, made) : null;
  }
}

function anew({ event }, day) {
  const about = new URLSearchParams({ ...(event.subject ? { subject: event.subject } : {}), ...(day && event.data?.stop_id ? { stop: event.data.stop_id } : {}) });
  return `#/form/${shortType(event.type)}?${about}`;
}

function pictureLine({ state, reason, received, size, sha256 }) {
  const part = state === "waiting" && received ? ` ${say("outbox_picture_part", { n: bytesInWords(received), total: bytesInWords(size) })}` : "";
  const why = reason && state !== "accepted" ? ` ${reasonInWords(reason)}` : "";
  return el("p", { class: "row__picture", dataset: { picture: sha256 } }, `${say(`outbox_picture_${state}`)}${part}${why}`);
}
