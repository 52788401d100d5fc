// The banner of open alarms. Its words are put in only when they change, so that a reader hears each alarm once.

import { glyph } from "./shapes.js";
import { clock, t } from "./words.js";

// Show the open alarms; `onTake(id)` acknowledges one, `onSelect(runId)` leads to its round.
export function showAlarms(box, alarms, { roundOf, onTake, onSelect }) {
  const open = [...alarms].sort((one, other) => one.raised_at.localeCompare(other.raised_at));
  const known = new Map([...box.children].map((item) => [item.dataset.alarm, item]));
  for (const alarm of open) {
    const item = known.get(alarm.id) ?? box.appendChild(make(alarm, { onTake, onSelect }));
    known.delete(alarm.id);
    const words = sentence(alarm, roundOf(alarm.run_id));
    const place = item.querySelector(".alarm__words");
    if (place.textContent !== words) place.textContent = words;
  }
  for (const item of known.values()) {
    const hadFocus = item.contains(document.activeElement);
    item.remove();
    if (hadFocus) (box.querySelector("button") ?? document.getElementById("list-title")).focus();
  }
  box.hidden = open.length === 0;
}

export function sayFault(box, id) {
  const item = [...box.children].find((each) => each.dataset.alarm === id);
  if (!item) return;
  item.querySelector(".alarm__fault").textContent = t("alarm_fault");
  item.querySelector(".alarm__take").disabled = false;
}

function sentence(alarm, round) {
  const parts = [t(["sos", "accident", "assault", "fall"].includes(alarm.kind) ? `alarm_${alarm.kind}` : "alarm_other")];
  if (round) parts.push(t("alarm_round", { round }));
  if (alarm.carrier) parts.push(alarm.carrier);
  parts.push(placeOf(alarm), clock(alarm.raised_at));
  if (alarm.note) parts.push(alarm.note);
  return parts.join(" · ");
}

// In words where the phone named a stop, else as the coordinates that a rescuer can type in.
function placeOf({ address, place }) {
  if (address) return address;
  return place ? t("alarm_place", { lat: place.lat.toFixed(5), lon: place.lon.toFixed(5) }) : t("alarm_no_place");
}

function make(alarm, { onTake, onSelect }) {
  const item = document.createElement("li");
  item.dataset.alarm = alarm.id;
  const words = document.createElement("span");
  words.className = "alarm__words";
  const fault = document.createElement("span");
  fault.className = "alarm__fault";
  const buttons = document.createElement("span");
  buttons.className = "buttons";
  if (alarm.run_id) buttons.append(button("alarm_show", "button--quiet alarm__show", () => onSelect(alarm.run_id)));
  const taken = button("alarm_take", "alarm__take", () => {
    taken.disabled = true;
    fault.textContent = "";
    onTake(alarm.id);
  });
  buttons.append(taken);
  item.append(glyph("alert"), words, fault, buttons);
  return item;
}

function button(key, name, onClick) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = `button--small ${name}`;
  made.textContent = t(key);
  made.addEventListener("click", onClick);
  return made;
}
