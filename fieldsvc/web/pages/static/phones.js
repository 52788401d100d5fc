// The supervisor makes a one-time code for a phone, and shows it.
import { ask, clock, copy, say } from "./base.js";

const at = (id) => document.getElementById(id);
const form = at("make");
const go = at("go");
const site = form.dataset.site;
let ticking = 0;
let made = null;

/** Offer the day's rounds and carriers; without them the form works as well. */
async function offerRounds() {
  const { status, body } = await ask(`/v1/runs?site=${encodeURIComponent(site)}&limit=500`);
  if (status !== 200) return;
  const runs = [...body.runs].sort((one, other) => one.round_id.localeCompare(other.round_id, undefined, { numeric: true }));
  at("round").append(...runs.map((run) => new Option([run.round_id, run.name, run.carrier].filter(Boolean).join(" · "), run.round_id)));
  const carriers = [...new Set(runs.map((run) => run.carrier).filter(Boolean))].sort();
  at("carriers").append(...carriers.map((name) => new Option(name, name)));
  at("carrier").addEventListener("change", () => {
    const own = runs.find((run) => run.carrier === at("carrier").value.trim());
    if (own && !at("round").value) at("round").value = own.round_id;
  });
}

function complainOfCarrier(text) {
  at("carrier-fault").textContent = text;
  at("carrier-fault").hidden = !text;
  at("carrier").toggleAttribute("aria-invalid", Boolean(text));
  if (text) {
    at("carrier").setAttribute("aria-invalid", "true");
    at("carrier").focus();
  }
}

function complain(text) {
  const line = document.createElement("p");
  line.className = "notice notice--danger";
  line.textContent = text;
  at("fault").replaceChildren(...(text ? [line] : []));
}

function whyNot(status) {
  if (status === 0) return say("offline");
  if (status === 401 || status === 403) return say("session_over");
  if (status === 429) return say("too_many");
  if (status >= 500) return say("unavailable");
  return say("refused");
}

async function make(event) {
  event.preventDefault();
  const carrier = at("carrier").value.trim();
  complain("");
  complainOfCarrier(carrier ? "" : say("carrier_needed"));
  if (!carrier || go.disabled) return;
  const round = at("round").value;
  go.disabled = true;
  go.textContent = say("making");
  const { status, body } = await ask("/v1/devices/codes", {
    method: "POST",
    headers: { "X-CSRF-Token": form.dataset.csrf },
    body: round ? { carrier, round } : { carrier },
  });
  go.disabled = false;
  go.textContent = say("make_another");
  if (status === 201) show(body, carrier);
  else complain(whyNot(status));
}

function show(answer, carrier) {
  made = { ...answer, ends: new Date(answer.expires_at) };
  at("qr").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(answer.qr_svg)}`;
  at("code").textContent = answer.code;
  at("where").textContent = answer.url.split("#")[0];
  at("shown-title").textContent = say("for", { carrier });
  at("before").hidden = true;
  at("shown").hidden = false;
  at("said").textContent = say("made", { carrier, time: clock(made.ends) });
  at("shown-title").focus();
  clearInterval(ticking);
  ticking = setInterval(tick, 1000);
  tick();
}

function tick() {
  const left_s = Math.max(0, Math.round((made.ends - Date.now()) / 1000));
  if (left_s > 0) {
    const minutes = Math.ceil(left_s / 60);
    at("ends").textContent = say(minutes === 1 ? "ends_soon" : "ends", { time: clock(made.ends), minutes });
    return;
  }
  clearInterval(ticking);
  at("shown").hidden = true;
  at("before").hidden = false;
  at("shown-title").textContent = say("over");
  at("said").textContent = say("over");
}

at("copy").addEventListener("click", async () => {
  at("said").textContent = (await copy(made.url)) ? say("copied") : say("not_copied");
  at("copy").textContent = at("said").textContent;
});
form.addEventListener("submit", make);
go.disabled = false;
offerRounds();
