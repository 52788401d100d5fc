// What every page that takes a phone's one-time code shares. The code stays in the fragment: no log has it.
import { ask, say } from "./base.js";

const KEPT = "fieldsvc.device";

/** Return the device that was joined in this browser, or null. */
export function keptDevice() {
  try {
    const device = JSON.parse(localStorage.getItem(KEPT));
    return device && device.token ? device : null;
  } catch {
    return null;
  }
}

/** Keep a device; false where this browser keeps nothing. */
export function keepDevice(device) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(device));
    return true;
  } catch {
    return false;
  }
}

export function forgetDevice() {
  try {
    localStorage.removeItem(KEPT);
  } catch {
    // nothing is kept here
  }
}

/** Redeem a code: {status, device, fault}; device is null unless it worked, fault says what is so and what to do. */
export async function redeem(code) {
  const { status, body } = await ask("/v1/devices/enrol", { method: "POST", body: { code } });
  return status === 201 ? { status, device: body, fault: "" } : { status, device: null, fault: whyNot(status) };
}

/**
 * Return the device of the phone's page; one that was joined at /enrol since is taken over from there. `kept` is the page's own.
 */
export async function takeOver(kept) {
  const [own, other] = [(await kept.get("device")) ?? null, keptDevice()];
  if (!other || other.token === own?.token || (own && (await kept.get("expired")) !== own.device_id)) return own;
  await kept.set("device", other);
  return other;
}

function whyNot(status) {
  if (status === 0) return say(navigator.onLine ? "unreachable" : "offline");
  if (status === 429) return say("too_many");
  if (status >= 500) return say("unavailable");
  return say("bad_code");
}
