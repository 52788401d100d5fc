// A newer sheet made of the one this phone has and what differs (fieldsvc/work/sheet_delta.py says how).

/** Return the new sheet; `told` is a delta of the sheet that is kept, or a whole sheet. Null if the delta is of another version. */
export function newer(kept, told) {
  if (!told.delta) return told;
  if (!kept || kept.run_id !== told.run_id || kept.version !== told.since) return null;
  const { delta, since, stops, removed, order, ...members } = told;
  const changed = new Map(stops.map((stop) => [stop.stop_id, stop]));
  const gone = new Set(removed);
  const known = new Set(kept.stops.map((stop) => stop.stop_id));
  const found = kept.stops.filter((stop) => !gone.has(stop.stop_id)).map((stop) => changed.get(stop.stop_id) ?? stop);
  found.push(...stops.filter((stop) => !known.has(stop.stop_id)));
  return { ...kept, ...members, stops: order ? inOrder(found, order) : found };
}

function inOrder(stops, order) {
  const place = new Map(order.map((stopId, index) => [stopId, index]));
  return [...stops].sort((one, other) => place.get(one.stop_id) - place.get(other.stop_id));
}
