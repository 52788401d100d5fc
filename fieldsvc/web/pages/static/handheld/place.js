// Where the phone is, for a proof only: one reading of its position, which nothing ever waits for longer than a moment.

export const MOMENT_MS = 600;
const OLDEST_MS = 20_000;
const KNOWN_MS = 120_000;

let last = null;

/** Give the last reading of this page, for what cannot wait even for a moment; null if it is older than two minutes. */
export function lastReading(now = Date.now()) {
  return last && Math.abs(now - Date.parse(last.fixed_at)) <= KNOWN_MS ? last : null;
}

/** Read the position as an event carries it; null if it is not allowed, or not there within `within` milliseconds. */
export async function reading(within = MOMENT_MS) {
  if (!navigator.geolocation) return null;
  const allowed = await navigator.permissions?.query({ name: "geolocation" }).catch(() => null);
  if (allowed && allowed.state !== "granted") return null; // nobody is asked at the door: the start of duty does that
  return new Promise((resolve) => {
    const late = setTimeout(resolve, within, null);
    const end = (fix) => {
      clearTimeout(late);
      resolve(fix);
    };
    const options = { enableHighAccuracy: true, maximumAge: OLDEST_MS, timeout: within };
    navigator.geolocation.getCurrentPosition((found) => end(fixOf(found)), () => end(null), options);
  });
}

/** Ask for the permission, as duty starts: "granted", "denied", or "prompt" if the carrier did not answer. */
export async function askForPlace() {
  if (!navigator.geolocation) return "denied";
  await new Promise((resolve) => navigator.geolocation.getCurrentPosition(resolve, resolve, { maximumAge: Infinity, timeout: 15_000 }));
  return (await navigator.permissions?.query({ name: "geolocation" }).catch(() => null))?.state ?? "prompt";
}

function fixOf({ coords, timestamp }) {
  const round = (number, digits) => Number(number.toFixed(digits));
  last = {
    lat: round(coords.latitude, 6),
    lon: round(coords.longitude, 6),
    accuracy_m: round(coords.accuracy, 1),
    fixed_at: new Date(timestamp).toISOString(),
  };
  return last;
}
