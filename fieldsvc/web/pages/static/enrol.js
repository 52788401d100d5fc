// The phone takes its one-time code and shows how positions can be sent. The code stays in the fragment: no log has it.
import { copy, say } from "./base.js";
import { forgetDevice, keepDevice, keptDevice, redeem } from "./joining.js";

const at = (id) => document.getElementById(id);
const go = at("go");

function readFragment() {
  let code = location.hash.slice(1);
  try {
    code = decodeURIComponent(code);
  } catch {
    // typed by hand, with a lone %: taken as it is
  }
  return /^[\w\s-]{1,40}$/.test(code) ? code.toUpperCase() : "";
}

function complain(text) {
  at("code-fault").textContent = text;
  if (text) {
    at("code").setAttribute("aria-invalid", "true");
    at("code").focus();
  } else {
    at("code").removeAttribute("aria-invalid");
  }
}

async function join(event) {
  event.preventDefault();
  const code = at("code").value.trim();
  complain(code ? "" : say("code_needed"));
  if (!code || go.disabled) return;
  go.disabled = true;
  go.textContent = say("joining");
  const { device, fault } = await redeem(code);
  go.disabled = false;
  go.textContent = say("join");
  if (!device) {
    complain(fault);
    return;
  }
  history.replaceState(null, "", location.pathname + location.search);
  showReady(device, keepDevice(device));
  at("who").focus();
}

function fill(id, value) {
  const field = at(id);
  field.closest(".field").hidden = !value;
  field.value = value ?? "";
}

function link(id, href) {
  const anchor = at(id);
  anchor.hidden = !href;
  if (href) anchor.href = href;
}

function showReady(device, isKept) {
  const apps = device.apps ?? {};
  const who = { carrier: device.carrier ?? "", round: device.round ?? "" };
  at("who").textContent = say(device.round ? "ready_round" : "ready", who) + (isKept ? "" : ` ${say("not_kept")}`);
  link("owntracks-link", apps.owntracks?.link);
  for (const part of ["url", "user", "password", "passphrase"]) fill(`owntracks-${part}`, device.owntracks?.[part]);
  link("traccar-link", apps.traccar?.link);
  link("traccar-start", apps.traccar?.start_link);
  fill("traccar-url", apps.traccar?.url ?? device.osmand?.url);
  fill("osmand-url", apps.osmand?.url ?? device.osmand?.url);
  at("join").hidden = true;
  at("ready").hidden = false;
  at("title").textContent = say("done");
  document.title = `${say("done")} · fieldsvc`;
}

function showForm() {
  at("ready").hidden = true;
  at("join").hidden = false;
  at("title").textContent = say("title");
  at("code").value = readFragment();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const before = button.textContent;
  button.addEventListener("click", async () => {
    const field = at(button.dataset.copy);
    const done = await copy(field.value, field);
    at("said").textContent = say(done ? "copied" : "not_copied");
    if (!done) return;
    button.textContent = say("copied");
    setTimeout(() => (button.textContent = before), 2500);
  });
}
for (const change of document.querySelectorAll("[data-switch]")) {
  change.addEventListener("click", () => (change.hash = location.hash)); // the code goes along to the other language
}
at("forget").addEventListener("click", () => {
  forgetDevice();
  showForm();
  at("code").focus();
});
at("join").addEventListener("submit", join);
at("who").tabIndex = -1;

const device = keptDevice();
if (device && !location.hash) showReady(device, true);
else showForm();
window.addEventListener("hashchange", () => {
  if (location.hash && !at("join").hidden) at("code").value = readFragment();
});
