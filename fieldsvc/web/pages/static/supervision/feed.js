// The live stream as a tab sees it: through the shared worker where there is one, else by a connection of its own.

import { follow } from "./stream.js";

const HERE_MS = 20000;

// Follow `url`; `tell(message)` gets {kind: event | alive | state, …}, with `age`, the
// milliseconds since the server was heard, and `ahead`, those by which its clock is ahead of this one. Returns {stop, hurry}.
export function listen(url, workerUrl, tell) {
  if (typeof SharedWorker === "undefined") return alone(url, tell);
  const worker = new SharedWorker(workerUrl, { type: "module", name: "fieldsvc-live" });
  const say = (kind) => worker.port.postMessage({ kind, url });
  worker.port.onmessage = ({ data }) => tell(data);
  worker.port.start();
  say("here");
  const beat = setInterval(say, HERE_MS, "here");
  addEventListener("pagehide", () => say("bye"));
  addEventListener("pageshow", (event) => event.persisted && say("here"));
  return {
    hurry: () => say("hurry"),
    stop() {
      clearInterval(beat);
      say("bye");
      worker.port.close();
    },
  };
}

function alone(url, tell) {
  const stream = follow(url, {
    onEvent: (name, data) => tell({ kind: "event", name, data, age: 0, ahead: Date.parse(data.t) - Date.now() }),
    onAlive: () => tell({ kind: "alive", age: 0 }),
    onState: (state) => tell({ kind: "state", state }),
  });
  addEventListener("pagehide", () => stream.stop());
  return stream;
}
