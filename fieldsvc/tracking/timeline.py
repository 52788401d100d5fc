"""What happened on a run, for those who watch over its site: facts with their times and proofs, and nothing of anybody's own
but the words of instructions, which they gave themselves, as long as the day lasts.

A discreet service is a timed task here: that something was done for it, and not what, for whom or where. What a service keeps
apart from its author (ideas) is not told of a run at all, for a run has a carrier.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from fieldsvc.journal import timeline as journal
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.journal.timeline import Key, Place, Published, Standing
from fieldsvc.store import live, media, sheet, stop
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.live import PastRun
from handlers import instruction, item, proof
from handlers.base import Handler
from handlers.fields import format_time
from handlers.registry import Registry
from handlers.story import titled

LATE_S = 120.0  # what arrived later than this after it happened is marked
LATE_DAYS = 30  # as long as a phone may have been away: see intake/clocks.py
FIRST: Place = (datetime(1, 1, 2, tzinfo=UTC), UUID(int=0), -1)
TIMED_TASK, TIMED_TITLE = "timed_task", titled("Mission à l'heure", "Timed task")
_ANONYMOUS = frozenset({"idea"})
_PROVED = frozenset({item.DELIVERED.name, item.COLLECTED.name})


@dataclass(frozen=True, slots=True)
class Known:
    """What a page is told with: whose services, how things stand, which pictures there are, and where the stops are."""

    tellers: "Tellers"
    standings: Mapping[Key, Standing]
    pictures: Mapping[tuple[str, str], Sequence[str]]
    addresses: Mapping[str, str | None]
    words: Mapping[str, str | None]  # of instructions, by the id of their public event


class Tellers:
    """Finds the services that say a public type of a subject."""

    def __init__(self, registry: Registry) -> None:
        self.titles = {name: each.title for name, each in registry.public.items()}
        self._by_type: dict[str, list[Handler]] = defaultdict(list)
        self._by_subject: dict[str, list[Handler]] = defaultdict(list)
        for handler in registry.handlers.values():
            self._by_subject[_kind(handler.subject)].append(handler)
            for each in handler.publishes:
                self._by_type[each.name].append(handler)

    def of(self, type_: str, subject: str) -> Sequence[Handler]:
        """List those that may have said it: of the subject's services those with this type, else all of either."""
        by_type, by_subject = self._by_type.get(type_, []), self._by_subject.get(_kind(subject), [])
        return [each for each in by_type if each in by_subject] or by_type or by_subject

    def is_discreet(self, type_: str, subject: str) -> bool:
        """Tell whether a supervisor sees a timed task: of a type or a subject of a discreet service."""
        return any(each.discreet for each in (*self.of(type_, subject), *self._by_subject.get(_kind(subject), [])))


class Timelines:
    """Tells runs, a page at a time."""

    def __init__(self, database: Database, vault: Vault, registry: Registry) -> None:
        self._database = database
        self._vault = vault
        self._opener = Opener(database, vault)
        self._tellers = Tellers(registry)

    async def page(
        self, seen: Seen, run_id: str, *, site: str | None, today: date, after: Place, limit: int
    ) -> tuple[list[dict[str, Any]], Place | None] | None:
        """Tell a run from behind a place on, with the place where the next page begins; None for a run out of reach."""
        run = await live.run(seen, run_id, site=site)
        if run is None:
            return None
        found = await journal.page_of_run(self._database, run_id, days_of(run.day), after=after, limit=limit + 1)
        page = found[:limit]
        told = [
            row for row in page if not any(each.name in _ANONYMOUS for each in self._tellers.of(row.type, row.subject))
        ]
        known = await self._known(seen, run, told, site=site, is_today=run.day == today)
        return [_entry(row, known) for row in told], page[-1].place if len(found) > limit else None

    async def _known(
        self, seen: Seen, run: PastRun, page: Sequence[Published], *, site: str | None, is_today: bool
    ) -> Known:
        tellers = self._tellers
        keys = [(teller.name, row.subject) for row in page for teller in tellers.of(row.type, row.subject)]
        standings = await journal.standings(self._database, self._vault, keys)
        facts = {UUID(_fact_of(row, standings, tellers)) for row in page}
        pictures: dict[tuple[str, str], list[str]] = defaultdict(list)
        for event, subject, sha256 in await media.of_events(self._database, list(facts), site=site):
            pictures[str(event), subject].append(sha256.hex())
        stops = {stop_id for row in page if (stop_id := _stop_of(row))}
        addresses = await stop.addresses(seen, run.round_id, sorted(stops))
        given = [row for row in page if row.type == instruction.GIVEN.name] if is_today else []
        words = await self._words({row.name: UUID(_fact_of(row, standings, tellers)) for row in given})
        return Known(tellers, standings, pictures, addresses, words)

    async def _words(self, given: Mapping[str, UUID]) -> dict[str, str | None]:
        """Open the words of instructions as they stand; None where they were taken back or erased."""
        sealed = await sheet.words_of(self._database, list(given.values())) if given else {}
        opened = await self._opener.open_blobs(list(sealed.values())) if sealed else []
        words = {event: (said or {}).get("text") for event, said in zip(sealed, opened, strict=True)}
        return {name: words.get(event) for name, event in given.items()}


def days_of(day: date) -> tuple[date, date]:
    """Return the first and the last day of the journal on which something of a run of this local day is looked for."""
    return day - timedelta(days=1), day + timedelta(days=LATE_DAYS)


def is_late(happened_at: datetime, received_at: datetime) -> bool:
    """Tell whether something arrived late."""
    return (received_at - happened_at).total_seconds() > LATE_S


def _entry(row: Published, known: Known) -> dict[str, Any]:
    tellers = known.tellers.of(row.type, row.subject)
    standing = [found for each in tellers if (found := known.standings.get((each.name, row.subject)))]
    states = [each.judge(row) for each in standing]
    discreet = known.tellers.is_discreet(row.type, row.subject)
    head = {
        "event_id": row.name,
        "at": format_time(row.occurred_at),
        "received_at": format_time(row.received_at),
        "late": is_late(row.occurred_at, row.received_at),
        "by": row.envelope.get("by", "device"),
        "paper": row.said.get("recorded_from") == "paper",
        "state": next((each for each in ("said", "corrected") if each in states), states[0] if states else "said"),
    }
    return {**head, **(_TIMED if discreet else _detail(row, known, tellers, state=head["state"]))}


_TIMED: Mapping[str, Any] = {
    "type": TIMED_TASK,
    "title": dict(TIMED_TITLE),
    "service": TIMED_TASK,
    **dict.fromkeys(("subject", "stop_id", "address", "proof", "proof_url")),
    "pictures": [],
    "warnings": [],
}


def _detail(row: Published, known: Known, tellers: Sequence[Handler], *, state: str) -> dict[str, Any]:
    stop_id, fact = _stop_of(row), _fact_of(row, known.standings, known.tellers)
    has_proof = row.type in _PROVED and state == "said"
    return {
        "type": row.type,
        "title": dict(known.tellers.titles[row.type]) if row.type in known.tellers.titles else _untitled(row.type),
        "service": tellers[0].name if tellers else _kind(row.subject),
        "subject": row.subject,
        "stop_id": stop_id,
        "address": known.addresses.get(stop_id) if stop_id else None,
        "proof": _proof(row.data.get("proof")),
        "proof_url": f"/v1/items/{row.subject.partition('/')[2]}/proof" if has_proof else None,
        "pictures": list(known.pictures.get((fact, row.subject), ())),
        "warnings": _warnings(row),
        **({"text": known.words[row.name]} if row.name in known.words else {}),
    }


def _fact_of(row: Published, standings: Mapping[Key, Standing], tellers: Tellers) -> str:
    """Name the fact that a public event is about: of one that was told again it is not the event it came with."""
    found = (standings.get((each.name, row.subject)) for each in tellers.of(row.type, row.subject))
    return next((each.facts[row.name] for each in found if each and row.name in each.facts), str(row.event_id))


def _stop_of(row: Published) -> str | None:
    """Name the stop where it was: the one that was said, or that the scan, the stay or the door tells."""
    said: str | None = row.said.get("stop_id")
    if said:
        return said
    located = row.data.get("located") or row.envelope.get("located") or {}
    is_there = located.get("status") == "at_stop" or located.get("method") in ("scan", "stop")
    found: str | None = located.get("stop_id") if is_there else None
    return found


def _proof(said: Any) -> dict[str, Any] | None:
    if not isinstance(said, Mapping) or "score" not in said:
        return None
    codes = said.get("factors")
    words = (
        {lang: proof.words(codes, lang) for lang in ("fr", "en")}
        if codes
        else dict.fromkeys(("fr", "en"), said["words"])
    )
    return {"score": said["score"], "words": words}


def _warnings(row: Published) -> list[str]:
    found = ["clock_suspect"] if row.envelope.get("clock_suspect") else []
    found += ["proof_pending"] if row.data.get("proof_state") == "proof_pending" else []
    return found + ([f"chain_{row.data['chain']}"] if row.data.get("chain", "complete") != "complete" else [])


def _untitled(type_: str) -> dict[str, str]:
    return {"fr": type_, "en": type_}


def _kind(subject: str) -> str:
    return subject.partition("/")[0]
