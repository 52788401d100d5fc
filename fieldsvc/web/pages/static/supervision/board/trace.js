// Where the stops of a round are along its line. Pure.

import { measure, piece } from "../line.js";

const NEAR_M = 12; // how much farther away the line may be, where it passes a stop more than once
const SAME_M = 25; // feet of one passing
const M_PER_DEGREE = 111_320;

// Read a round's GeoJSON: its line measured, and its stops with the metres at which the line meets them, in their order.
export function trace(features) {
  const line = measure(features.find(({ geometry }) => geometry.type === "LineString").geometry.coordinates);
  const stops = features.filter(({ geometry }) => geometry.type === "Point");
  let from = 0;
  const placed = stops.map(({ geometry, properties }) => {
    const at = along(line, geometry.coordinates, from);
    from = at;
    return { ...stopOf(properties), place: geometry.coordinates, at };
  });
  return { line, stops: placed, byId: new Map(placed.map((stop) => [stop.id, stop])) };
}

export function stopOf({ stop_id, sequence, address, delivery_point_id }) {
  return { id: stop_id, sequence, address: address ?? null, point: delivery_point_id };
}

// The piece of a round's line from one stop to another.
export function between(traced, first, last) {
  const [one, other] = [traced.byId.get(first), traced.byId.get(last)];
  if (!one || !other) return null;
  return piece(traced.line, Math.min(one.at, other.at), Math.max(one.at, other.at));
}

// The first place of the line behind `from` that is about as near as any; the nearest of all where none lies behind it.
function along(line, place, from) {
  const feet = line.coordinates.slice(1).map((_, n) => foot(line, n, place));
  const nearest = feet.reduce((one, other) => (other.away < one.away ? other : one));
  const close = feet.filter(({ at, away }) => at >= from - 1e-6 && away <= nearest.away + NEAR_M);
  if (!close.length) return nearest.at;
  return close.reduce((one, other) => (other.at - one.at < SAME_M && other.away < one.away ? other : one)).at;
}

function foot(line, n, [lon, lat]) {
  const [a, b] = [line.coordinates[n], line.coordinates[n + 1]];
  const squeeze = Math.cos((lat * Math.PI) / 180);
  const [dx, dy] = [(b[0] - a[0]) * squeeze, b[1] - a[1]];
  const [px, py] = [(lon - a[0]) * squeeze, lat - a[1]];
  const size = dx * dx + dy * dy;
  const share = size ? Math.min(1, Math.max(0, (px * dx + py * dy) / size)) : 0;
  return { at: line.at[n] + (line.at[n + 1] - line.at[n]) * share, away: Math.hypot(px - dx * share, py - dy * share) * M_PER_DEGREE };
}
