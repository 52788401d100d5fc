// Everything else that this phone may say, by where it happens; a word finds it.
import { language, say } from "../../base.js";
import { grouped } from "../catalogue.js";
import { el } from "../dom.js";
import { notice } from "../saying.js";

export const name = "other";
export const title = "other.title";
export const tab = "other";

// What has a screen of its own, from the stop where the carrier is.
const OWN = { "address_change.reported": "address", "delivery_change.requested": "change" };

export function render(root, params, ctx) {
  root.classList.add("forms");
  if (!ctx.services) return root.append(notice(say("form.no_services"), "warning"));
  const stop = (params.stop && ctx.day.stop(params.stop)) || ctx.day.next();
  const nothing = el("p", { class: "empty", hidden: true }, say("other.nothing"));
  const groups = grouped(ctx.services).map((each) => groupNode(each, stop));
  const find = el("input", { type: "search", id: "find-service", autocomplete: "off", enterkeyhint: "search" });
  find.addEventListener("input", () => (nothing.hidden = narrowed(groups, find.value)));
  const field = el("div", { class: "field" }, el("label", { for: "find-service" }, say("other.find")), find);
  return root.append(field, ...groups.map((each) => each.node), nothing);
}

function groupNode({ group, services }, stop) {
  const rows = services.map((events) => serviceNode(events, stop));
  const node = el("section", {}, el("h2", {}, say(`other.${group}`)), el("div", { class: "ways" }, rows.map((each) => each.node)));
  return { node, rows };
}

/** One service: a link if it has one thing to say, else a row that opens. */
function serviceNode(events, stop) {
  const title = events[0].service.title[language];
  const words = plain([title, ...events.map((each) => each.event.title[language])].join(" "));
  if (events.length === 1) return { words, node: link(events[0], stop) };
  const node = el("details", { class: "ways__more" }, el("summary", { class: "way" }, title), events.map((each) => link(each, stop)));
  return { words, node };
}

function link({ name: type, event }, stop) {
  const query = stop ? `?stop=${encodeURIComponent(stop.stop_id)}` : "";
  const href = OWN[type] ? `#/${OWN[type]}/${encodeURIComponent(stop?.stop_id ?? "")}` : `#/form/${type}${query}`;
  return el("a", { class: "way", href }, event.title[language]);
}

/** Show the rows that have every word of the search; true if there is one. */
function narrowed(groups, search) {
  const wanted = plain(search).split(" ").filter(Boolean);
  for (const { node, rows } of groups) {
    for (const row of rows) {
      row.node.hidden = !wanted.every((word) => row.words.includes(word));
      if (row.node.tagName === "DETAILS") row.node.open = wanted.length > 0 && !row.node.hidden;
    }
    node.hidden = rows.every((row) => row.node.hidden);
  }
  return groups.some(({ node }) => !node.hidden);
}

function plain(text) {
  return text.toLowerCase().normalize("NFD").replaceAll(/\p{M}/gu, "");
}
