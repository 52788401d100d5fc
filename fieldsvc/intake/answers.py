"""The answer to an upload: its receipt, and what became of each member."""

from collections.abc import Sequence
from typing import Any

from fieldsvc.intake.formats.cloudevents import Sent
from fieldsvc.intake.location import Place
from fieldsvc.journal.submission import Outcome, Result


def answer_of(members: Sequence[Sent], places: Sequence[Place | None], outcome: Outcome) -> dict[str, Any]:
    """Write the answer's body, with a result for each member in the order sent."""
    results = [
        _result(sent, place, result) for sent, place, result in zip(members, places, outcome.results, strict=True)
    ]
    return {"receipt": outcome.receipt, "results": results}


def _result(sent: Sent, place: Place | None, result: Result) -> dict[str, Any]:
    told: dict[str, Any] = {"id": sent.sent_id, "status": result.status, "warnings": list(result.warnings)}
    if result.reason is not None:
        told["reason"] = result.reason
    if place is not None and result.status in ("accepted", "duplicate"):  # a phone may have lost the first answer
        told["located"] = dict(place.located)
        if place.nearest_stop_id is not None:
            told["located"]["nearest_stop_id"] = place.nearest_stop_id
        if place.candidates:
            told["answer"] = {"candidates": dict(place.candidates)}
    if result.answer is not None:
        told["answer"] = told.get("answer", {}) | dict(result.answer)
    return told
