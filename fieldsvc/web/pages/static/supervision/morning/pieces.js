// The rounds of the morning on the map: what nobody walks, and each piece of a proposal in the tone of who takes it.

import { feature } from "../board/map.js";
import { between, trace } from "../board/trace.js";
import { letter, takers } from "./cover.js";

const NOBODY = 3;

// The lines of rounds that nobody walks, before there is a proposal. `rounds` maps a round's id to its GeoJSON line.
export function missingFeatures(list, rounds) {
  return list.map(({ run }) => rounds.get(run.round_id)).filter(Boolean).map((line) => feature("gap", line.geometry.coordinates, { tone: NOBODY }));
}

// `documents` maps a round's id to its GeoJSON features; `roundOf(runId)` names the round of a run.
export function pieceFeatures(proposal, documents, roundOf) {
  const traced = new Map();
  const of = (runId) => {
    const id = roundOf(runId);
    if (!traced.has(id) && documents.has(id)) traced.set(id, trace(documents.get(id)));
    return traced.get(id) ?? null;
  };
  const lines = takers(proposal).flatMap((taker) => taker.pieces.flatMap((piece) => drawn(of(piece.run_id), piece, taker.tone % 10)));
  return [...lines, ...left(proposal, of)];
}

function drawn(traced, piece, tone) {
  if (!traced) return [];
  const path = between(traced, piece.from_stop, piece.to_stop);
  const stops = piece.stop_ids.map((id) => traced.byId.get(id)).filter(Boolean);
  const middle = traced.byId.get(piece.stop_ids[Math.floor(piece.stop_ids.length / 2)] ?? piece.from_stop);
  return [
    ...(path && stops.length > 1 ? [feature("line", path, { tone })] : []),
    ...stops.map(({ place }) => feature("stop", place, { tone })),
    ...(middle ? [feature("head", middle.place, { tone, label: letter(tone) })] : []),
  ];
}

function left(proposal, of) {
  return proposal.undone.flatMap((line) => {
    const traced = of(line.run_id);
    const stops = traced ? line.stops.map((id) => traced.byId.get(id)).filter(Boolean) : [];
    const gap = stops.length > 1 ? [feature("gap", between(traced, stops[0].id, stops.at(-1).id), { tone: NOBODY })] : [];
    return [...gap, ...stops.map(({ place }) => feature("stop", place, { tone: NOBODY }))];
  });
}
