"""Compare what was scanned with what the run expects: a misread id is one wrong character or one swap away from the right one."""

from collections.abc import Sequence
from dataclasses import replace

from fieldsvc.intake.location import Place
from fieldsvc.work.rounds import RunPlan
from handlers.item_ids import candidates


def compared(place: Place, plan: RunPlan | None, subjects: Sequence[str]) -> Place:
    """Warn of ids that the run does not expect and that are like ones it does; what is simply not announced is no fault."""
    if plan is None:
        return place
    known, others, found = plan.stop_of_subject, frozenset(subjects), dict[str, list[str]]()
    for subject in subjects:
        kind, _, name = subject.partition("/")
        near = [each for each in candidates(name, known, prefix=f"{kind}/") if f"{kind}/{each}" not in others]
        if near:
            found[name] = near
    return replace(place, warnings=(*place.warnings, "unexpected_item"), candidates=found) if found else place
