// On duty or not: what a run's state means for its carrier, and what is said when that changes.

const DUTY_OF = { planned: "off", started: "on", paused: "paused", ended: "ended" };
const EVENT_OF = { on: "run.started", mandate: "run.started", paused: "run.paused", ended: "run.ended" };

/** off, on, paused or ended, as the service knows the run. */
export function dutyOf(run) {
  return DUTY_OF[run?.state] ?? "off";
}

/** The event that says a change of duty from what it `was`. */
export function dutyEvent(duty, { was, run }) {
  const type = duty === "on" && was === "paused" ? "run.resumed" : EVENT_OF[duty];
  return { type, subject: `run/${run}`, data: { run_id: run, ...(type === "run.started" ? { duty } : {}) } };
}

/** What this phone said of its duty, as far as the service's answer agrees. */
export function sameDuty(own, state) {
  return own === "mandate" && state === "started" ? own : (DUTY_OF[state] ?? own);
}
