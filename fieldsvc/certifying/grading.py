"""Judge a receiver by what it answered and, where it reports, by what it has applied. Pure.

A grade that could not be judged is "not shown", never "passed".
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson

from fieldsvc.certifying.day import Day, Wish
from fieldsvc.certifying.events import Event
from fieldsvc.certifying.report import Report
from fieldsvc.certifying.sending import TIMEOUT, Outcome, Record

PARKED_AFTER_MS = 2000
CLOCK_OFF_S = 60
_UNAUTHORISED = frozenset({401, 403})
_MEND = {
    "signature": "Verify over the raw bytes of the body, before parsing: HMAC-SHA256 of `id.timestamp.body` with each of your "
    "keys, against each `v1,` signature of the list, compared in constant time; refuse what is over five minutes off. Judge "
    "by webhook-timestamp, never by the event's `time`. Answer 401.",
    "order": "Apply the events of a subject in the order in which they come: `sequence` counts them, `time` does not (an event "
    "may be told hours late). Answer 2xx only when the event is kept.",
    "dedup": "Keep the ids of applied events, under a unique key in the same transaction as what they change; answer 200 to an "
    "id that you have.",
    "tombstones": "On `person.erased` delete what you hold of `data.person`: the reference of your order, or the id of its "
    "subject; and answer 2xx. An event may come again with `erased: true` and less data.",
    "speed": "Keep the event, answer, and work afterwards: after 15 seconds the answer counts as none, and the event comes again.",
    "robustness": "Answer 2xx, or 4xx to what you cannot use, and go on: after a redirect, a 5xx or a lost connection the event "
    "comes again, and holds up its subject.",
}  # fmt: skip


class Result(StrEnum):
    """How a grade, or the whole day, came out."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True)
class Grade:
    """One grade, in a sentence, and what to mend if it failed."""

    name: str
    result: Result
    says: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to judge by; `ended_early` says why the day did not go to its end."""

    day: Day
    records: Sequence[Record]
    report: Report | None = None
    ended_early: str = ""

    @property
    def taken(self) -> list[Record]:
        """The records whose request was acknowledged in the end, leaving out forgeries."""
        return [record for record in self.records if record.step.wish is not Wish.REFUSE and record.last.ok]

    def of(self, *wishes: Wish) -> list[Record]:
        """The records of requests of which a good receiver does one of these."""
        return [record for record in self.records if record.step.wish in wishes]

    def given_up(self, grade: str) -> list[Record]:
        """The records that count against a grade and were never acknowledged, for another reason than key or time.

        Where a receiver fails as a whole, all of them count against its robustness.
        """
        wanted = [each for each in self.of(Wish.TAKE) if not each.last.ok and grade == self._grade_of(each)]
        return [each for each in wanted if not _is_disbelieved(each) and each.last.error != TIMEOUT]

    def _grade_of(self, record: Record) -> str:
        """Name the grade; a copy of what could never be taken in that form says nothing about copies."""
        counts_as, is_batch = record.step.counts_as, record.step.is_batch
        forms = {each.step.is_batch for each in self.taken}
        return "robustness" if self.ended_early or counts_as == "signature" or is_batch not in forms else counts_as

    def events(self, *wishes: Wish) -> dict[str, Event]:
        """The events of requests of which a good receiver does one of these, by id."""
        return {event.id: event for record in self.of(*wishes) for event in record.step.events}


def judge(seen: Seen) -> list[Grade]:
    """Give every grade."""
    judges = (_signature, _order, _dedup, _tombstones, _speed, _robustness)
    return [each(seen) for each in judges]


def result_of(grades: Iterable[Grade]) -> Result:
    """Say how the whole came out: failed if anything did, passed if everything did."""
    results = {grade.result for grade in grades}
    if Result.FAILED in results:
        return Result.FAILED
    return Result.NOT_SHOWN if Result.NOT_SHOWN in results else Result.PASSED


def notes(seen: Seen) -> list[str]:
    """Say what is no fault but good to know."""
    found = []
    if (off_s := clock_off_s(seen.records)) > CLOCK_OFF_S:
        found.append(f"Your clock and this one differ by {off_s:.0f} s; at five minutes nothing is accepted any more.")
    if (p99 := times(seen.records).get("p99", 0)) > PARKED_AFTER_MS:
        found.append(
            f"One answer in a hundred takes over {p99 / 1000:.1f} s; the service sets a subject aside after 2 s."
        )
    refused = [
        record.step.about for record in seen.of(Wish.TAKE_OR_REFUSE) if record.last.status and not record.last.ok
    ]
    if refused:
        found.append(f"Refused, and would end as dead letters: {_listed(refused)}.")
    if again := sum(
        each.status is not None and each.status >= 500 for record in seen.taken for each in record.outcomes
    ):
        found.append(f"{again} requests got a 5xx before they were taken.")
    return found


def times(records: Iterable[Record]) -> dict[str, float]:
    """Return p50, p99 and the longest of the answered requests, in ms; those whose body came slowly are left out."""
    taken = sorted(
        outcome.ms for record in records if not record.step.is_slow for outcome in record.outcomes if outcome.ok
    )
    if not taken:
        return {}
    return {"p50": taken[len(taken) // 2], "p99": taken[min(len(taken) * 99 // 100, len(taken) - 1)], "max": taken[-1]}


def clock_off_s(records: Iterable[Record]) -> float:
    """Return by how much the receiver's clock is off, by the middle of its `Date` headers."""
    found = sorted(abs(outcome.clock_off_s) for record in records for outcome in record.outcomes if outcome.status)
    return found[len(found) // 2] if found else 0.0


def _grade(name: str, faults: Sequence[str], *, shown: bool, well: str, hidden: str) -> Grade:
    if faults:
        return Grade(name, Result.FAILED, " ".join(faults), _MEND[name])
    return Grade(name, Result.PASSED, well) if shown else Grade(name, Result.NOT_SHOWN, hidden)


def _signature(seen: Seen) -> Grade:
    forged = seen.of(Wish.REFUSE)
    accepted = [record.step.about for record in forged if record.last.ok]
    refused = [record.step.about for record in seen.of(Wish.TAKE, Wish.TAKE_OR_REFUSE) if _is_disbelieved(record)]
    applied = {each.id for each in seen.report.applied} & seen.events(Wish.REFUSE).keys() if seen.report else set()
    faults = [f"Accepted: {_listed(accepted)}."] if accepted else []
    faults += [f"Refused although it was signed rightly: {_listed(refused)}."] if refused else []
    if applied and not accepted:
        faults.append(f"Applied {len(applied)} events of requests that it had refused.")
    if seen.report and seen.day.spared in (seen.report.erased or ()) and not accepted:
        faults.append("Carried out an erasure that nobody signed.")
    return _grade(
        "signature", faults,
        shown=bool(forged and seen.taken) and not seen.ended_early,
        well=f"{len(forged)} forged requests refused, {len(seen.taken)} signed ones accepted, through a change of keys.",
        hidden=_why_hidden(seen),
    )  # fmt: skip


def _order(seen: Seen) -> Grade:
    if seen.report is None:
        return Grade("order", Result.NOT_SHOWN, _unreported(seen))
    known = seen.events(Wish.TAKE, Wish.TAKE_OR_REFUSE)
    firsts = [known[each] for each in dict.fromkeys(each.id for each in seen.report.applied) if each in known]
    newest: dict[str, int] = {}
    inverted = []
    for event in firsts:
        if event.sequence < newest.get(event.subject, 0):
            inverted.append(f"{event.subject} got {event.sequence} after {newest[event.subject]}")
        newest[event.subject] = max(event.sequence, newest.get(event.subject, 0))
    owed = {event.id for record in seen.taken if record.step.wish is Wish.TAKE for event in record.step.events}
    missing = owed - {event.id for event in firsts}
    faults = [f"Out of order: {_listed(inverted)}."] if inverted else []
    faults += [f"{len(missing)} of {len(owed)} events were acknowledged and never applied."] if missing else []
    return _grade(
        "order", faults,
        shown=bool(firsts) and not seen.ended_early,
        well=f"{len(firsts)} events of {len(newest)} subjects applied, each subject in order, none missing.",
        hidden=_why_hidden(seen),
    )  # fmt: skip


def _dedup(seen: Seen) -> Grade:
    copies = [record for record in seen.records if record.step.is_copy]
    faults = _refusals("A copy of what it had", seen.given_up("dedup"))
    if seen.report is not None:
        known = seen.events(Wish.TAKE, Wish.TAKE_OR_REFUSE)
        counted = Counter(each.id for each in seen.report.applied)
        twice = [event_id for event_id, count in counted.items() if count > 1 and event_id in known]
        faults += [f"{len(twice)} events were applied more than once."] if twice else []
    return _grade(
        "dedup", faults,
        shown=seen.report is not None and bool(copies) and not seen.ended_early,
        well=f"{len(copies)} copies came, none was applied again.",
        hidden=_unreported(seen) if seen.report is None else _why_hidden(seen),
    )  # fmt: skip


def _tombstones(seen: Seen) -> Grade:
    faults = _refusals("An erasure, or an event without what was erased,", seen.given_up("tombstones"))
    erased = None if seen.report is None else seen.report.erased
    sent = any(each.step.counts_as == "tombstones" and not each.step.is_copy for each in seen.taken)
    held, well = b"", ""
    if seen.report is not None and erased is not None and sent:
        held = orjson.dumps([each.data for each in seen.report.applied if each.data is not None])
        faults += _unerased(seen.day, frozenset(erased), held)
        shows = any(words.encode() in held for words in seen.day.words_kept)
        well = (
            "their words are gone from what it holds." if shows else "by its own word: it does not show what it holds."
        )
    return _grade(
        "tombstones", faults,
        shown=bool(well) and not seen.ended_early,
        well=f"{len(seen.day.erased)} persons erased, {well}",
        hidden=_unreported(seen) if erased is None else _why_hidden(seen),
    )  # fmt: skip


def _unerased(day: Day, erased: frozenset[str], held: bytes) -> list[str]:
    faults = []
    if missing := day.erased - erased:
        faults.append(f"{len(missing)} of {len(day.erased)} erasures were not carried out.")
    if left := [words for words in day.words_gone if words.encode() in held]:
        faults.append(f"{len(left)} personal words of erased persons are still held.")
    return faults


def _speed(seen: Seen) -> Grade:
    late = [record for record in seen.records if any(outcome.error == TIMEOUT for outcome in record.outcomes)]
    found = times(seen.records)
    well = (
        f"Answers took {found['p50']:.0f} ms (p50), {found['p99']:.0f} ms (p99), {found['max']:.0f} ms at most."
        if found
        else ""
    )
    faults = [f"{len(late)} requests had no answer in time."] if late else []
    return _grade("speed", faults, shown=bool(found) and not seen.ended_early, well=well, hidden=_why_hidden(seen))


def _robustness(seen: Seen) -> Grade:
    faults = _refusals("A rightly signed message", seen.given_up("robustness"))
    faults += _refusals("Poison", [each for each in seen.of(Wish.TAKE_OR_REFUSE) if _is_broken(each.last)])
    faults += _refusals("A forged request", [each for each in seen.of(Wish.REFUSE) if _is_broken(each.last)])
    return _grade(
        "robustness", faults,
        shown=bool(seen.taken) and not seen.ended_early,
        well=f"All that it had to take was taken; {len(seen.of(Wish.TAKE_OR_REFUSE))} odd events did not stop it.",
        hidden=_why_hidden(seen),
    )  # fmt: skip


def _is_disbelieved(record: Record) -> bool:
    """Tell whether a rightly signed request was taken for a forged one; of 400 where only its signature was in question."""
    return record.last.status in _UNAUTHORISED or (record.step.counts_as == "signature" and record.last.status == 400)


def _is_broken(outcome: Outcome) -> bool:
    if outcome.status is None:
        return outcome.error != TIMEOUT
    return not outcome.ok and not 400 <= outcome.status < 500


def _refusals(what: str, records: Sequence[Record]) -> list[str]:
    """Say of records that failed what they got, and which they were."""
    if not records:
        return []
    answers = Counter(record.last.in_words for record in records)
    got = ", ".join(f"{count} times {answer}" for answer, count in answers.most_common(3))
    return [f"{what} was not taken ({got}): {_listed([record.step.about for record in records])}."]


def _listed(names: Iterable[str], most: int = 4) -> str:
    different = list(dict.fromkeys(names))
    more = f" and {len(different) - most} more" if len(different) > most else ""
    return "; ".join(different[:most]) + more


def _why_hidden(seen: Seen) -> str:
    return seen.ended_early or "It did not come to that."


def _unreported(seen: Seen) -> str:
    return seen.ended_early or "From outside this cannot be seen: name your receiver's report with --report."
