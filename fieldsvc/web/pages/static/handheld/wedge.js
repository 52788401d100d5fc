// A scanner that types: what comes fast, outside of a field, is a code; Enter, Tab or a pause ends it. Within a field that is
// not for ids a burst of keys that ends in Enter and is a label is a code too, and is taken out of the field again.
import { SHORTEST } from "./scan.js";

const PAUSE_MS = 400;
const LONGEST = 64; // letters of a label, at most
const DROPPED_MS = 1_500;
const FAST_MS = 100; // a scanner's time for a key, on the average; no hand writes a label like this
const PLAIN = ":is(textarea, input:is(:not([type]), [type=text], [type=search])):not([spellcheck=false], [inputmode=numeric], [inputmode=decimal], [readonly])";
const FIELDS = "input, textarea, select, [contenteditable='true']";

const listeners = [];
let started = false;

/** Hear codes of a scanner; who listens last hears them alone. Returns what ends that. */
export function onScan(fn) {
  listeners.push(fn);
  return () => {
    const at = listeners.indexOf(fn);
    if (at >= 0) listeners.splice(at, 1);
  };
}

/**
 * Begin to hear the keyboard, once; `isWhole(text)` tells whether a pause may end a code here, `isLabel(text)` whether what was
 * typed into a field can only be a label.
 */
export function startWedge({ isWhole, isLabel }) {
  if (started) return;
  started = true;
  const onCode = (code) => listeners.at(-1)?.(code, "wedge");
  const wedge = new Wedge({ isWhole, onCode });
  const burst = new Burst({ isLabel, onCode });
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
      const isField = Boolean(event.target.closest?.(FIELDS));
      if (isField && !event.target.matches(PLAIN)) return;
      if (isField ? burst.take(event.key, event.timeStamp, event.target) : wedge.take(event.key, event.timeStamp)) {
        event.preventDefault();
        event.stopPropagation();
      }
    },
    true,
  );
}

/** What a scanner has typed so far. */
export class Wedge {
  constructor({ onCode, isWhole, later = setTimeout, cancel = clearTimeout }) {
    Object.assign(this, { onCode, isWhole, later: later.bind(globalThis), cancel: cancel.bind(globalThis) });
    this.clear();
  }

  clear() {
    this.text = "";
    this.last = 0;
    this.slowest = 0;
    this.cancel(this.waiting);
  }

  /** Take one key at a time in milliseconds; true if it is the scanner's and nobody else's. */
  take(key, at) {
    if (key === "Enter" || key === "Tab") return this.text.length >= SHORTEST ? this.end() : this.nothing();
    if (key.length !== 1 || (key === " " && !this.text)) return false;
    if (this.text) this.slowest = Math.max(this.slowest, at - this.last);
    this.text += key;
    this.last = at;
    this.wait();
    return key === " ";
  }

  // A scanner that is slow, or a phone that is busy, gets as much more time as it takes between two letters.
  wait() {
    this.cancel(this.waiting);
    const pause = Math.max(PAUSE_MS, 4 * this.slowest);
    this.waiting = this.later(() => {
      if (this.text.length >= SHORTEST && this.isWhole(this.text)) this.end();
      else this.waiting = this.later(() => this.clear(), DROPPED_MS);
    }, pause);
  }

  end() {
    const code = this.text;
    this.clear();
    this.onCode(code);
    return true;
  }

  nothing() {
    this.clear();
    return false;
  }
}

/** What was typed into a field of words, each key with the field as it was before it. */
export class Burst {
  constructor({ isLabel, onCode }) {
    Object.assign(this, { isLabel, onCode, keys: [] });
  }

  /** Take one key of a field at a time in milliseconds; true if it ended a label. */
  take(key, at, field) {
    if (key === "Enter" || key === "Tab") return this.end(at);
    if (key.length !== 1) return false;
    const last = this.keys.at(-1);
    if (last && (last.field !== field || at - last.at > PAUSE_MS)) this.keys = [];
    const { value, selectionStart: from, selectionEnd: to } = field;
    this.keys = [...this.keys.slice(-LONGEST), { key, at, field, value, from, to }];
    return false;
  }

  end(at) {
    const { keys } = this;
    this.keys = [];
    const isFast = (n) => at - keys[n].at <= FAST_MS * (keys.length - n);
    const text = (n) => keys.slice(n).map(({ key }) => key).join("");
    const first = keys.findIndex((_, n) => keys.length - n >= SHORTEST && isFast(n) && this.isLabel(text(n)));
    if (first < 0) return false;
    restore(keys[first]);
    this.onCode(text(first));
    return true;
  }
}

function restore({ field, value, from, to }) {
  field.value = value;
  field.setSelectionRange(from, to);
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
