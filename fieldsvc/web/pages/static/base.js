// What every script of the pages shares: words, times as they are written here, one way to ask the service, copying.

const found = document.getElementById("words");
export const words = found ? JSON.parse(found.textContent) : {};
export const language = document.documentElement.lang;

/** Fill the {parts} of a phrase in. */
export function say(key, parts = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => parts[name] ?? whole);
}

/** Write a time of day: 10 h 42 in French, 10:42 in English. */
export function clock(date) {
  const two = (number) => String(number).padStart(2, "0");
  return language === "fr"
    ? `${date.getHours()}\u00a0h\u00a0${two(date.getMinutes())}`
    : `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/**
 * Ask the service. Always answers {status, body}: status 0 means that it was not reached, and body is null without JSON.
 */
export async function ask(path, { method = "GET", body, headers = {} } = {}) {
  const late = new AbortController();
  const waiting = setTimeout(() => late.abort(), 20_000);
  try {
    const answer = await fetch(path, {
      method,
      headers: { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
      body: body ? JSON.stringify(body) : undefined,
      credentials: "same-origin",
      signal: late.signal,
    });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  } catch {
    return { status: 0, body: null };
  } finally {
    clearTimeout(waiting);
  }
}

/** Put a text on the clipboard; where that is not allowed, select the field so that the person can. */
export async function copy(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field?.focus();
    field?.select?.();
    return false;
  }
}
