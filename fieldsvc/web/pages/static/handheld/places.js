// The tasks and stops of a sheet, found by their names; and which stop comes next. No page, no network.

/** Find one's way in a sheet: {all, bySubject, byStop, place}; a task is {...task, stop_id, address, sequence}. */
export function placed(sheet) {
  const stops = sheet?.stops ?? [];
  const at = (stop) => (task) => ({ ...task, stop_id: stop.stop_id, address: stop.address, sequence: stop.sequence });
  const all = [...stops.flatMap((stop) => stop.tasks.map(at(stop))), ...(sheet?.tasks_without_stop ?? [])];
  return {
    all,
    bySubject: new Map(all.map((task) => [task.subject, task])),
    byStop: new Map(stops.map((stop) => [stop.stop_id, stop])),
    place: new Map(stops.map((stop, index) => [stop.stop_id, index])),
  };
}

/** The next stop of a day with something left to do, from where something was done last; null if nothing is left. */
export function nextStop(day) {
  const open = day.stops.filter((stop) => stop.tasks.some((task) => day.isOpen(task)));
  const last = lastPlace(day);
  return open.find((stop) => day.place.get(stop.stop_id) > last) ?? open[0] ?? null;
}

function lastPlace(day) {
  const done = day.all.filter((task) => task.stop_id && !day.isOpen(task));
  const at = (task) => Math.max(...Object.values(day.factsOf(task.subject)));
  const newest = done.reduce((one, other) => (one && at(one) >= at(other) ? one : other), null);
  return newest ? day.place.get(newest.stop_id) - 1 : -1;
}
