// Places along a line. Pure: no page, no clock.

const EARTH_M = 6371008.8;
const RADIANS = Math.PI / 180;

// Measure a line of [lon, lat]: metres from its start at each of its points. `lengthM` is the length that the server
// counts in, and every distance given to the other functions is one of the server's.
export function measure(coordinates, lengthM = null) {
  const at = new Float64Array(coordinates.length);
  for (let n = 1; n < coordinates.length; n += 1) at[n] = at[n - 1] + gap(coordinates[n - 1], coordinates[n]);
  const total = at[at.length - 1] || 0;
  const scale = lengthM && total ? lengthM / total : 1;
  for (let n = 0; n < at.length; n += 1) at[n] *= scale;
  return { coordinates, at, length: total * scale };
}

export function pointAt(line, distance) {
  const { at, coordinates } = line;
  const last = at.length - 1;
  if (distance <= 0) return coordinates[0];
  if (distance >= at[last]) return coordinates[last];
  const n = indexAt(at, distance);
  const span = at[n + 1] - at[n];
  const share = span ? (distance - at[n]) / span : 0;
  const [a, b] = [coordinates[n], coordinates[n + 1]];
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share];
}

// Return the piece of the line between two distances: at least two points, so that it can always be drawn.
export function piece(line, from, to) {
  const { at, coordinates } = line;
  const first = pointAt(line, from);
  const found = [first];
  for (let n = indexAt(at, Math.max(0, from)) + 1; n < at.length && at[n] < Math.min(to, line.length); n += 1) {
    if (at[n] > from) found.push(coordinates[n]);
  }
  found.push(pointAt(line, to));
  return found;
}

export function boundsOf(lines) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const line of lines) {
    for (const [lon, lat] of line) {
      box[0] = Math.min(box[0], lon);
      box[1] = Math.min(box[1], lat);
      box[2] = Math.max(box[2], lon);
      box[3] = Math.max(box[3], lat);
    }
  }
  return box[0] <= box[2] ? [[box[0], box[1]], [box[2], box[3]]] : null;
}

function indexAt(at, distance) {
  let low = 0;
  let high = at.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at[middle] <= distance) low = middle;
    else high = middle;
  }
  return low;
}

function gap([lon0, lat0], [lon1, lat1]) {
  const dLat = (lat1 - lat0) * RADIANS;
  const dLon = (lon1 - lon0) * RADIANS;
  const h = Math.sin(dLat / 2) ** 2 + Math.cos(lat0 * RADIANS) * Math.cos(lat1 * RADIANS) * Math.sin(dLon / 2) ** 2;
  return 2 * EARTH_M * Math.asin(Math.min(1, Math.sqrt(h)));
}
