// Item ids as handlers/item_ids.py has them: their kind, their check digit, and which expected id a misread one may be.

const S10 = /^([A-Z]{2})(\d{8})(\d)[A-Z]{2}$/;
const SSCC = /^(?:00)?(\d{17})(\d)$/;
const DOMESTIC = /^[0-9A-Z]{11,15}$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
const WEIGHTS = [8, 6, 4, 2, 3, 5, 9, 7];
const REGISTERED = ["R", "V"]; // registered and insured letters
const DIGITS = "0123456789";
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const MOST_CANDIDATES = 5;
const KINDS = [
  { name: "s10", form: S10, holds: isS10 },
  { name: "sscc", form: SSCC, holds: isSscc },
  { name: "domestic", form: DOMESTIC, holds: null },
];

/** What a scanner or a thumb gave, as an id: no spaces nor control characters; item ids in capitals. */
export function clean(raw) {
  const text = String(raw).replace(/[\s\u0000-\u001f\u007f-\u009f\u00a0\u200b-\u200f]/g, "");
  return kindOf(text.toUpperCase()) ? text.toUpperCase() : text;
}

/** The check digit of eight digits (UPU S10: 11 less Σ mod 11; 10 → 0, 11 → 5). */
export function s10CheckDigit(serial) {
  const sum = WEIGHTS.reduce((total, weight, place) => total + weight * Number(serial[place]), 0);
  const rest = 11 - (sum % 11);
  return { 10: 0, 11: 5 }[rest] ?? rest;
}

/** The check digit of the digits before it (GS1: weights 3 and 1 from the right, to the next ten). */
export function gs1CheckDigit(digits) {
  const total = [...digits].reverse().reduce((sum, digit, place) => sum + Number(digit) * (place % 2 ? 1 : 3), 0);
  return (10 - (total % 10)) % 10;
}

export function looksLikeS10(id) {
  return S10.test(id);
}

export function isS10(id) {
  const match = S10.exec(id);
  return match !== null && s10CheckDigit(match[2]) === Number(match[3]);
}

export function isSscc(id) {
  const match = SSCC.exec(id);
  return match !== null && gs1CheckDigit(match[1]) === Number(match[2]);
}

/** The name of the id's kind by its form; null for one that no kind describes. */
export function kindOf(id) {
  return KINDS.find((kind) => kind.form.test(id))?.name ?? null;
}

/** Whether the id has the form of a kind with a check digit, and the digit is wrong. */
export function isMisread(id) {
  const kind = KINDS.find((each) => each.form.test(id));
  return Boolean(kind?.holds) && !kind.holds(id);
}

/** Whether the id says that the item is handed over against a signature. */
export function isRegistered(id) {
  return REGISTERED.includes(id[0]) && isS10(id);
}

/** Whether the service would take it as an id at all. */
export function isId(text) {
  return ID.test(text);
}

/** The expected ids one wrong character or one swap of neighbours away; none if the id itself is expected. At most five. */
export function candidates(id, expected, prefix = "") {
  if (expected.has(`${prefix}${id}`)) return [];
  const found = [...near(id)].filter((each) => expected.has(`${prefix}${each}`));
  return [...new Set(found)].sort().slice(0, MOST_CANDIDATES);
}

function* near(id) {
  for (let place = 0; place < id.length; place += 1) {
    const [before, letter, after] = [id.slice(0, place), id[place], id.slice(place + 1)];
    for (const other of /\d/.test(letter) ? DIGITS : LETTERS) {
      if (other !== letter) yield `${before}${other}${after}`;
    }
    if (after && after[0] !== letter) yield `${before}${after[0]}${letter}${after.slice(1)}`;
  }
}
