// Shared by every tab of the browser: one connection to /v1/live for all of them.

import { empty, snapshotOf, take } from "./state.js";
import { follow } from "./stream.js";

const GONE_MS = 150000; // a hidden tab may speak only once a minute
const hubs = new Map();

self.onconnect = (event) => {
  const port = event.ports[0];
  port.onmessage = ({ data }) => hear(port, data);
};

setInterval(() => {
  for (const hub of hubs.values()) {
    for (const [port, heardAt] of hub.ports) if (Date.now() - heardAt > GONE_MS) leave(hub, port);
  }
}, 30000);

function hear(port, message) {
  const hub = hubs.get(message.url) ?? open(message.url);
  if (message.kind === "bye") return leave(hub, port);
  const isNew = !hub.ports.has(port);
  hub.ports.set(port, Date.now());
  if (message.kind === "hurry") hub.stream.hurry();
  if (!isNew) return undefined;
  if (hub.state.at) port.postMessage({ kind: "event", name: "snapshot", data: snapshotOf(hub.state), age: Date.now() - hub.heardAt, ahead: hub.ahead });
  return port.postMessage({ kind: "state", state: hub.said });
}

function open(url) {
  const hub = { url, ports: new Map(), state: empty(), said: "opening", heardAt: 0, ahead: -Infinity };
  hubs.set(url, hub);
  hub.stream = follow(url, {
    onEvent(name, data) {
      take(hub.state, name, data);
      hub.ahead = Math.max(hub.ahead, Date.parse(data.t) - Date.now());
      tell(hub, { kind: "event", name, data, age: 0, ahead: hub.ahead });
    },
    onAlive() {
      hub.heardAt = Date.now();
      tell(hub, { kind: "alive", age: 0 });
    },
    onState(state) {
      hub.said = state;
      tell(hub, { kind: "state", state });
      if (state === "expired" || state === "refused") hubs.delete(url);
    },
  });
  return hub;
}

function leave(hub, port) {
  hub.ports.delete(port);
  if (hub.ports.size === 0) {
    hub.stream.stop();
    hubs.delete(hub.url);
  }
}

function tell(hub, message) {
  for (const port of hub.ports.keys()) port.postMessage(message);
}
