"""The plan of a hostile day: what is sent, in which order, and what a good receiver does with each. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final

from fieldsvc.certifying.events import Event, Mint, own_id

FIRST: Final = "first"  # the key that signs in the morning
NEXT: Final = "next"  # the one that takes its place
STRANGER: Final = "stranger"  # one that the receiver was never given
BATCH_EVENTS = 40
REPLAY_HEADER, TEST_HEADER = "Fieldsvc-Replay", "Fieldsvc-Test"


class Wish(StrEnum):
    """What a good receiver does with a request."""

    TAKE = "take"
    TAKE_OR_REFUSE = "take or refuse"  # 2xx or 4xx, and it goes on
    REFUSE = "refuse"


class Forgery(StrEnum):
    """What is wrong with a request that must be refused."""

    NOTHING = ""
    UNSIGNED = "no signature headers"
    NO_ID = "no webhook-id"
    NO_TIMESTAMP = "no webhook-timestamp"
    NO_SIGNATURE = "no webhook-signature"
    BODY = "a body that was changed on the way"
    ID = "a webhook-id that was changed on the way"
    TIMESTAMP = "a webhook-timestamp that was changed on the way"
    EMPTY = "an empty signature"
    VERSION = "a good signature under a version that does not exist"
    GARBAGE = "a timestamp that is no number"


@dataclass(frozen=True, slots=True)
class Step:
    """One request, repeated until it is taken; `counts_as` is the grade that a refusal of it counts against."""

    events: tuple[Event, ...]
    about: str
    wish: Wish = Wish.TAKE
    keys: tuple[str, ...] = (FIRST,)
    counts_as: str = "robustness"
    forgery: Forgery = Forgery.NOTHING
    off_s: int = 0  # how far from now it was signed
    is_copy: bool = False
    is_fresh: bool = False  # on a connection of its own
    is_slow: bool = False  # its body comes in small pieces
    decoys: bool = False  # other signatures stand around the good one
    mark: tuple[str, str] | None = None  # a header that says what it is

    @property
    def is_batch(self) -> bool:
        """Whether it holds several events."""
        return len(self.events) > 1

    @property
    def lane(self) -> str:
        """Name what it must not overtake."""
        return "batches" if self.is_batch else self.events[0].subject

    @property
    def message_id(self) -> str:
        """Return the webhook-id."""
        names = [event.id for event in self.events]
        digest = sha256(" ".join(names).encode()).hexdigest()[:8]
        return f"{names[0]}_b{len(names)}_{digest}" if self.is_batch else names[0]

    @property
    def body(self) -> bytes:
        """Return what is posted."""
        if not self.is_batch:
            return self.events[0].body
        return b"[" + b",".join(event.body for event in self.events) + b"]"


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the day; after `pauses` nothing was sent for a while; `at_once` is how many requests may be in flight."""

    name: str
    steps: tuple[Step, ...]
    pauses: bool = False
    at_once: int = 8


@dataclass(frozen=True, slots=True)
class Day:
    """The whole plan; `erased` are the persons of its tombstones, `spared` one whom only a forged one names."""

    phases: tuple[Phase, ...]
    erased: frozenset[str]
    spared: str
    words_gone: frozenset[str]
    words_kept: frozenset[str]

    @property
    def requests(self) -> int:
        """Count the requests of a day on which everything goes well."""
        return sum(len(phase.steps) for phase in self.phases)


@dataclass(frozen=True, slots=True)
class _Erasures:
    about: tuple[Step, ...]
    tombstones: tuple[Step, ...]
    copies: tuple[Step, ...]
    erased: frozenset[str]
    spared: str
    words_gone: frozenset[str]
    words_kept: frozenset[str]


def plan_day(mint: Mint, *, events: int, batches: bool) -> Day:
    """Plan a day of about so many different events."""
    subjects = [f"item/{mint.name('C')}" for _ in range(max(events // 10, 4))]
    morning = _ordinary(mint, subjects, each=3)
    erasures = _erasures(mint)
    taken = [step.events[0] for step in morning]
    burst = _ordinary(mint, [f"item/{mint.name('B')}" for _ in range(max(events // 4, 4))], each=2)
    phases = [
        Phase("an ordinary morning, late events and corrections", tuple(morning)),
        Phase("duplicates", tuple(_duplicates(mint))),
        Phase("a new key", tuple(_rotation(mint))),
        Phase("poison", tuple(_with_next(_poison(mint)))),
        Phase("events about persons", tuple(_with_next(erasures.about))),
        Phase("erasures", tuple(_with_next(erasures.tombstones))),
        Phase("a burst", tuple(_with_next(burst)), at_once=200),
        Phase("slow bytes", tuple(_with_next(_slow(mint)))),
        Phase("forgeries", tuple(_forgeries(mint, erasures.spared))),
        Phase(
            "after a pause, later copies and a replay",
            tuple(_with_next([*_later(mint, taken), *erasures.copies])),
            pauses=True,
        ),
        Phase("the evening", tuple(_with_next(_ordinary(mint, subjects, each=1)))),
    ]
    if batches:
        phases.insert(7, Phase("batches", tuple(_with_next(_batches(mint, taken)))))
    return Day(tuple(phases), erasures.erased, erasures.spared, erasures.words_gone, erasures.words_kept)


def knock(mint: Mint, key: str) -> Step:
    """Make the first message: a test event as the service sends one."""
    event = mint.event("endpoint/certify", "endpoint.tested", sequence=f"{0:020d}")
    return Step((event,), "a test event", keys=(key,), counts_as="signature", mark=(TEST_HEADER, "1"))


def _ordinary(mint: Mint, subjects: Sequence[str], *, each: int) -> list[Step]:
    """Make events of each subject in order, shuffled over the subjects: what was recorded first may come last."""
    found: dict[str, list[Step]] = {}
    for subject in subjects:
        events = [mint.item(subject) for _ in range(each)]
        if each > 1 and mint.random.random() < 0.4:
            events.append(mint.corrected(events[0]))
        found[subject] = [Step((event,), "an event") for event in events]
    order = [subject for subject, steps in found.items() for _ in steps]
    mint.random.shuffle(order)
    return [found[subject].pop(0) for subject in order]


def _copy(event: Event, about: str) -> Step:
    return Step((event,), about, counts_as="dedup", is_copy=True)


def _duplicates(mint: Mint) -> Iterator[Step]:
    for _ in range(6):
        subject = f"item/{mint.name('D')}"
        first, second, third = (mint.item(subject) for _ in range(3))
        yield Step((first,), "an event")
        yield _copy(first, "a copy at once")
        yield Step((second,), "an event")
        yield _copy(first, "a copy after a later event")
        yield replace(_copy(second, "a copy on another connection"), is_fresh=True)
        yield Step((third,), "an event")


def _rotation(mint: Mint) -> Iterator[Step]:
    subjects = [f"item/{mint.name('K')}" for _ in range(3)]
    turns = (
        ("signed with a key that you do not have yet, and with yours", (STRANGER, FIRST), False),
        ("signed with both keys, the new one first", (NEXT, FIRST), False),
        ("with signatures of other versions around the good one", (NEXT,), True),
        ("signed with the new key alone", (NEXT,), False),
    )
    for about, keys, decoys in turns:
        for subject in subjects:
            yield Step((mint.item(subject),), f"a message {about}", keys=keys, decoys=decoys, counts_as="signature")


def _poison(mint: Mint) -> Iterator[Step]:
    for about, event in mint.poison(f"item/{mint.name('P')}"):
        yield Step((event,), about, wish=Wish.TAKE_OR_REFUSE)
        yield Step((mint.item(event.subject),), f"the event after {about}")


def _erasures(mint: Mint) -> _Erasures:
    """Plan persons of whom some are erased: named in the data, or behind the id of an order that names nobody."""
    persons: dict[str, list[Event]] = {}
    for _ in range(3):
        person = mint.name("ref-")
        persons[person] = [mint.personal(f"document/{mint.name('F')}", person) for _ in range(2)]
    order = f"item/{mint.name('N')}"
    persons[own_id(order)] = [mint.personal(order) for _ in range(2)]
    spared = list(persons)[2]
    gone = [person for person in persons if person != spared]
    about = [Step((event,), "an event about a person") for events in persons.values() for event in events]
    tombstones = [Step((mint.tombstone(person),), "a person is erased", counts_as="tombstones") for person in gone]
    tombstones.append(_copy(tombstones[0].events[0], "the same erasure again"))
    copies = [
        _copy(mint.without_words(event), "an event sent again without what was erased")
        for person in gone
        for event in persons[person]
    ]
    words = {person: {event.words for event in events} for person, events in persons.items()}
    gone_words = frozenset(each for person in gone for each in words[person])
    return _Erasures(
        tuple(about), tuple(tombstones), tuple(copies), frozenset(gone), spared, gone_words, frozenset(words[spared])
    )


def _slow(mint: Mint) -> Iterator[Step]:
    for _ in range(3):
        yield Step((mint.item(f"item/{mint.name('S')}"),), "a message that comes slowly", is_slow=True)


def _forgeries(mint: Mint, spared: str) -> Iterator[Step]:
    """Make requests that must be refused, each with an event that nothing else names."""
    for forgery in Forgery:
        if forgery:
            yield replace(_forged(mint, str(forgery)), forgery=forgery)
    yield replace(_forged(mint, "a message signed six minutes ago"), off_s=-360)
    yield replace(_forged(mint, "a message of six minutes from now"), off_s=360)
    yield replace(_forged(mint, "a message of an hour ago, sent again as it was"), off_s=-3600)
    yield replace(_forged(mint, "a signature of a key that is not yours"), keys=(STRANGER,))
    tombstone = mint.tombstone(spared)
    yield Step((tombstone,), "an erasure that nobody signed", Wish.REFUSE, (STRANGER,), counts_as="signature")


def _forged(mint: Mint, about: str) -> Step:
    return Step((mint.item(f"item/{mint.name('X')}"),), about, Wish.REFUSE, (NEXT,), counts_as="signature")


def _later(mint: Mint, taken: Sequence[Event]) -> Iterator[Step]:
    for number, event in enumerate(mint.random.sample(list(taken), min(len(taken), 12))):
        if number % 2:
            yield replace(_copy(event, "a copy later, on another connection"), is_fresh=True)
        else:
            yield replace(_copy(event, "a copy of a replay"), mark=(REPLAY_HEADER, f"rpl_{mint.run}"))


def _batches(mint: Mint, taken: Sequence[Event]) -> Iterator[Step]:
    subjects = [f"item/{mint.name('G')}" for _ in range(5)]
    for _ in range(3):
        events = tuple(mint.item(mint.random.choice(subjects)) for _ in range(BATCH_EVENTS))
        yield Step(events, "a batch")
    yield Step(events, "the same batch again", counts_as="dedup", is_copy=True)
    mixed = (*taken[:5], *(mint.item(subject) for subject in subjects))
    yield Step(mixed, "a batch of which half came before", counts_as="dedup")


def _with_next(steps: Sequence[Step] | Iterator[Step]) -> Iterator[Step]:
    return (replace(step, keys=(NEXT,)) for step in steps)
