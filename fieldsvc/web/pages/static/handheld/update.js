// A new version of the page: it comes beside the old one, is offered, and is taken when nobody is writing.
import { language, say } from "../base.js";
import { button, el } from "./dom.js";
import { toast } from "./frame.js";

const CHOICE = "fieldsvc-handheld-choice"; // a cache of its own: no version of the worker deletes it
const WRITING = "fieldsvc-handheld-writing"; // a lock that every tab with an open draft shares
const ASKS_EVERY_MS = 3_600_000;

let drafting = null; // what ends the draft of this tab, while there is one
let current = null;

/** Return the version that this page came from, or null where no service worker serves it. */
export function version() {
  return current;
}

/** Keep the language for the pages of this browser, online or not, and show the page in it. */
export async function chooseLanguage(code) {
  document.cookie = `fieldsvc_lang=${code}; path=/; max-age=31536000; samesite=lax`;
  await keepLanguage(code);
  location.reload();
}

/** Ask for newer versions, and offer each that is ready. */
export async function watchUpdates(ctx) {
  watchWriting();
  if (!("serviceWorker" in navigator)) return;
  await keepLanguage(language).catch(() => {});
  const controlled = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => (controlled || current ? location.reload() : askVersion(ctx)));
  const registration = await navigator.serviceWorker.getRegistration("/handheld");
  if (!registration) return;
  askVersion(ctx);
  offerWhenReady(registration, ctx);
  keepAsking(registration);
}

function keepAsking(registration) {
  const ask = () => document.visibilityState === "visible" && registration.update().catch(() => {}); // offline: next time
  setInterval(ask, ASKS_EVERY_MS);
  document.addEventListener("visibilitychange", ask);
}

function offerWhenReady(registration, ctx) {
  const offer = () => registration.waiting && navigator.serviceWorker.controller && show(registration, ctx);
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", offer));
  offer();
}

function show(registration, ctx) {
  const take = button({ text: say("update_take"), onclick: () => takeIt(registration), dataset: { act: "update" } });
  ctx.update = el("div", { class: "note", id: "update" }, el("p", { role: "status" }, say("update_ready")), take);
  ctx.redraw();
}

/** Let the new version take over, unless somebody writes in any tab: the lock tells. */
async function takeIt(registration) {
  const free = await navigator.locks.request(WRITING, { ifAvailable: true }, async (lock) => {
    if (lock) registration.waiting?.postMessage({ take: true });
    return Boolean(lock);
  });
  if (!free) toast(say("update_later"));
}

async function askVersion(ctx) {
  const worker = navigator.serviceWorker.controller;
  if (!worker) return;
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data }) => {
    current = data.version;
    ctx.redraw();
  };
  worker.postMessage({ tell: true }, [channel.port2]);
}

async function keepLanguage(code) {
  const cache = await caches.open(CHOICE);
  await cache.put("/handheld/language", new Response(code));
}

// What is typed, signed or photographed on a screen is a draft until the screen is left; a field that is not worth keeping says data-nodraft.
function watchWriting() {
  document.getElementById("main").addEventListener("input", ({ target }) => target.closest("[data-nodraft]") || beginDraft());
  document.addEventListener("screenleft", () => drafting?.());
}

function beginDraft() {
  if (drafting) return;
  drafting = () => {};
  navigator.locks.request(WRITING, { mode: "shared" }, () => new Promise((end) => {
    drafting = () => {
      drafting = null;
      end();
    };
  }));
}
