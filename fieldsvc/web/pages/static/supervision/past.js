// A past day, opened for a reason that is noted: the dialog that asks for it, and the bar that says so meanwhile.

import { Fault, getAll } from "./api.js";
import { dayWord, t } from "./words.js";

// `query` narrows requests to the page's site; `onShow({ query, runs })` shows the day, `onLeave()` goes back to now.
export function makePast(dialog, bar, { opener, query, onShow, onLeave }) {
  const past = { dialog, bar, fault: dialog.querySelector("[data-past=fault]"), query, onShow, onLeave };
  const form = dialog.querySelector("form");
  opener.addEventListener("click", () => {
    past.fault.textContent = "";
    dialog.showModal();
  });
  dialog.querySelector("[data-past=cancel]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    open(past, form);
  });
  bar.querySelector("[data-past=leave]").addEventListener("click", () => {
    leave(past);
    opener.focus();
  });
  return past;
}

export function leave(past) {
  if (past.bar.hidden) return;
  past.bar.hidden = true;
  past.onLeave();
}

async function open(past, form) {
  const { day, reason } = Object.fromEntries(new FormData(form));
  const query = `${past.query}${past.query ? "&" : "?"}reason=${encodeURIComponent(reason)}`;
  try {
    const runs = await getAll(`/v1/runs${query}&day=${encodeURIComponent(day)}`, "runs");
    if (!runs.length) {
      past.fault.textContent = t("past_nothing");
      return;
    }
    const why = form.querySelector(`[value="${CSS.escape(reason)}"]`).parentElement.textContent.trim();
    past.bar.querySelector("[data-past=words]").textContent = t("past_bar", { day: dayWord(day), reason: why });
    past.bar.hidden = false;
    past.dialog.close();
    past.onShow({ query, runs });
    past.bar.querySelector("[data-past=leave]").focus();
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    past.fault.textContent = t("past_fault");
  }
}
