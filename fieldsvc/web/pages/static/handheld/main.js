// The page itself: everything is opened once, and the address after # says which screen is shown.
import { language, say } from "../base.js";
import { takeOver } from "../joining.js";
import { api, onExpired } from "./api.js";
import { keepCarrying } from "./carry.js";
import { keepsPosition } from "./catalogue.js";
import { openDay } from "./day.js";
import { $, el } from "./dom.js";
import { start as startSending } from "./flush.js";
import { announce, screens } from "./frame.js";
import { open } from "./kept.js";
import { outbox } from "./outbox.js";
import { codeIn, parse } from "./route.js";
import * as address from "./screens/address.js";
import * as carry from "./screens/carry.js";
import * as change from "./screens/change.js";
import * as end from "./screens/end.js";
import * as form from "./screens/form.js";
import * as join from "./screens/join.js";
import * as me from "./screens/me.js";
import * as other from "./screens/other.js";
import * as sent from "./screens/outbox.js";
import * as pouch from "./screens/pouch.js";
import * as proof from "./screens/proof.js";
import * as scan from "./screens/scan.js";
import * as begin from "./screens/start.js";
import * as stop from "./screens/stop.js";
import * as today from "./screens/today.js";
import * as urgent from "./screens/urgent.js";
import * as visit from "./screens/visit.js";
import { openScanner } from "./scanner.js";
import { showStrip } from "./strip.js";
import { watchUpdates } from "./update.js";
import { isAwaited, showWaiting } from "./waiting.js";

const DAY = [scan, today, stop, proof, visit, pouch, address, change, other, form, end];
const OWN = [sent, carry];
const ALWAYS = [join, begin, urgent, me];
const JOINING = [join, carry, urgent]; // somebody joins over what another carrier has not sent
const LOADS_EVERY_MS = 120_000;
for (const screen of [...DAY, ...OWN, ...ALWAYS]) screens.set(screen.name, screen);

let leave = null; // what the screen that is shown wants done when it is left

function home(ctx) {
  if (!ctx.device) return "#/join";
  return ctx.day.isOn ? "#/scan" : "#/start";
}

function show(ctx) {
  const code = codeIn(location.hash);
  if (location.hash === "#main") return $("main").focus();
  const asked = code ? { name: "join", params: { code, parts: [] } } : parse(location.hash);
  const screen = asked && screens.get(asked.name);
  if (!screen || (!ctx.device && !ALWAYS.includes(screen))) return location.replace(home(ctx));
  if (ctx.joining && !JOINING.includes(screen)) return location.replace("#/join");
  draw(screen, asked.params, ctx);
}

function draw(screen, params, ctx) {
  leave?.();
  document.dispatchEvent(new Event("screenleft"));
  leave = null;
  const root = el("div", { id: "screen", class: `screen screen--${screen.name}` });
  const waits = DAY.includes(screen) && isAwaited(ctx, params);
  const title = waits ? say("opening") : typeof screen.title === "function" ? screen.title(params, ctx) : say(screen.title);
  $("title").textContent = title;
  document.title = `${title} · ${say("app_name")}`;
  $("screen").replaceWith(root);
  showTabs(screen, ctx);
  const done = waits ? showWaiting(root, { ctx, params, then: () => draw(screen, params, ctx) }) : screen.render(root, params, ctx);
  leave = typeof done === "function" ? done : null;
  done?.then?.((later) => (root.isConnected ? (leave = later ?? null) : later?.()));
  window.scrollTo(0, 0);
  announce(title);
  if (!waits) document.documentElement.dataset.screen = screen.name;
}

function showTabs(screen, ctx) {
  $("tabs").hidden = !ctx.device;
  for (const link of $("tabs").querySelectorAll("a")) {
    if (link.dataset.tab === (screen.tab ?? screen.name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function start() {
  const kept = await open();
  const day = await openDay({ kept, api, outbox });
  const ctx = { day, outbox, kept, api, services: day.services, language, device: await takeOver(kept), joining: (await kept.get("joining")) ?? null };
  day.listen(() => (ctx.services = day.services));
  kept.listen(async ({ kind, name }) => {
    if (kind !== "kept" || name !== "device") return;
    ctx.device = (await kept.get("device")) ?? null;
    if (!ctx.device) show(ctx); // forgotten in another tab: nothing of it stays in sight
  });
  showStrip(ctx);
  window.addEventListener("hashchange", () => show(ctx));
  show(ctx);
  outbox.configure({ onDuty: () => day.duty === "on", keepsPosition: (type) => keepsPosition(day.services, type), whereIs: (stop) => day.stop(stop)?.address });
  openScanner(ctx);
  startSending();
  keepCarrying(kept);
  keepLoading(ctx);
  watchUpdates(ctx);
}

function keepLoading(ctx) {
  const load = () => ctx.device && document.visibilityState === "visible" && ctx.day.load();
  load();
  setInterval(load, LOADS_EVERY_MS);
  document.addEventListener("visibilitychange", load);
  window.addEventListener("online", load);
  onExpired(() => ctx.day.told());
}

start().catch((fault) => {
  $("title").textContent = say("cannot_open");
  $("screen").replaceChildren(el("p", { class: "notice notice--danger" }, say("cannot_open_what")));
  throw fault;
});
