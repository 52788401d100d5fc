// A pin that is moved by buttons or arrow keys, from the door: no map is needed, and no dragging.
import { say } from "../base.js";
import { moved, offset } from "./addresses.js";
import { button, el } from "./dom.js";
import { position } from "./fields_made.js";

const KEYS = { ArrowUp: "north", ArrowRight: "east", ArrowDown: "south", ArrowLeft: "west" };
const WAYS = ["north", "west", "east", "south"];
const BY_HAND_M = 5;

/** {node, get() → {lat, lon, accuracy_m, fixed_at} or null where it was not moved}. `from` is where the box is known to be. */
export function pin(from) {
  let at = null;
  const said = el("p", { role: "status", class: "hint" }, say("address.pin_still"));
  const tell = () => {
    const { north, east } = offset(from, at);
    const ways = [
      north && say(north > 0 ? "address.pin_north" : "address.pin_south", { m: Math.abs(north) }),
      east && say(east > 0 ? "address.pin_east" : "address.pin_west", { m: Math.abs(east) }),
    ].filter(Boolean);
    said.textContent = ways.length ? say("address.pin_moved", { ways: ways.join(", ") }) : say("address.pin_back");
  };
  const step = (way) => {
    at = { ...moved(at ?? from, way), accuracy_m: BY_HAND_M };
    tell();
  };
  const here = async () => {
    said.textContent = say("form.point_reading");
    const found = await position();
    if (!found) return said.replaceChildren(say("address.pin_no_position"));
    at = { lat: Number(found.latitude.toFixed(7)), lon: Number(found.longitude.toFixed(7)), accuracy_m: Math.max(1, Math.round(found.accuracy)) };
    return tell();
  };
  const steps = WAYS.map((way) => button({ text: say(`address.to_${way}`), icon: way, kind: "quiet", class: `pin__${way}`, onclick: () => step(way) }));
  const pad = el("div", { class: "pin", role: "group", "aria-label": say("address.pin") }, steps);
  pad.addEventListener("keydown", (event) => KEYS[event.key] && (event.preventDefault(), step(KEYS[event.key])));
  const stand = button({ text: say("address.pin_here"), icon: "place", kind: "quiet", big: true, onclick: here });
  const words = [el("p", { class: "label" }, say("address.pin")), el("p", { class: "hint" }, say("address.pin_hint"))];
  const node = el("div", { class: "field" }, words, pad, stand, said);
  return { node, get: () => at && { ...at, fixed_at: new Date().toISOString() } };
}
