// Today's tasks in the order of the round: what is to do, not every letterbox.
import { clock, say } from "../../base.js";
import { addresseeOf, placeOf } from "../acts.js";
import { button, el, linkButton } from "../dom.js";
import { requestsFor } from "../scan.js";
import { openScanner } from "../scanner.js";
import { kindInWords, kindOfTask, taskLine } from "../work.js";

export const name = "today";
export const title = "today_title";
export const tab = "today";
const FILTERS = ["todo", "done", "all"];

export function render(root, params, ctx) {
  openScanner(ctx);
  const state = { filter: FILTERS.includes(params.show) ? params.show : "todo", text: "" };
  const filters = el("div", { class: "modes", role: "group", "aria-label": say("today_filter") });
  const search = el("input", { id: "today-search", type: "search", autocomplete: "off", placeholder: say("today_search_hint") });
  const list = el("div", { class: "stack" });
  const draw = () => {
    filters.replaceChildren(...FILTERS.map((each) => filterButton(each, { state, ctx, draw, root: filters })));
    list.replaceChildren(...drawn(state, ctx));
  };
  search.addEventListener("input", () => {
    state.text = search.value.trim().toLowerCase();
    draw();
  });
  root.append(filters, el("div", { class: "field" }, el("label", { for: "today-search" }, say("today_search")), search), list);
  draw();
  const later = setInterval(draw, 30_000); // windows run out
  const end = ctx.day.listen(draw);
  return () => {
    clearInterval(later);
    end();
  };
}

function filterButton(each, { state, ctx, draw, root }) {
  const count = ctx.day.tasks.filter((task) => matches(task, { filter: each, text: "" }, ctx)).length;
  const made = button({ text: say(`today_${each}`, { n: count }), kind: "quiet", class: "modes__one" });
  made.setAttribute("aria-pressed", String(state.filter === each));
  made.addEventListener("click", () => {
    state.filter = each;
    draw();
    root.querySelector("[aria-pressed=true]").focus();
  });
  return made;
}

function matches(task, { filter, text }, { day, services }) {
  const open = day.isOpen(task);
  if ((filter === "todo" && !open) || (filter === "done" && open)) return false;
  const words = [task.address, addresseeOf(task), task.subject, kindInWords(kindOfTask(task), services)];
  return !text || words.some((each) => String(each ?? "").toLowerCase().includes(text));
}

function drawn(state, ctx) {
  const { day } = ctx;
  if (!day.sheet) return [empty("today_no_sheet", linkButton({ text: say("today_start"), href: "#/start", big: true }))];
  const found = day.tasks.filter((task) => matches(task, state, ctx));
  if (!found.length) return [...general(day), empty(state.text ? "today_no_match" : day.tasks.length ? "today_all_done" : "today_none")];
  const next = state.filter === "todo" && !state.text ? day.next() : null;
  return [...general(day), ...groups(found, day).map((group) => stopCard(group, { ctx, isNext: next?.stop_id === group.stop?.stop_id }))];
}

function empty(words, more) {
  return el("div", { class: "empty" }, el("p", {}, say(words)), more);
}

// What concerns the whole round; what concerns one place stands there.
function general(day) {
  return (day.sheet.instructions ?? []).filter((each) => !each.stop_id && each.text).map((each) => el("p", { class: "notice" }, el("strong", {}, say("instruction")), " ", each.text));
}

function groups(tasks, day) {
  const found = new Map();
  for (const task of tasks) {
    const key = task.stop_id ?? "";
    if (!found.has(key)) found.set(key, { stop: day.stop(task.stop_id), tasks: [] });
    found.get(key).tasks.push(task);
  }
  const place = (group) => (group.stop ? day.stops.indexOf(group.stop) : Infinity);
  return [...found.values()].sort((one, other) => place(one) - place(other));
}

function stopCard({ stop, tasks }, { ctx, isNext }) {
  const { day, services } = ctx;
  const place = placeOf(stop);
  const asked = stop ? requestsFor(day.sheet, { subject: "", stop }) : [];
  const head = [isNext && el("span", { class: "stop-card__next" }, say("next_stop")), el("strong", { class: "stop-card__street" }, place.street), place.town && el("span", { class: "muted" }, place.town)];
  const notes = [...dangers(stop, day), asked.length > 0 && el("p", { class: "badge badge--asked" }, say("asked_badge"))];
  const body = [el("span", { class: "stop-card__head" }, head), notes, tasks.map((task) => taskLine(task, { day, services }))];
  const props = { class: `stop-card ${isNext ? "stop-card--next" : ""}`, dataset: { stop: stop?.stop_id ?? "" } };
  return stop ? el("a", { ...props, href: `#/stop/${encodeURIComponent(stop.stop_id)}` }, body) : el("div", props, body);
}

/** The hazards and instructions of one place: those whose circle the door lies in. */
export function dangers(stop, day) {
  if (!stop) return [];
  const near = ({ lat, lon, radius_m: radius }) => metres(stop, { lat, lon }) <= radius + 30;
  const hazards = (day.sheet.hazards ?? []).filter(near).map((each) => el("p", { class: "notice notice--danger" }, el("strong", {}, say("hazard")), " ", hazardInWords(each)));
  const told = (day.sheet.instructions ?? []).filter((each) => each.stop_id === stop.stop_id);
  return [...hazards, ...told.map((each) => el("p", { class: "notice" }, el("strong", {}, say(each.kind === "access" ? "access_case" : "instruction")), " ", instructionInWords(each)))];
}

function hazardInWords({ kind, note, until }) {
  const word = say(`hazard_${kind}`);
  const parts = [word.startsWith("hazard_") ? kind.replaceAll("_", " ") : word, note, until && say("until_time", { time: clock(new Date(until)) })];
  return parts.filter(Boolean).join(" · ");
}

function instructionInWords(each) {
  if (each.text) return each.text;
  return [say(`access_${each.decision ?? each.reason ?? "open"}`), each.mail_waits_at && say("mail_waits", { office: each.mail_waits_at })].filter(Boolean).join(" · ");
}

function metres(one, other) {
  return Math.hypot((one.lat - other.lat) * 111_195, (one.lon - other.lon) * 111_195 * Math.cos((one.lat * Math.PI) / 180));
}
