// Giving the queue away: as a row of QR codes that a colleague's phone films, or as a file.

import { say } from "../../base.js";
import { entrust, sealedQueue } from "../carry.js";
import { button, el, linkButton } from "../dom.js";
import { go, toast } from "../frame.js";
import { FRAMES_A_SECOND, framesOf } from "../frames.js";
import { spaced } from "./carry.js";

const QUIET_ZONE = 4;
const LARGEST_PX = 560;
const FILE_TYPE = "application/octet-stream";

export async function renderGiving(root, ctx) {
  root.append(el("p", { class: "skeleton", "aria-hidden": "true" }), el("p", { class: "visually-hidden" }, say("carry_sealing")));
  const sealed = await sealedQueue(ctx);
  if (sealed.why) return void root.replaceChildren(...cannot(sealed.why));
  const codes = await codeRow(sealed);
  const pictures = sealed.pictures ? [el("p", { class: "muted" }, say("carry_pictures_stay", { n: sealed.pictures }))] : [];
  root.replaceChildren(
    el("p", { class: "lead" }, say(sealed.count === 1 ? "carry_one_left" : "carry_left", { n: sealed.count })),
    ...pictures,
    codes.node,
    el("p", { class: "check" }, say("carry_check"), " ", el("strong", { class: "mono" }, spaced(sealed.name))),
    el("h2", {}, say("carry_then")),
    givenForm(sealed, ctx),
    el("h2", {}, say("carry_file_title")),
    el("p", {}, say("carry_file_what")),
    ...fileButtons(sealed),
  );
  return codes.stop;
}

function cannot(why) {
  const isEmpty = why === "nothing";
  const box = el("div", { class: isEmpty ? "empty" : "notice notice--warning" }, el("p", {}, say(`carry_why_${why}`)));
  const way = why === "expired" ? { text: say("expired_join"), href: "#/join" } : { text: say("carry_back"), href: "#/outbox", kind: "quiet" };
  return [box, linkButton({ ...way, big: true })];
}

async function codeRow({ parcel, name }) {
  const library = await import("../../vendor/lean-qr.mjs").catch(() => null); // not there where the page was never opened online
  if (!library) return { node: el("p", { class: "notice notice--warning" }, say("carry_no_codes")), stop: () => {} };
  const { generate, correction } = library;
  const frames = framesOf(name, parcel);
  const wish = { minCorrectionLevel: correction.M, maxCorrectionLevel: correction.M };
  const version = (generate(frames[0], wish).size - 17) / 4;
  const colours = { on: [0, 0, 0], off: [255, 255, 255], pad: QUIET_ZONE };
  const draw = (n, canvas) => generate(frames[n], { ...wish, minVersion: version }).toCanvas(canvas, colours);
  return new Row(frames.length, draw);
}

class Row {
  constructor(total, draw) {
    Object.assign(this, { total, draw, at: 0, timer: null });
    this.canvas = el("canvas", { class: "codes__code", role: "img" });
    this.said = el("p", { class: "codes__said num" });
    this.play = button({ text: "", kind: "quiet", class: "codes__play", onclick: () => (this.timer ? this.pause() : this.go()) });
    this.next = button({ text: say("carry_next"), kind: "quiet", class: "codes__next", onclick: () => (this.pause(), this.step()) });
    const buttons = total > 1 ? el("div", { class: "presses presses--two" }, this.play, this.next) : null;
    this.node = el("div", { class: "codes" }, el("p", {}, say(total > 1 ? "carry_film" : "carry_film_one")), el("div", { class: "codes__ground" }, this.canvas), this.said, buttons);
    this.show();
    if (total > 1 && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.go();
    else this.pause();
    const sizes = new ResizeObserver(() => fit(this.canvas));
    sizes.observe(this.canvas.parentElement);
    this.stop = () => (sizes.disconnect(), clearInterval(this.timer));
  }

  go() {
    this.timer = setInterval(() => this.step(), 1000 / FRAMES_A_SECOND);
    this.play.lastChild.textContent = say("carry_pause");
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.lastChild.textContent = say("carry_play");
  }

  step() {
    this.at = (this.at + 1) % this.total;
    this.show();
  }

  show() {
    const place = { n: this.at + 1, total: this.total };
    this.draw(this.at, this.canvas);
    this.canvas.dataset.frame = this.at + 1;
    this.canvas.dataset.total = this.total;
    this.canvas.setAttribute("aria-label", say("carry_code", place));
    this.said.textContent = say("carry_code", place);
  }
}

// Whole pixels for each module, so that a camera finds straight edges; the whole code fits on the screen.
function fit(canvas) {
  const room = Math.min(canvas.parentElement.clientWidth, 0.8 * innerHeight, LARGEST_PX);
  const scale = Math.max(1, Math.floor((room * devicePixelRatio) / canvas.width));
  canvas.style.width = `${(scale * canvas.width) / devicePixelRatio}px`;
}

function givenForm(sealed, { kept }) {
  const to = el("input", { id: "carry-to", autocomplete: "off", maxlength: "60" });
  const give = async (event) => {
    event.preventDefault();
    await entrust(kept, { ids: sealed.ids, name: sealed.name, to: to.value.trim() || null });
    go("#/outbox");
    toast(say("carry_given"));
  };
  return el(
    "form",
    { class: "stack", onsubmit: give },
    el("p", {}, say("carry_then_what")),
    el("div", { class: "field" }, el("label", { for: "carry-to" }, say("carry_to")), to),
    button({ text: say("carry_done"), type: "submit", big: true }),
  );
}

function fileButtons({ parcel, name }) {
  const file = new File([parcel], `fieldsvc-${name}.fsp`, { type: FILE_TYPE });
  const share = navigator.canShare?.({ files: [file] })
    ? button({ text: say("carry_share"), kind: "quiet", big: true, onclick: () => navigator.share({ files: [file] }).catch(() => {}) })
    : null;
  const save = () => {
    const url = URL.createObjectURL(file);
    el("a", { href: url, download: file.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };
  return [share, button({ text: say("carry_save"), kind: "quiet", big: true, class: "carry__save", onclick: save })].filter(Boolean);
}
