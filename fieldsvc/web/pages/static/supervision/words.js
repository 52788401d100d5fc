// The page's words, and how times, ages and distances are said in its language.

const config = read("supervision-config") ?? {};
const words = read("words") ?? {};
export const language = document.documentElement.lang || "fr";
export { config };

export function t(key, values = {}) {
  const phrase = words[key];
  if (phrase === undefined) throw new Error(`no words for ${key}`);
  return phrase.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

export function has(key) {
  return words[key] !== undefined;
}

const parts = new Intl.DateTimeFormat("en-GB", { hour: "numeric", minute: "2-digit", hourCycle: "h23", timeZone: config.zone });
const whole = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "medium", timeZone: config.zone });
const numbers = new Intl.NumberFormat(language);
const kilometres = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

// 10 h 42 in French, 10:42 in English.
export function clock(at) {
  const found = Object.fromEntries(parts.formatToParts(new Date(at)).map(({ type, value }) => [type, value]));
  const hour = String(Number(found.hour));
  return language === "fr" ? `${hour}\u00a0h\u00a0${found.minute}` : `${hour}:${found.minute}`;
}

export function moment(at) {
  return whole.format(new Date(at));
}

// A local day, as 2026-11-21, in words.
export function dayWord(day) {
  return new Intl.DateTimeFormat(language, { dateStyle: "full", timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));
}

export function ago(seconds) {
  if (seconds === null) return t("ago_never");
  if (seconds < 60) return t("ago_now");
  if (seconds < 3600) return t("ago_minutes", { n: Math.floor(seconds / 60) });
  const minutes = String(Math.floor((seconds % 3600) / 60)).padStart(2, "0");
  return seconds < 86400 ? t("ago_hours", { h: Math.floor(seconds / 3600), m: minutes }) : t("ago_long");
}

export function lasted(seconds) {
  return seconds < 120 ? t("for_seconds", { n: Math.floor(seconds) }) : t("for_minutes", { n: Math.floor(seconds / 60) });
}

export function distance(metres) {
  return `${kilometres.format(metres / 1000)}\u00a0km`;
}

export function number(value) {
  return numbers.format(value);
}

// A share as 63 % in French, 63% in English.
export function percent(share) {
  return language === "fr" ? `${Math.round(100 * share)}\u202f%` : `${Math.round(100 * share)}%`;
}

export function stateWord(state) {
  return t(`state_${state}`);
}

function read(id) {
  const block = document.getElementById(id);
  return block ? JSON.parse(block.textContent) : null;
}
