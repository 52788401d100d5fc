// What the scanner shows of one result, in words and big buttons. `act` does what a button says; nothing here decides.
import { clock, language, say } from "../base.js";
import { addresseeOf, dayInWords, placeOf } from "./acts.js";
import { REASONS, officeOf } from "./cases.js";
import { button, el, linkButton } from "./dom.js";
import { writtenCode } from "./notice_code.js";
import { around, isForOwnHands } from "./scan.js";

const MAKERS = { deliver, load, back, keep, choose, registered, notice, handed, outcome, done, again, misread, unknown, undone };

/** The card of what was scanned last; `view` is {kind, result, …}. */
export function cardOf(view, { day, act }) {
  const found = MAKERS[view.kind](view, { day, act, result: view.result ?? {} });
  const { mark, tone = "plain", title, parts = [] } = found;
  const head = el("h2", { class: "scan-card__title" }, mark ? el("span", { class: "scan-card__mark", "aria-hidden": "true" }, mark) : null, title);
  return el("section", { class: `scan-card scan-card--${tone}`, dataset: { kind: view.kind }, "aria-label": say("scan_result") }, head, parts);
}

/** Where it is, who it is for and which item, in this order: the eye looks for the address first. */
export function facts({ stop, task, id, ids }) {
  const place = placeOf(stop);
  const who = addresseeOf(task);
  return el(
    "div",
    { class: "scan-card__facts" },
    el("p", { class: "place" }, el("strong", {}, place.street), place.town && el("span", { class: "muted" }, place.town)),
    who && el("p", { class: "who" }, who),
    el("p", { class: "mono item-id" }, (ids ?? [id]).join(" · ")),
  );
}

export function requestNotes(requests = []) {
  return requests.map((each) => el("p", { class: "notice notice--warning" }, el("strong", {}, say("asked_here")), " ", each.what?.[language] ?? say(`request_${each.kind}`)));
}

function askLink({ requests = [], stop }) {
  const asks = requests.some((each) => each.ask);
  return asks && stop ? linkButton({ text: say("ask_at_door"), href: `#/change/${encodeURIComponent(stop.stop_id)}`, kind: "quiet", big: true, icon: "ask" }) : null;
}

function deliver({ believed }, { day, act, result }) {
  const where = result.unexpected ? el("p", { class: "hint" }, say(`believed_${result.by}`)) : null;
  const others = believed ? elsewhere(result, { day, act }) : null;
  return { mark: "✓", tone: "good", title: say("to_mailbox"), parts: [facts(result), requestNotes(result.requests), where, others, askLink(result), otherwise(act, ["handed", "too_big", "refused", "no_access", "no_box"])] };
}

function elsewhere(result, { day, act }) {
  const stops = around(day, result.stop, 3);
  const offers = stops.map((stop) => button({ text: placeOf(stop).street, kind: "quiet", onclick: () => act.moveTo(stop) }));
  return stops.length ? el("div", { class: "elsewhere" }, el("p", {}, say("or_rather")), el("div", { class: "presses" }, offers)) : null;
}

// The other outcomes wait behind one touch: what is common needs none.
function otherwise(act, reasons) {
  const offers = reasons.map((reason) => button({ text: say(`reason_${reason}`), kind: "quiet", onclick: () => act.otherwise(reason) }));
  return el("details", { class: "otherwise" }, el("summary", {}, say("other_outcome")), el("div", { class: "presses presses--two" }, offers));
}

function registered(view, { day, act, result }) {
  const ids = view.ids ?? [result.id];
  const known = result.task?.known_to_you ? el("p", { class: "hint" }, say("known_to_you")) : null;
  const two = el(
    "div",
    { class: "presses presses--two scan-card__choice" },
    button({ text: say("handed_over"), class: "press--tall", onclick: () => act.handOver(ids) }),
    button({ text: say("absent"), kind: "quiet", class: "press--tall", onclick: () => act.attempt(ids, "absent", "office_hold") }),
  );
  const neighbour = result.requests.find((each) => each.kind === "neighbour");
  const instead = neighbour && !isForOwnHands(result.task, result.id) ? button({ text: say("to_neighbour"), kind: "quiet", big: true, onclick: () => act.give(ids, "neighbour") }) : null;
  const title = ids.length > 1 ? say("registered_n", { n: ids.length }) : say(isForOwnHands(result.task, result.id) ? "registered_title" : "signed_title");
  const parts = [facts({ ...result, ids }), requestNotes(result.requests), result.unexpected && el("p", { class: "hint" }, say(`believed_${result.by}`)), known, two, instead, askLink(result), otherwise(act, REASONS.map(([reason]) => reason))];
  return { tone: "ask", title, parts: result.unexpected ? [...parts, elsewhere(result, { day, act })] : parts };
}

function choose(view, { act, result }) {
  const asked = result.requests.find((each) => ["neighbour", "safe_place"].includes(each.kind));
  const buttons = [
    button({ text: say("to_addressee"), big: true, onclick: () => act.give([result.id], "addressee") }),
    button({ text: say(asked.kind === "neighbour" ? "to_neighbour" : "to_safe_place"), big: true, onclick: () => act.give([result.id], asked.kind) }),
    button({ text: say("to_mailbox"), kind: "quiet", big: true, onclick: () => act.give([result.id], "mailbox") }),
  ];
  return { tone: "ask", title: say("choose_title"), parts: [requestNotes(result.requests), facts(result), el("div", { class: "presses" }, buttons), askLink(result)] };
}

function keep(view, { act, result }) {
  const anyway = button({ text: say("present_anyway"), kind: "quiet", big: true, onclick: () => act.presentAnyway() });
  return { mark: "↩", tone: "warn", title: say("bring_back"), parts: [requestNotes(result.requests), facts(result), el("p", { class: "hint" }, say("bring_back_what")), anyway] };
}

function notice({ ids, office, until, noticeCode, result }) {
  const lines = [["notice_office", office], ["notice_until", dayInWords(until, language)], ["notice_number", ids.join(" · ")]];
  if (noticeCode) lines.push(["notice_code", writtenCode(noticeCode)]);
  const list = el("dl", { class: "paper" }, lines.map(([name, text]) => [el("dt", {}, say(name)), el("dd", {}, text)]));
  return { mark: "✓", tone: "good", title: say("absent_said"), parts: [facts({ ...result, ids }), el("p", { class: "hint" }, say("notice_copy")), list] };
}

function handed({ ids, who, result, score }) {
  return { mark: "✓", tone: "good", title: say("handed_said", { who }), parts: [facts({ ...result, ids }), score && el("p", { class: "hint" }, score)] };
}

function outcome({ ids, reason, next, result }) {
  return { mark: "✓", tone: "good", title: say(`reason_${reason}`), parts: [facts({ ...result, ids }), el("p", { class: "hint" }, say(`next_${next}`))] };
}

function load(view, { day, result }) {
  const { loaded, open, all } = view.loading(day);
  const left = open.map((task) => el("li", {}, el("span", { class: "mono" }, task.subject.split("/")[1]), " ", el("span", { class: "muted" }, addresseeOf(task))));
  const list = left.length ? el("details", {}, el("summary", {}, say("load_left", { n: left.length })), el("ul", { class: "plain rows" }, left)) : all ? el("p", { class: "good" }, say("load_complete")) : null;
  return { mark: "✓", tone: "good", title: say("loaded_n", { n: loaded.length }), parts: [facts(result), list] };
}

function back(view, { day, result }) {
  return { mark: "✓", tone: "good", title: say("brought_back"), parts: [facts(result), el("p", { class: "hint" }, say("brought_back_what", { office: officeOf(day.sheet) }))] };
}

function done({ at, result, mode }, { act }) {
  const when = at ? clock(new Date(at)) : "";
  const again = button({ text: say(mode === "back" ? "back_anyway" : "present_again"), kind: "quiet", big: true, onclick: () => act.presentAnyway() });
  return { tone: "warn", title: say(`before_${result.before}`, { time: when }), parts: [facts(result), el("p", { class: "hint" }, say("done_what")), again, linkButton({ text: say("see_outbox"), href: "#/outbox", kind: "quiet", big: true })] };
}

function again(view, { result }) {
  return { tone: "plain", title: say(result.before === "returned" ? "again_back" : "again_load"), parts: [facts(result), el("p", { class: "hint" }, say("again_what"))] };
}

function misread(view, { day, act, result }) {
  const offers = result.candidates.map((subject) => candidate(subject, { day, act }));
  const insist = button({ text: say("insist", { id: result.id }), kind: "quiet", big: true, onclick: () => act.insist(result.id) });
  const why = say(`misread_${result.reason}`);
  return { tone: "warn", title: say("misread_title"), parts: [el("p", { class: "mono item-id" }, result.id), el("p", {}, why), el("div", { class: "presses" }, offers), result.reason === "ambiguous" ? null : insist] };
}

function candidate(subject, { day, act }) {
  const task = day.taskOf(subject);
  const where = placeOf(day.stop(task?.stop_id)).street;
  const [kind, id] = subject.split("/");
  return el("button", { type: "button", class: "press press--big candidate", onclick: () => act.take(subject) }, el("span", { class: "mono" }, id), el("span", { class: "candidate__where" }, `${say(`kind_${kind}`)} · ${addresseeOf(task) || where}`));
}

function unknown(view, { act, result }) {
  const insist = result.usable ? button({ text: say("insist", { id: result.id }), kind: "quiet", big: true, onclick: () => act.insist(result.id) }) : null;
  return { tone: "warn", title: say("unknown_title"), parts: [el("p", { class: "mono item-id" }, result.id.slice(0, 64)), el("p", {}, say("unknown_what")), insist] };
}

function undone(view, { result }) {
  return { tone: "plain", title: say("undone"), parts: [facts(result), el("p", { class: "hint" }, say("undone_what"))] };
}
