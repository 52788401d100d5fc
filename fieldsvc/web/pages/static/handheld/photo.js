// Photos: taken or chosen, shown small, and taken away again.
import { say } from "../base.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";

/** Make a field for photos, at most `most`: {node, blobs()}; `onchange` hears how many there are. */
export function photoField({ most = 3, label = say("photo_add"), onchange = () => {} } = {}) {
  const photos = [];
  const input = el("input", { type: "file", accept: "image/*", capture: "environment", class: "visually-hidden photo__input" });
  const add = el("label", { class: "press press--quiet photo__add" }, input, icon("camera"), el("span", {}, label));
  const list = el("ul", { class: "photo__list plain" });
  const show = () => {
    list.replaceChildren(...photos.map((photo, n) => shown(photo, n, drop)));
    list.hidden = photos.length === 0;
    add.hidden = photos.length >= most;
    onchange(photos.length);
  };
  const drop = (photo) => {
    URL.revokeObjectURL(photo.url);
    photos.splice(photos.indexOf(photo), 1);
    show();
    input.focus();
  };
  input.addEventListener("change", () => {
    for (const blob of input.files) if (photos.length < most) photos.push({ blob, url: URL.createObjectURL(blob) });
    input.value = "";
    show();
  });
  show();
  return { node: el("div", { class: "photo" }, list, add), blobs: () => photos.map((photo) => photo.blob) };
}

function shown(photo, n, drop) {
  const remove = el("button", { type: "button", class: "press press--quiet photo__remove", onclick: () => drop(photo) }, say("photo_remove"));
  remove.setAttribute("aria-label", say("photo_remove_n", { n: n + 1 }));
  return el("li", {}, el("img", { src: photo.url, alt: say("photo_n", { n: n + 1 }), class: "photo__small" }), remove);
}
