// The day's work as this phone knows it: the run, its sheet, whether its carrier is on duty, and what was done already.
import { dayOf } from "./cases.js";
import { dateIn, isOver } from "./dates.js";
import { newer } from "./delta.js";
import { dutyEvent, dutyOf, sameDuty } from "./duty.js";
import { isClosed, newest, noted, takenBack } from "./facts.js";
import { done } from "./kept.js";
import { nextStop, placed } from "./places.js";

const NOTHING = { facts: {}, duty: null, seen: 0, read: 0 };

/** Open the day with what is kept of it; `day.load()` asks the service. `parts` are {kept, api, outbox}. */
export async function openDay(parts) {
  const day = new Day(parts);
  await day.recall();
  parts.kept.listen((message) => day.hear(message));
  return day;
}

export class Day {
  constructor({ kept, api, outbox }) {
    Object.assign(this, { kept, api, outbox });
    this.listeners = new Set();
    this.run = null;
    this.past = null; // the day of the sheet that is shown, where that day is over and today's run is not known yet
    this.confirmed = null; // the run that the service itself named as today's
    this.sheet = null;
    this.services = null;
    this.own = NOTHING;
    this.answered = null; // what the last load came to: {at, status}
    this.index();
  }

  get stops() {
    return this.sheet?.stops ?? [];
  }

  /** off, on, paused, mandate or ended: as this phone said last, else as the service knows the run. */
  get duty() {
    return this.own.duty ?? dutyOf(this.run);
  }

  get isOn() {
    return ["on", "paused", "mandate"].includes(this.duty);
  }

  /** Bring back what was kept of the newest run. Of a day that is over only the sheet is shown: no duty, no facts, no run. */
  async recall() {
    const run = (await this.kept.get("run")) ?? null;
    const isPast = run !== null && run.run_id !== this.confirmed && isOver(run.run_id);
    this.run = isPast ? null : run;
    this.past = isPast ? dateIn(run.run_id) : null;
    this.services = (await this.kept.get("services")) ?? null;
    this.sheet = (run && (await this.kept.get(`sheet:${run.run_id}`))) || null;
    await this.recallOwn();
    this.index();
  }

  /** Where this phone keeps what it did: by the run, or by the day while there is none. */
  get ownName() {
    return this.run ? `day:${this.run.run_id}` : `day:${dayOf(new Date())}`;
  }

  async recallOwn() {
    const name = this.ownName;
    const own = { ...NOTHING, ...(await this.kept.get(name)) };
    if (name === this.ownName) this.own = own;
  }

  /** Another tab kept something: show that here too. */
  async hear({ kind, name, here }) {
    if (kind !== "kept" || here || !["run", this.ownName, `sheet:${this.run?.run_id}`].includes(name)) return;
    if (name === this.ownName) await this.recallOwn();
    else await this.recall();
    this.told();
  }

  /** Ask the service for the run, what is new on its sheet, and the services. Returns what it came to: {status, at}. */
  async load() {
    if (this.run && this.run.run_id !== this.confirmed && isOver(this.run.run_id)) await this.recall(); // midnight went by
    const current = await this.api("/v1/runs/current");
    if (current.status === 200) await this.takeRun(current.json);
    else if (current.status === 404) await this.takeRun(null);
    const status = current.status === 200 ? await this.loadSheet() : current.status;
    if (current.status === 200) await this.loadServices();
    this.answered = { status, at: Date.now() };
    this.told();
    return this.answered;
  }

  async takeRun(run) {
    const isOther = run?.run_id !== this.run?.run_id || this.past !== null;
    this.confirmed = run?.run_id ?? null;
    if (run) await this.kept.set("run", run);
    else await this.kept.remove("run");
    if (isOther) await this.recall();
    this.run = run;
    if (isOther && run) await this.takeOver();
    if (run && this.own.duty && !(await this.dutyUnsent())) await this.change(({ duty }) => ({ duty: duty && sameDuty(duty, run.state) }));
  }

  /** What was done today before the run was known belongs to it; what is kept of days before is forgotten. */
  async takeOver() {
    const name = `day:${dayOf(new Date())}`;
    const early = await this.kept.get(name);
    if (early) await this.change(({ facts }) => ({ facts: { ...early.facts, ...facts } }));
    if (early) await this.kept.remove(name);
    await this.forget();
  }

  /** Forget what is kept of days before this one's run; `all` forgets every day, and who walks. */
  async forget({ all = false } = {}) {
    const names = await this.kept.read(["kept"], ({ kept }) => done(kept.getAllKeys()));
    const own = [`sheet:${this.run?.run_id}`, `day:${this.run?.run_id}`];
    const days = names.filter((name) => /^(sheet|day):/.test(name) && (all || (!own.includes(name) && dateIn(name) < dateIn(own[0]))));
    for (const name of [...days, ...(all ? ["device", "run", "services", "expired"] : [])]) await this.kept.remove(name);
  }

  /** Tell whether an event about duty has not reached the service: then this phone knows better. */
  async dutyUnsent() {
    const open = (await this.outbox.entries()).filter((each) => ["held", "waiting", "sending"].includes(each.state));
    return open.some((each) => each.event?.type?.includes(".run."));
  }

  async loadSheet() {
    const id = this.run.run_id;
    const since = this.sheet ? `?since=${this.sheet.version}` : "";
    let answer = await this.api(`/v1/runs/${encodeURIComponent(id)}/sheet${since}`);
    if (answer.status === 304) return this.seen().then(() => 200);
    let sheet = answer.status === 200 ? newer(this.sheet, answer.json) : null;
    if (answer.status === 200 && !sheet) {
      answer = await this.api(`/v1/runs/${encodeURIComponent(id)}/sheet`);
      sheet = answer.status === 200 ? answer.json : null;
    }
    if (!sheet) return answer.status;
    this.sheet = sheet;
    this.index();
    await this.kept.set(`sheet:${id}`, sheet);
    await this.seen();
    return 200;
  }

  async loadServices() {
    const answer = await this.api("/v1/services");
    if (answer.status !== 200) return;
    this.services = answer.json;
    await this.kept.set("services", answer.json);
  }

  /** Say which version of the sheet this phone shows, once for each; saved first, so what cannot be kept is said another time. */
  async seen() {
    const { version, run_id: run } = this.sheet ?? {};
    if (!version || this.own.seen >= version) return;
    try {
      await this.outbox.queue({ type: "sheet.seen", subject: `run/${run}`, data: { run_id: run, version } });
      await this.change({ seen: version });
    } catch (fault) {
      console.warn("sheet.seen", fault);
    }
  }

  /**
   * Begin, pause, take up or end: `on`, `mandate`, `paused`, `ended`. Saved, then shown, and sent when there is a network.
   * Rejects if this phone could not save it: then nothing has changed.
   */
  async goOnDuty(duty) {
    const said = dutyEvent(duty, { was: this.duty, run: this.run.run_id });
    const entry = await this.outbox.queue(said);
    await this.change(said.type === "run.started" ? { duty, begun: Date.now() } : { duty }, { unkept: (fault) => console.warn("duty", fault) });
    return entry;
  }

  /**
   * Note what was done with a thing: loaded, delivered, attempted, done, …; `alone` in place of all else. Gives its facts before.
   * With `unkept` what cannot be kept is still shown, for its event was saved; that function hears of it.
   */
  async note(subject, fact, { alone = false, unkept } = {}) {
    const before = this.factsOf(subject);
    await this.change(({ facts }) => ({ facts: noted(facts, subject, fact, { at: Date.now(), alone }) }), { unkept });
    return before;
  }

  /** Take a note back, as when its event was undone; with what was known `before` it. */
  async unnote(subject, fact, before) {
    await this.change(({ facts }) => ({ facts: takenBack(facts, subject, { fact, before }) }));
  }

  /** Return the newest fact of a subject, or null. */
  stateOf(subject) {
    return newest(this.own.facts, subject);
  }

  factsOf(subject) {
    return this.own.facts[subject] ?? {};
  }

  get tasks() {
    return this.all;
  }

  isOpen(task) {
    return !isClosed(this.own.facts, task.subject);
  }

  taskOf(subject) {
    return this.bySubject.get(subject) ?? null;
  }

  stop(stopId) {
    return this.byStop.get(stopId) ?? null;
  }

  next() {
    return nextStop(this);
  }

  /** Hear of every change; returns what ends that. */
  listen(fn) {
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }

  told() {
    for (const fn of this.listeners) fn(this);
  }

  // Read and written in one transaction: what another tab noted meanwhile stays.
  async change(changed, { unkept } = {}) {
    const name = this.ownName;
    const after = (own) => ({ ...own, ...(typeof changed === "function" ? changed(own) : changed) });
    try {
      const own = await this.kept.write(["kept"], async ({ kept }) => {
        const made = after({ ...NOTHING, ...(await done(kept.get(name))) });
        kept.put(made, name);
        return made;
      });
      if (name === this.ownName) this.own = own;
      this.kept.tell({ kind: "kept", name });
    } catch (fault) {
      if (!unkept) throw fault;
      unkept(fault);
      this.own = after(this.own);
    }
    this.told();
  }

  index() {
    Object.assign(this, placed(this.sheet));
  }
}
