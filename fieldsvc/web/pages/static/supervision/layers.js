// Which layers the map shows: planned lines, walked lines, stops, hazards. The choice is kept in this browser.

import { getAll } from "./api.js";
import { keep, remembered } from "./kept.js";
import { failed } from "./panel/part.js";

const EVERY_MS = 60000;

// `box` holds a check box for each layer; `lib` and `map` are the page's map once there is one.
export function makeLayers(box, { query, lib, map }) {
  const boxes = [...box.querySelectorAll("input")];
  for (const each of boxes) {
    each.checked = remembered(`layer-${each.name}`) ?? true;
    each.addEventListener("change", () => {
      keep(`layer-${each.name}`, each.checked);
      lib.showLayer(map, each.name, each.checked);
    });
    lib.showLayer(map, each.name, each.checked);
  }
  const read = () => document.hidden || readHazards(box, { query, lib, map });
  setInterval(read, EVERY_MS);
  read();
}

async function readHazards(box, { query, lib, map }) {
  const hazards = await failed(getAll(`/v1/hazards${query}`, "hazards"), () => {});
  if (!hazards) return;
  lib.showHazards(map, hazards);
  box.querySelector("#no-hazards").hidden = hazards.length > 0;
}
