// What is typed and chosen on a form, kept until it is saved or the day is over: back and forward lose nothing of it.

import { done } from "./kept.js";

const DRAFT = "draft:";
const FORMS = {
  pressed: "button[aria-pressed]",
  picked: "input:is([type=radio], [type=checkbox])",
  typed: "textarea, select, input:not([type=radio], [type=checkbox], [type=file], [data-nodraft])",
};

/**
 * Keep what is typed below `root` under this address, and put back what was typed there before. Give what forgets it: to be
 * called once it is saved. Pictures and signatures are not kept.
 */
export function keepDraft(root, { kept, day }) {
  const name = DRAFT + location.hash;
  const about = { run_id: day.run?.run_id ?? null };
  let touched = false;
  let over = false;
  const save = ({ isTrusted }) => {
    touched ||= isTrusted;
    if (isTrusted && !over) kept.set(name, { ...about, at: Date.now(), ...read(root) });
  };
  for (const kind of ["input", "change", "click"]) root.addEventListener(kind, save);
  kept.get(name).then((found) => found && !touched && isOfToday(found) && found.run_id === about.run_id && root.isConnected && putBack(root, found));
  return () => {
    over = true;
    return kept.remove(name);
  };
}

/** Wipe the drafts of days that are over. */
export async function wipeDrafts(kept) {
  await kept.write(["kept"], async ({ kept: store }) => {
    for (const name of await done(store.getAllKeys(IDBKeyRange.bound(DRAFT, `${DRAFT}\uffff`)))) {
      if (!isOfToday(await done(store.get(name)))) store.delete(name);
    }
  });
}

function isOfToday({ at }) {
  return new Date(at).toDateString() === new Date().toDateString();
}

function nodes(root, kind) {
  return [...root.querySelectorAll(FORMS[kind])];
}

function read(root) {
  return {
    pressed: nodes(root, "pressed").map((each) => each.getAttribute("aria-pressed") === "true"),
    picked: nodes(root, "picked").map((each) => each.checked),
    typed: nodes(root, "typed").map((each) => each.value),
  };
}

// Choices first, one by one: what they show is there before what is typed into it.
function putBack(root, { pressed, picked, typed }) {
  pressed.forEach((was, n) => {
    const node = nodes(root, "pressed")[n];
    if (was && node?.getAttribute("aria-pressed") === "false") node.click();
  });
  picked.forEach((was, n) => was && !nodes(root, "picked")[n]?.checked && nodes(root, "picked")[n]?.click());
  typed.forEach((text, n) => {
    const node = nodes(root, "typed")[n];
    if (!node || node.value === text) return;
    node.value = text;
    for (const kind of ["input", "change"]) node.dispatchEvent(new Event(kind, { bubbles: true }));
  });
}
