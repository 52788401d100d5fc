// The pages of subscribers: copying, and parts that stay live. Without it every page works; it only shows less at once.

import { copy, say } from "./base.js";

const EVERY_MS = 3000;
const parts = [...document.querySelectorAll("[data-live]")];
const said = document.getElementById("live-said");
const knob = document.getElementById("live-switch");
let running = parts.length > 0;

for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const before = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    if (!(await copy(source.textContent))) return getSelection().selectAllChildren(source);
    button.textContent = say("copied");
    setTimeout(() => (button.textContent = before), 2000);
  });
}

if (knob) {
  knob.hidden = false;
  knob.addEventListener("click", () => {
    running = !running;
    show();
  });
  show();
}
if (parts.length) setInterval(() => document.hidden || !running || read(), EVERY_MS);

function show() {
  knob.setAttribute("aria-pressed", String(running));
  knob.textContent = say(running ? "on" : "off");
}

/** Read this page again and take over the parts that changed; a part that somebody is in stays as it is. */
async function read() {
  const address = new URL(location.href);
  address.searchParams.delete("done");
  const answer = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin", signal: AbortSignal.timeout(15000) }).catch(() => null);
  if (!answer) return;
  if (!answer.ok) {
    running = false;
    if (knob) show();
    if (said) said.textContent = say("lost");
    said?.classList.remove("visually-hidden");
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const next = fresh.getElementById(part.id);
    if (!running || !next || part.contains(document.activeElement) || next.innerHTML === part.innerHTML) continue;
    const known = new Set([...part.querySelectorAll("[data-row]")].map((row) => row.dataset.row));
    part.replaceChildren(...next.childNodes);
    const rows = [...part.querySelectorAll("[data-row]")].filter((row) => !known.has(row.dataset.row));
    rows.forEach((row) => row.classList.add("is-new"));
    if (rows.length && said) said.textContent = say("more", { n: rows.length });
  }
}
