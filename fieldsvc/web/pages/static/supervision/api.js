// Requests of the page. A fault carries its status, so that the page can say what to do.

export class Fault extends Error {
  constructor(status) {
    super(`status ${status}`);
    this.status = status;
  }
}

export async function get(path) {
  return (await ask(path, {})).json();
}

export async function post(path) {
  const token = /(?:^|; )fieldsvc_csrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";
  return ask(path, { method: "POST", headers: { "X-CSRF-Token": decodeURIComponent(token), "Content-Type": "application/json" }, body: "{}" });
}

// Read every page of a list.
export async function getAll(path, name) {
  const found = [];
  let cursor = null;
  do {
    const url = new URL(path, location.href);
    if (cursor) url.searchParams.set("cursor", cursor);
    const page = await get(url.href);
    found.push(...page[name]);
    cursor = page.cursor ?? null;
  } while (cursor && found.length < 20000);
  return found;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-cache", ...options, signal: AbortSignal.timeout(15000) });
  } catch {
    throw new Fault(0);
  }
  if (!answer.ok) throw new Fault(answer.status);
  return answer;
}
