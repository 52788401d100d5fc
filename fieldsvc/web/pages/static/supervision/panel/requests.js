// What customers asked of a run's stops, and what its supervisor may answer.

import { get, send } from "../api.js";
import { el, press, say } from "../dom.js";
import { clock, dayWord, has, language, t } from "../words.js";
import { failed, why } from "./part.js";

// What an answer is on the way there: a redirection that holds is undone by the same request that cancels the others.
const ACTS = {
  cancel: ["cancel", { reason: "mistake" }],
  reverse: ["cancel", { reason: "mistake" }],
  stop: ["stop", { reason: "fraud" }],
};

// `onCount(n)` is told how many wait for an answer, `onChange()` when one was answered.
export function makeRequests(root, { onCount, onChange }) {
  const find = (name) => root.querySelector(`[data-requests="${name}"]`);
  return { find, key: "", onCount, onChange };
}

export function forget(view) {
  view.key = "";
  view.find("list").replaceChildren();
  view.find("list").hidden = true;
  view.onCount(0);
  say(view.find("words"), t("requests_loading"));
}

export async function readRequests(view, run, ask) {
  const read = get(ask(`/v1/runs/${encodeURIComponent(run)}/requests`));
  return (await failed(read, () => say(view.find("words"), t("requests_fault"))))?.requests ?? null;
}

// Show them; tells whether they are others than before.
export function showRequests(view, requests) {
  view.onCount(requests.filter(({ can }) => can.length).length);
  const key = JSON.stringify(requests);
  if (view.key === key) return false;
  view.key = key;
  const list = view.find("list");
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.request : null;
  list.replaceChildren(...requests.map((each) => line(view, each)));
  if (focused) (list.querySelector(`[data-request="${CSS.escape(focused)}"] button`) ?? list.querySelector("button"))?.focus();
  list.hidden = requests.length === 0;
  say(view.find("words"), requests.length ? "" : t("requests_nothing"));
  return true;
}

function line(view, request) {
  const fault = el("p", { class: "fault", role: "alert" });
  const able = request.can.filter((what) => ACTS[what]);
  const buttons = able.map((what) => press(t(`request_${what}`), () => act(view, request, what, fault)));
  const state = t(has(`request_state_${request.state}`) ? `request_state_${request.state}` : "request_state_other");
  return el("li", { dataset: { request: request.request_id } },
    el("p", { class: "requests__what" }, el("b", { text: request.title[language] }), request.what?.[language] ? ` · ${request.what[language]}` : ""),
    el("p", { class: "requests__where", text: [request.address, state, limits(request)].filter(Boolean).join(" · ") }),
    buttons.length ? el("div", { class: "buttons" }, ...buttons) : null,
    fault,
  );
}

// When it was asked, for which days, and until when it can still be changed.
function limits({ asked_at: asked, cut_off: cutOff, from, to }) {
  const parts = [t("request_asked", { at: clock(asked) })];
  if (from) parts.push(to && to !== from ? t("request_days", { from: dayWord(from), to: dayWord(to) }) : dayWord(from));
  if (cutOff) parts.push(t(`request_until_${cutOff.until}`, { n: cutOff.stops ?? "" }));
  return parts.join(" · ");
}

async function act(view, request, what, fault) {
  fault.textContent = "";
  const [path, body] = ACTS[what];
  const done = await failed(send(`/v1/delivery-changes/${encodeURIComponent(request.request_id)}/${path}`, body), (problem) => {
    fault.textContent = why(problem);
  });
  if (done) view.onChange();
}
