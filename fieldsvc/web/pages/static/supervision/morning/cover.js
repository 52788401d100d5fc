// A proposal of cover as people read it: by who takes what, and what stays undone. Pure.

// `proposal` as the API answers it. Takers get a tone and a letter in the order of their first piece.
export function takers(proposal) {
  const found = new Map();
  for (const piece of proposal.pieces) {
    if (!found.has(piece.to_run)) {
      const minutes = proposal.minutes_by_run[piece.to_run] ?? { own: 0, added: 0, overtime: 0 };
      found.set(piece.to_run, { run: piece.to_run, carrier: piece.carrier, tone: found.size, letter: letter(found.size), ...minutes, pieces: [] });
    }
    found.get(piece.to_run).pieces.push(piece);
  }
  return [...found.values()];
}

export function letter(n) {
  return String.fromCharCode(65 + (n % 26));
}

// The sums of a proposal: stops given and left, minutes, and windows kept or missed.
export function sums(proposal) {
  const critical = proposal.pieces.flatMap((piece) => piece.critical).filter(({ window }) => window);
  const minutes = Object.values(proposal.minutes_by_run);
  return {
    takers: new Set(proposal.pieces.map(({ to_run }) => to_run)).size,
    rounds: new Set([...proposal.pieces, ...proposal.undone].map(({ run_id }) => run_id)).size,
    stops: proposal.pieces.reduce((all, { stop_ids }) => all + stop_ids.length, 0),
    left: proposal.undone.reduce((all, { stops }) => all + stops.length, 0),
    added: minutes.reduce((all, { added }) => all + added, 0),
    overtime: minutes.reduce((all, { overtime }) => all + overtime, 0),
    kept: critical.filter(({ in_time }) => in_time).length,
    missed: proposal.undone.reduce((all, { windows }) => all + windows.length, 0),
  };
}

// Which runs are covered wholly, and which are not, when this proposal is confirmed: as the service tells it.
export function outcome(proposal) {
  const left = new Set(proposal.undone.filter(({ stops, reason }) => stops.length || reason === "no_stop").map(({ run_id }) => run_id));
  const given = new Set(proposal.pieces.map(({ run_id }) => run_id));
  return { covered: [...given].filter((run) => !left.has(run)).sort(), notServed: [...left].sort() };
}
