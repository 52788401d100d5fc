// How the pages beside the live one say days, durations and places.

import { config, language, t } from "../words.js";

const numbers = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const short = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" });
const months = new Intl.DateTimeFormat(language, { month: "long", year: "numeric", timeZone: "UTC" });
const isoDay = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", timeZone: config.zone });

// 45 min, 1 h 05
export function duration(minutes) {
  const whole = Math.round(minutes);
  if (whole < 60) return t("for_minutes", { n: whole });
  return t("for_hours", { h: Math.floor(whole / 60), m: String(whole % 60).padStart(2, "0") });
}

export function number(value) {
  return numbers.format(value);
}

// One thing or several: `key_one` and `key` are the phrases.
export function count(key, n, more = {}) {
  return t(n === 1 ? `${key}_one` : key, { n: numbers.format(n), ...more });
}

export function shortDay(day) {
  return short.format(new Date(`${day}T00:00:00Z`));
}

export function monthWord(month) {
  return months.format(new Date(`${month}-01T00:00:00Z`));
}

export function shiftDay(day, by) {
  const moved = new Date(`${day}T12:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + by);
  return moved.toISOString().slice(0, 10);
}

// The local day of a moment, as 2026-11-21.
export function dayOf(at) {
  return isoDay.format(new Date(at));
}

// Leave out postcode and town: they are those of the round.
export function street(address) {
  return (address ?? "").replace(/[\s,]+\d{5}\s.*$/, "");
}

export function roundOf(runId) {
  return runId ? runId.slice("run-2026-11-21-".length) : "";
}

const lists = new Intl.ListFormat(language, { style: "long", type: "conjunction" });

export function listed(names) {
  return lists.format(names);
}
