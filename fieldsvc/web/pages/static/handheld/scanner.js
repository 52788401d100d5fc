// The scanner of the page: hears every code, lets scan.js decide, does what needs no touch, and keeps what the screen shows.
import { say } from "../base.js";
import { feel, placeOf, record, takeBack } from "./acts.js";
import { KEPT_DAYS, REASONS, attempted, broughtBack, dayOf, delivered, loaded, officeOf } from "./cases.js";
import { announce, go, toast } from "./frame.js";
import { newNoticeCode } from "./notice_code.js";
import { reading } from "./place.js";
import { decide, isEcho, isLabel, isWhole, loading, modeOf, plain } from "./scan.js";
import { dayIsThere } from "./waiting.js";
import { onScan, startWedge } from "./wedge.js";

const QUICK_MS = 250; // what a scan waits for a position, where nothing else says at which stop it is
const HEARS = new Set(["scan", "today", "stop", "other", "outbox", "carry", "me", "start", "end", "urgent"]);
const KEPT = "scanner";

/** The page's one scanner: made on the first screen that has to do with it. */
let scanner = null;

/** Begin to hear scans wherever the carrier is on the page; gives the scanner. */
export function openScanner(ctx) {
  if (scanner) return scanner;
  scanner = new Scanner(ctx);
  startWedge({ isWhole: (text) => isWhole(text, ctx.day.sheet), isLabel: (text) => isLabel(text, ctx.day.sheet) });
  onScan((code) => scanner.hear(code));
  return scanner;
}

class Scanner {
  constructor(ctx) {
    this.ctx = ctx;
    this.view = null;
    this.last = null;
    this.settings = { chosen: null, here: null, sound: false };
    this.show = () => {};
    this.queue = this.recall();
  }

  async recall() {
    this.settings = { ...this.settings, ...((await this.ctx.kept.get(KEPT)) ?? {}) };
    this.show();
  }

  async keep(changed) {
    this.settings = { ...this.settings, ...changed };
    await this.ctx.kept.set(KEPT, this.settings);
  }

  /** load, deliver or back, as the day has it or as the carrier switched it in this state of duty. */
  get mode() {
    const { day } = this.ctx;
    const { chosen } = this.settings;
    const holds = chosen && chosen.duty === this.phase && chosen.run === day.run?.run_id;
    return modeOf({ duty: day.duty, chosen: holds ? chosen.mode : null, facts: day.own.facts, left: loading(day).open.length, now: Date.now() });
  }

  get phase() {
    return this.ctx.day.isOn ? "on" : this.ctx.day.duty;
  }

  async choose(mode) {
    this.last = null; // the same label in another mode is another scan
    await this.keep({ chosen: { mode, duty: this.phase, run: this.ctx.day.run?.run_id } });
    this.show();
  }

  /** One scan after the other, in their order, however fast they come. */
  hear(code) {
    const screen = document.documentElement.dataset.screen;
    if (!this.ctx.device) return undefined;
    const isWriting = document.activeElement?.matches("textarea") && document.activeElement.value !== "";
    if ((screen && !HEARS.has(screen)) || isWriting) return toast(say("scan_busy"));
    if (screen !== "scan") go("#/scan");
    this.queue = this.queue.then(() => dayIsThere(this.ctx.day)).then(() => this.take(code)).catch((fault) => this.failed(fault));
    return this.queue;
  }

  failed(fault) {
    console.warn("scanner", fault);
    this.last = null; // scanned again, it is no echo
    feel(false, this.settings);
    toast(say("not_saved"), { ms: 20_000 });
  }

  async take(code) {
    const now = Date.now();
    if (isEcho(code, this.last, now)) return announce(say("scan_echo"));
    const { day } = this.ctx;
    const where = { day, mode: this.mode, here: this.settings.here, now };
    let result = decide(code, where);
    if (result.unexpected && this.ctx.day.duty === "on") result = decide(code, { ...where, fix: await nearby() });
    this.last = { id: result.id, at: now };
    this.settle?.();
    await this.follow(result);
  }

  /** Do what was decided: what needs no touch is done at once, the rest is shown. */
  async follow(result) {
    const joins = this.view?.kind === "registered" && result.kind === "registered" && sameDoor(this.view.result, result);
    if (result.go) return this.lead(result);
    const ids = joins ? [...new Set([...(this.view.ids ?? [this.view.result.id]), result.id])] : [result.id];
    if (result.kind === "deliver") return this.deliver(result);
    if (result.kind === "load") return this.load(result);
    if (result.kind === "back") return this.bringBack(result);
    if (result.kind === "keep" && result.before !== "kept") return this.leave(result);
    if (result.kind === "done") return this.put({ kind: "done", result, mode: this.mode, at: this.ctx.day.factsOf(result.subject)[result.before] }, { good: false });
    this.put({ kind: result.kind, result, ids }, { good: ["registered", "choose", "again"].includes(result.kind) });
  }

  lead(result) {
    feel(true, this.settings);
    this.view = null;
    go(result.go);
  }

  put(view, { good = true, aloud } = {}) {
    this.view = view;
    feel(good, this.settings);
    this.show();
    if (aloud) announce(aloud);
  }

  async deliver(result, { to = "mailbox", believed = result.unexpected } = {}) {
    const about = { to, stopId: result.stop?.stop_id };
    const said = say(`said_${to}`, { place: placeOf(result.stop).street });
    await this.did("deliver", result, { events: [delivered([result.id], about)], notes: [[result.subject, "delivered"]], said, more: { believed } });
  }

  async load(result) {
    const notes = [[result.subject, "loaded"]];
    await this.did("load", result, { events: [loaded([result.id])], notes, alone: true, said: say("said_loaded", { id: result.id }), more: { loading } });
  }

  async bringBack(result) {
    const events = [broughtBack([result.id], { office: officeOf(this.ctx.day.sheet) })];
    await this.did("back", result, { events, notes: [[result.subject, "returned"]], said: say("said_back", { id: result.id }) });
  }

  /** Not presented, as somebody asked: nothing is said to the service before it is back at the office. */
  async leave(result) {
    await this.did("keep", result, { notes: [[result.subject, "kept"]], said: say("said_kept", { id: result.id }), good: false });
  }

  /** Save, note, show: what every outcome has in common. */
  async did(kind, result, { events = [], notes, alone, said, more = {}, good = true, ids = [result.id] }) {
    const onundo = () => {
      this.last = null;
      this.put({ kind: "undone", result }, { good: false });
    };
    const { entries, settle, noted } = await record(this.ctx, { events, notes, alone, said, onundo });
    this.settle = settle;
    const here = result.stop && { stop_id: result.stop.stop_id, at: Date.now() };
    if (here) await this.keep({ here }).catch((fault) => console.warn("scanner", fault)); // the event is saved: this is only a help
    this.put({ kind, result, ids, entries, notes: noted, ...more }, { good });
  }

  /** What the buttons of the card that is shown now do; once another is shown they do nothing. */
  get act() {
    const { view } = this;
    const { result, entries = [], notes = [] } = view ?? {};
    const again = async (then) => {
      if (entries.length || notes.length) await takeBack(this.ctx, { entries, notes, correct: true, reason: "other" });
      return then();
    };
    const still = (work, args) => (this.view === view ? work(...args) : undefined);
    const safely = (work) => (...args) => (this.queue = this.queue.then(() => still(work, args)).catch((fault) => this.failed(fault)));
    return {
      moveTo: safely((stop) => again(() => this.deliver({ ...result, stop, by: "chosen" }))),
      otherwise: safely((reason) => again(() => this.otherwise(reason))),
      give: safely((ids, to) => this.deliver(result, { to, believed: false })),
      handOver: (ids) => go(`#/proof/${ids.map((id) => `item/${id}`).join("+")}${result.stop ? `?stop=${encodeURIComponent(result.stop.stop_id)}` : ""}`),
      attempt: safely((ids, reason, next) => this.attempt(ids, reason, next)),
      presentAnyway: safely(() => again(() => this.present(result))),
      take: safely((subject) => this.follow(decide(subject, { day: this.ctx.day, mode: this.mode }))),
      insist: safely((id) => this.follow(plain(id, { day: this.ctx.day, mode: this.mode, here: this.settings.here, now: Date.now() }))),
    };
  }

  async present(result) {
    if (this.mode === "back") return this.bringBack(result);
    if (result.signed) return this.put({ kind: "registered", result, ids: [result.id] });
    return this.deliver(result, { believed: false });
  }

  async otherwise(reason) {
    const { result, ids = [result.id] } = this.view;
    if (reason === "handed") return this.deliver(result, { to: "household", believed: false });
    if (reason === "no_box") return go(`#/form/access.refused?stop=${encodeURIComponent(result.stop?.stop_id ?? "")}`);
    return this.attempt(ids, reason, REASONS.find(([each]) => each === reason)[1]);
  }

  async attempt(ids, reason, next) {
    const { result } = this.view;
    const [office, until] = [officeOf(this.ctx.day.sheet), dayOf(new Date(), KEPT_DAYS)];
    const noticeCode = next === "office_hold" ? newNoticeCode() : undefined;
    const events = attempted(ids, { reason, next, stopId: result.stop?.stop_id, office, until, noticeCode });
    const kind = next === "office_hold" ? "notice" : "outcome";
    const notes = ids.map((id) => [`item/${id}`, "attempted"]);
    await this.did(kind, result, { ids, events, notes, said: `${say(`reason_${reason}`)} · ${placeOf(result.stop).street}`, more: { reason, next, office, until, noticeCode } });
  }

  /** Save a hand-over with its proof, from the form; the scanner shows it next. */
  async handOver({ ids, stop, task, to, proof, who }) {
    const result = { id: ids[0], subject: `item/${ids[0]}`, stop, task, requests: [] };
    const notes = ids.map((id) => [`item/${id}`, "delivered"]);
    const events = [delivered(ids, { to, stopId: stop?.stop_id, proof })];
    await this.did("handed", result, { ids, events, notes, said: say("handed_said", { who }), more: { who } });
  }
}

const sameDoor = (one, other) => Boolean(one.stop) && one.stop.stop_id === other.stop?.stop_id;

async function nearby() {
  const fix = await reading(QUICK_MS);
  return fix && { lat: fix.lat, lon: fix.lon, at: Date.parse(fix.fixed_at) };
}
