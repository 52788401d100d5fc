// What is made on the spot: a signature, a photo, a place.
import { language, say } from "../base.js";
import { button, el } from "./dom.js";
import { boxed, fieldset, newId } from "./boxes.js";
import { photoField } from "./photo.js";
import { signaturePad } from "./signature.js";

/** A signature or photos. `pictures()` are what was taken, to be kept when the form is saved; `get` is what was there before. */
export function picture({ name, spec, label, about }) {
  const taken = spec.drawn ? signaturePad() : photoField({ most: spec.many ? 3 : 1 });
  const before = about.value;
  const kept = before ? el("p", { class: "hint" }, say("form.picture_kept")) : null;
  const pictures = async () => (spec.drawn ? (taken.empty() ? [] : [await taken.blob()]) : [...(await taken.blobs())]);
  return { ...fieldset({ name, label, about }, kept, taken.node), get: () => before, pictures };
}

/** A place: here, by one reading of the phone's position, else the stop where the carrier is; or typed. */
export function point(field) {
  const { name, label, about } = field;
  const lat = coordinate("lat", about, about.value?.lat);
  const lon = coordinate("lon", about, about.value?.lon);
  const said = el("p", { class: "hint", role: "status" }, about.value ? placeWords(about.value) : say("form.point_none"));
  const put = (place, words) => {
    lat.control.value = String(place.lat);
    lon.control.value = String(place.lon);
    said.textContent = words;
    box.fault("");
  };
  const here = button({ text: say("form.here"), icon: "place", kind: "quiet", big: true, onclick: () => read(about.at, put, said) });
  const box = fieldset({ name, label, about }, here, said, el("details", {}, el("summary", {}, say("form.point_typed")), lat.node, lon.node));
  const get = () => {
    const [one, two] = [lat, lon].map((each) => numberOf(each.control.value));
    if (one === undefined && two === undefined) return undefined;
    return { ...(about.value ?? {}), lat: one ?? Number.NaN, lon: two ?? Number.NaN };
  };
  return { ...box, target: here, get, isPlace: true };
}

function coordinate(name, about, value) {
  const control = el("input", { type: "text", id: newId(name), inputmode: "decimal", autocomplete: "off", value: value === undefined ? "" : String(value) });
  return { control, node: boxed({ name, label: say(`field_${name}`), about }, control).node };
}

function numberOf(text) {
  const now = text.trim().replace(",", ".");
  if (!now) return undefined;
  return /^-?\d+(\.\d+)?$/.test(now) ? Number(now) : Number.NaN;
}

function placeWords({ lat, lon }) {
  const written = new Intl.NumberFormat(language, { minimumFractionDigits: 5, maximumFractionDigits: 5 });
  return `${written.format(lat)} ; ${written.format(lon)}`;
}

function read(stop, put, said) {
  said.textContent = say("form.point_reading");
  position().then((found) => {
    if (found) put({ lat: round(found.latitude), lon: round(found.longitude) }, say("form.point_read", { m: Math.max(1, Math.round(found.accuracy)) }));
    else if (stop?.lat !== undefined && stop?.lat !== null) put({ lat: stop.lat, lon: stop.lon }, say("form.point_of_stop", { address: stop.address ?? stop.stop_id }));
    else said.textContent = say("form.point_failed");
  });
}

/** One reading of where the phone is, or null: refused, absent, or too slow. */
export function position(patience_ms = 8000) {
  return new Promise((done) => {
    if (!navigator.geolocation) return done(null);
    const options = { enableHighAccuracy: true, timeout: patience_ms, maximumAge: 10_000 };
    return navigator.geolocation.getCurrentPosition(({ coords }) => done(coords), () => done(null), options);
  });
}

function round(degrees) {
  return Number(degrees.toFixed(6));
}
