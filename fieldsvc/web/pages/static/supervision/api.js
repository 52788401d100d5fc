// Requests of the page. A fault carries its status, and the problem that was answered, so that the page can say what to do.

export class Fault extends Error {
  constructor(status, problem = null) {
    super(`status ${status}`);
    this.status = status;
    this.problem = problem;
  }

  get code() {
    return this.problem?.code ?? null;
  }
}

export async function get(path) {
  return (await ask(path, {})).json();
}

export async function post(path) {
  return send(path, {});
}

// Send a body as JSON and read the answer, which takes longer where something is worked out.
export async function send(path, body, { method = "POST", type = "application/json", within = 15000 } = {}) {
  const token = /(?:^|; )fieldsvc_csrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";
  const headers = { "X-CSRF-Token": decodeURIComponent(token), "Content-Type": type };
  const answer = await ask(path, { method, headers, body: JSON.stringify(body), within });
  return answer.status === 204 ? null : answer.json();
}

// Read every page of a list, of `limit` entries each where that is said.
export async function getAll(path, name, limit = null) {
  const found = [];
  let cursor = null;
  do {
    const url = new URL(path, location.href);
    if (limit) url.searchParams.set("limit", limit);
    if (cursor) url.searchParams.set("cursor", cursor);
    const page = await get(url.href);
    found.push(...page[name]);
    cursor = page.cursor ?? null;
  } while (cursor && found.length < 20000);
  return found;
}

async function ask(path, { within = 15000, ...options }) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-cache", ...options, signal: AbortSignal.timeout(within) });
  } catch {
    throw new Fault(0);
  }
  if (!answer.ok) throw new Fault(answer.status, await answer.json().catch(() => null));
  return answer;
}
