// Taking a colleague's queue along: by the camera, by a scanner that types, or from a file. Nothing of it can be read here.

import { say } from "../../base.js";
import { hasCamera, openCamera } from "../camera.js";
import { bring, carried, takeIn } from "../carry.js";
import { button, el } from "../dom.js";
import { announce } from "../frame.js";
import { Collector } from "../frames.js";
import { openScanner } from "../scanner.js";
import { onScan } from "../wedge.js";
import { parcelRow, spaced } from "./carry.js";

const MOST_FILE_BYTES = 32 * 1024 * 1024;
const MOST_NAMED = 6; // further missing codes are only counted

export function renderTaking(root, ctx) {
  const taking = new Taking(ctx);
  root.append(
    el("p", { class: "lead" }, say("carry_take_what")),
    taking.node,
    taking.camera,
    el("h2", {}, say("carry_file_title")),
    fileField(taking),
  );
  openScanner(ctx); // it hears the keyboard for all of the page
  const ends = [onScan((text) => taking.read(text)), ctx.kept.listen(({ kind, name }) => kind === "kept" && name === "carried" && taking.drawResult())];
  return () => [...ends, () => taking.stop()].forEach((end) => end());
}

class Taking {
  constructor(ctx) {
    this.ctx = ctx;
    this.codes = new Collector();
    this.name = null;
    this.bar = el("progress", { class: "taking__bar", max: 1, value: 0, "aria-label": say("carry_progress") });
    this.said = el("p", { class: "taking__said num" }, say("carry_take_ready"));
    this.result = el("ul", { class: "plain rows" });
    this.node = el("div", { class: "taking card" }, this.bar, this.said, this.result);
    this.camera = cameraBox(this);
  }

  /** Take one code; whole as soon as none is missing. */
  async read(text) {
    const came = this.codes.add(text);
    if (came === "none") return this.say("carry_not_a_frame");
    if (came === "known") return;
    this.drawProgress();
    if (this.codes.whole) await this.takeParcel(this.codes.whole, this.codes.name);
  }

  async readFile(file) {
    if (file.size > MOST_FILE_BYTES) return this.say("carry_bad");
    await this.takeParcel(new Uint8Array(await file.arrayBuffer()), null);
  }

  async takeParcel(parcel, name) {
    const taken = await takeIn(this.ctx.kept, parcel, name);
    this.codes = new Collector();
    if (taken.status === "bad") return this.say("carry_bad");
    this.stop();
    this.name = taken.name;
    this.bar.value = 1;
    this.say(taken.status === "known" ? "carry_known" : "carry_taken", { name: spaced(taken.name) });
    await this.drawResult();
    await bring(this.ctx.kept);
  }

  drawProgress() {
    const { count, total, missing } = this.codes;
    this.bar.value = count / total;
    const named = missing.length <= MOST_NAMED && missing.length ? ` ${say("carry_missing", { list: missing.join(", ") })}` : "";
    this.said.textContent = `${say("carry_read", { n: count, total })}${named}`;
  }

  async drawResult() {
    const found = (await carried(this.ctx.kept)).find((each) => each.name === this.name);
    this.result.replaceChildren(...(found ? [parcelRow(found, this.ctx)] : []));
  }

  say(key, parts) {
    this.said.textContent = say(key, parts);
    announce(this.said.textContent);
  }

  stop() {
    this.opened?.stop();
    this.opened = null;
    this.video?.remove();
    this.video = null;
  }
}

function cameraBox(taking) {
  if (!hasCamera()) return el("p", { class: "muted" }, say("carry_no_camera"));
  const box = el("div", { class: "taking__camera" });
  const open = async () => {
    taking.stop();
    taking.video = el("video", { class: "taking__video", muted: true, playsinline: true, "aria-label": say("carry_camera") });
    box.prepend(taking.video);
    try {
      taking.opened = await openCamera({ video: taking.video, onCode: (code) => taking.read(code), atOnce: true });
    } catch {
      taking.stop();
      taking.say("carry_camera_refused");
    }
  };
  box.append(button({ text: say("carry_open_camera"), big: true, icon: "camera", onclick: open }));
  return box;
}

function fileField(taking) {
  const input = el("input", { type: "file", id: "carry-file", class: "visually-hidden", onchange: () => input.files[0] && taking.readFile(input.files[0]) });
  return el("label", { class: "press press--quiet press--big taking__file" }, say("carry_file_choose"), input);
}
