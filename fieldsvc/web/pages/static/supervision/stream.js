// One live stream, read with fetch: unlike an EventSource it shows the server's pings and its status codes, and it
// resumes by Last-Event-ID after a refusal too.

const DELAYS_S = [0.5, 1, 2, 5, 10, 20];
const SILENCE_MS = 45000;

// Follow `url` until `stop()`. `onEvent(name, data)`, `onAlive()` at each byte, `onState(open | lost | expired | refused)`.
export function follow(url, { onEvent, onAlive, onState }) {
  const reading = { stopped: false, lastId: null, tries: 0, abort: null, wake: null };
  run(url, reading, { onEvent, onAlive, onState });
  return {
    stop() {
      reading.stopped = true;
      reading.abort?.abort();
      reading.wake?.();
    },
    hurry() {
      reading.tries = 0;
      reading.wake?.();
    },
  };
}

async function run(url, reading, tell) {
  while (!reading.stopped) {
    const waitS = await once(url, reading, tell);
    if (reading.stopped || waitS === null) return;
    tell.onState("lost");
    await new Promise((resolve) => {
      reading.wake = resolve;
      setTimeout(resolve, waitS * 1000);
    });
  }
}

// Read the stream until it ends; return the seconds to wait before the next try, or null for never.
async function once(url, reading, tell) {
  reading.abort = new AbortController();
  try {
    const headers = { Accept: "text/event-stream", ...(reading.lastId ? { "Last-Event-ID": reading.lastId } : {}) };
    const answer = await fetch(url, { headers, cache: "no-store", signal: reading.abort.signal });
    if (answer.status === 401) return refuse("expired", tell);
    if (answer.status === 400 || answer.status === 403 || answer.status === 404) return refuse("refused", tell);
    if (!answer.ok) return Math.max(delay(reading), Number(answer.headers.get("Retry-After")) || 0);
    tell.onState("open");
    await read(answer.body, reading, tell);
  } catch (error) {
    if (!(error instanceof TypeError || error.name === "AbortError")) {
      reading.lastId = null; // what cannot be understood is asked for whole
      reportError(error);
    }
  }
  return delay(reading);
}

function refuse(state, tell) {
  tell.onState(state);
  return null;
}

function delay(reading) {
  const most = DELAYS_S[Math.min(reading.tries, DELAYS_S.length - 1)];
  reading.tries += 1;
  return most * (0.5 + Math.random() / 2);
}

async function read(body, reading, tell) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = parser((event) => {
    if (event.id !== null) reading.lastId = event.id;
    reading.tries = 0;
    if (event.data) tell.onEvent(event.name, JSON.parse(event.data));
  });
  let watch = null;
  try {
    for (;;) {
      clearTimeout(watch);
      watch = setTimeout(() => reading.abort.abort(), SILENCE_MS);
      const { done, value } = await reader.read();
      if (done) return;
      tell.onAlive();
      parse(value);
    }
  } finally {
    clearTimeout(watch);
  }
}

// Split a text stream into events; what is cut in two waits for its other half. A comment is only a sign of life, and an
// event without data only carries its id.
export function parser(onEvent) {
  let rest = "";
  let event = fresh();
  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data || event.id !== null) onEvent({ ...event, data: event.data.slice(0, -1) });
        event = fresh();
      } else if (!line.startsWith(":")) {
        const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/.exec(line);
        if (field === "data") event.data += `${value}\n`;
        else if (field === "event") event.name = value;
        else if (field === "id") event.id = value;
      }
    }
  };
}

function fresh() {
  return { name: "message", id: null, data: "" };
}
