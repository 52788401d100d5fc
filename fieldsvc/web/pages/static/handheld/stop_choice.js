// Which point it is about, where no stop was chosen yet: found by its street or its number.
import { say } from "../base.js";
import { el } from "./dom.js";

const MOST = 8;

/** A field that lists the stops of the sheet whose address has every word; each is a link by `href(stop)`. */
export function stopChoice(day, href) {
  const list = el("div", { class: "ways" });
  const none = el("p", { class: "empty", hidden: true }, say("address.no_stop"));
  const find = el("input", { type: "search", id: "find-stop", autocomplete: "off" });
  const next = day.next();
  const show = () => {
    const words = plain(find.value).split(/\s+/).filter(Boolean);
    const all = words.length ? day.stops.filter((stop) => words.every((word) => plain(stop.address ?? stop.stop_id).includes(word))) : [next].filter(Boolean);
    list.replaceChildren(...all.slice(0, MOST).map((stop) => el("a", { class: "way", href: href(stop) }, stop.address ?? stop.stop_id)));
    list.hidden = all.length === 0;
    none.hidden = all.length > 0 || words.length === 0;
  };
  find.addEventListener("input", show);
  show();
  return el("div", { class: "stack" }, el("div", { class: "field" }, el("label", { for: "find-stop" }, say("address.find_stop")), find), list, none);
}

function plain(text) {
  return text.toLowerCase().normalize("NFD").replaceAll(/\p{M}/gu, "");
}
