"""The bookkeeping of one endpoint against a model of its database: crashes at any moment, no inversion, nothing skipped."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as some

from fieldsvc.publishing.entries import Entry, parallel_key, subject_of
from fieldsvc.publishing.progress import After, Progress
from fieldsvc.publishing.runs import Runs, batch_id
from fieldsvc.store.lanes import Changes, ParkedRow

DAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
START = (date.min, 0)
SPAN = 12


class Saved:
    """What the database holds, changed only by whole `Changes`."""

    def __init__(self) -> None:
        self.cursors = {0: START, 1: START}
        self.parked: dict[str, ParkedRow] = {}
        self.backlog: dict[str, set[tuple[date, int]]] = defaultdict(set)
        self.dead: set[str] = set()

    def apply(self, changes: Changes) -> None:
        for subject, _shard, place in changes.backlog:
            self.backlog[subject].add(place)
        for row in changes.parked:
            self.parked[row.subject] = row
            self.backlog[row.subject] = {place for place in self.backlog[row.subject] if place > row.head}
        for subject, head in changes.freed:
            self.parked.pop(subject, None)
            self.backlog[subject] = {place for place in self.backlog[subject] if place > head}
            assert not self.backlog[subject], "a subject flows again although something waits behind it"
        self.dead |= {letter.event_id for letter in changes.dead}
        for shard, place in changes.cursors.items():
            assert place >= self.cursors[shard], "a cursor moved back"
            self.cursors[shard] = place

    def load(self) -> Progress:
        rows = [
            ParkedRow(
                row.subject, row.shard, row.head, row.attempts, row.next_at, row.reason, row.since,
                len(self.backlog[row.subject]),
            )
            for row in self.parked.values()
        ]  # fmt: skip
        return Progress(self.cursors, rows, span=SPAN, waiting=6)


class World:
    """A journal of two shards, an endpoint that fails at random, and a process that crashes at random."""

    def __init__(self, seed: int, subjects: int, events: int) -> None:
        self.random = Random(seed)
        self.log: dict[int, list[Entry]] = {0: [], 1: []}
        for number in range(1, events + 1):
            subject = f"s{self.random.randrange(subjects)}"
            shard = int(subject[1:]) % 2
            self.log[shard].append(Entry(shard, (DAY, number), subject, f"{subject}:{number}", b"x"))
        self.saved = Saved()
        self.progress = self.saved.load()
        self.in_flight: dict[str, str] = {}
        self.sent: list[str] = []
        self.acknowledged: list[str] = []
        self.now = NOW

    def crash(self) -> None:
        self.progress = self.saved.load()
        self.in_flight.clear()

    def save(self) -> None:
        changes = self.progress.collect("e", 1, idle=self.random.random() < 0.3)
        if changes is not None:
            self.saved.apply(changes)
            self.progress.saved(changes)

    def read(self) -> None:
        for shard, track in self.progress.shards.items():
            for entry in [entry for entry in self.log[shard] if entry.position > track.read]:
                if self.progress.room() <= 0:
                    return
                self.progress.add(Entry(shard, entry.position, entry.subject, entry.evt_id, b"x"))

    def is_sent_again(self, name: str) -> bool:
        """Whether a crash now would send an event again."""
        subject, number = name.split(":")
        parked, place = self.saved.parked.get(subject), (DAY, int(number))
        if parked is not None and (place == parked.head or place in self.saved.backlog[subject]):
            return True
        return place > self.saved.cursors[int(subject[1:]) % 2] and (parked is None or place > parked.head)

    def step(self) -> None:
        """Start what may be sent, up to three at once, and let one of them end."""
        self.now += timedelta(seconds=1)
        self.read()
        if (queued := sorted(self.progress._queues.keys() - self.in_flight.keys())) and self.random.random() < 0.1:
            hog = self.random.choice(queued)
            self.progress.park(hog, attempts=0, next_at=self.now, reason="slow", now=self.now)
        while len(self.in_flight) < 3 and (subject := self.progress.take(self.now, parked_too=True)) is not None:
            assert subject not in self.in_flight, "two requests of one subject at once"
            head, parked = self.progress.head(subject), self.progress.parked.get(subject)
            name = head.evt_id if head else self.name_of(subject, parked.head[1]) if parked else ""
            self.in_flight[subject] = name
            self.sent.append(name)
        if self.in_flight:
            subject = self.random.choice(sorted(self.in_flight))
            self.end(subject, self.in_flight.pop(subject))

    def name_of(self, subject: str, number: int) -> str:
        return f"{subject}:{number}"

    def end(self, subject: str, name: str) -> None:
        fate = self.random.random()
        if fate < 0.45:
            self.acknowledged.append(name)
            self.go_on(subject)
        elif fate < 0.75:
            later = self.now + timedelta(seconds=self.random.randrange(5))
            self.progress.park(subject, attempts=1, next_at=later, reason="status 500", now=self.now)
        elif fate < 0.85:
            self.progress.put_back(subject)
        elif fate < 0.9:
            self.progress.give_up(subject, event_id=name, reason="status 500", attempts=9)
            self.go_on(subject)
        else:  # slow: parked in flight, and it goes on
            if subject not in self.progress.parked:
                self.progress.park(subject, attempts=0, next_at=self.now, reason="slow", now=self.now, busy=True)
            self.in_flight[subject] = name

    def go_on(self, subject: str) -> None:
        after = self.progress.acknowledged(subject, self.now)
        while after is After.LOAD:
            head, seen = self.progress.parked[subject].head, self.progress.deferred(subject)
            self.save()
            if self.random.random() < 0.3:
                self.read()  # something is deferred between the save and the load
            places = sorted(place for place in self.saved.backlog[subject] if place > head)[:3]
            entries = [Entry(0, place, subject, f"{subject}:{place[1]}", b"x") for place in places]
            for entry in entries:
                entry.shard = int(subject[1:]) % 2
            after = self.progress.refilled(subject, entries, whole=len(places) < 3, seen=seen, now=self.now)

    def names(self) -> set[str]:
        return {entry.evt_id for entries in self.log.values() for entry in entries}


@settings(max_examples=300, deadline=None)
@given(seed=some.integers(0, 2**32), subjects=some.integers(1, 6), events=some.integers(1, 40))
def test_under_failures_and_crashes_every_event_arrives_or_is_recorded_dead_and_no_subject_is_inverted(
    seed: int, subjects: int, events: int
):
    world = World(seed, subjects, events)
    for _ in range(4000):
        world.step()
        if world.random.random() < 0.3:
            world.save()
        if world.random.random() < 0.02:
            world.crash()
        if set(world.acknowledged) | world.saved.dead >= world.names():
            break
    world.save()
    assert set(world.acknowledged) | world.saved.dead >= world.names()
    first: dict[str, list[int]] = defaultdict(list)
    for name in dict.fromkeys(world.sent):
        subject, number = name.split(":")
        first[subject].append(int(number))
    assert all(numbers == sorted(numbers) for numbers in first.values())


@settings(max_examples=200, deadline=None)
@given(seed=some.integers(0, 2**32), subjects=some.integers(1, 8))
def test_a_crash_sends_at_most_the_span_again(seed: int, subjects: int):
    world = World(seed, subjects, 60)
    world.random.random = lambda: 0.1  # type: ignore[method-assign]  # everything is acknowledged, nothing saved
    for _ in range(200):
        world.step()
    before = set(world.acknowledged)
    assert len(before) <= SPAN
    world.in_flight.clear()
    world.crash()
    for _ in range(300):
        world.step()
        world.save()
    assert len(world.sent) - len(set(world.sent)) <= SPAN
    assert set(world.acknowledged) == world.names()


class Parallel(World):
    """Every event on its own."""

    def __init__(self, seed: int, subjects: int, events: int) -> None:
        super().__init__(seed, subjects, events)
        for entries in self.log.values():
            for entry in entries:
                subject, number = entry.subject, entry.position[1]
                entry.evt_id = parallel_key(subject, f"evt_{number}")
                entry.subject = entry.evt_id

    def name_of(self, subject: str, number: int) -> str:
        assert subject.endswith(f" evt_{number}")
        return subject

    def go_on(self, subject: str) -> None:
        assert self.progress.acknowledged(subject, self.now) is After.FREE
        assert not any(self.saved.backlog.values())


class Batches(World):
    """An endpoint that takes up to four events in one request."""

    def __init__(self, seed: int, subjects: int, events: int) -> None:
        super().__init__(seed, subjects, events)
        self.runs = self.new_runs()
        self.under_way: list[list[Entry]] = []
        self.named: dict[str, tuple[str, ...]] = {}

    def new_runs(self) -> Runs:
        return Runs(self.progress, most=4, size=100)

    def crash(self) -> None:
        super().crash()
        self.runs, self.under_way = self.new_runs(), []

    def read(self) -> None:
        for shard, track in self.progress.shards.items():
            for entry in [entry for entry in self.log[shard] if entry.position > track.read]:
                if self.progress.room() <= 0:
                    return
                self.runs.add(Entry(shard, entry.position, entry.subject, entry.evt_id, b"x"))

    def step(self) -> None:
        super().step()
        probes = not self.in_flight and not self.under_way and self.random.random() < 0.1
        if probes:
            self.runs.one()
        elif batch := self.runs.take(hurry=self.random.random() < 0.2):
            self.send(batch)
        if self.under_way and self.random.random() < 0.6:
            batch = self.under_way.pop(self.random.randrange(len(self.under_way)))
            fate = self.random.random()
            if fate < 0.7:
                self.acknowledged.extend(entry.evt_id for entry in batch)
            if fate < 0.85:
                self.runs.ended(batch, ok=fate < 0.7)
            else:
                self.runs.put_back(batch)

    def send(self, batch: list[Entry]) -> None:
        assert 2 <= len(batch) <= 4
        places = [entry.position for entry in self.log[batch[0].shard]]
        first = places.index(batch[0].position)
        assert places[first : first + len(batch)] == [entry.position for entry in batch], "a run with a gap"
        busy = {*self.in_flight, *(entry.subject for other in self.under_way for entry in other)}
        assert not busy & {entry.subject for entry in batch}, "two requests of one subject at once"
        ids = tuple(entry.evt_id for entry in batch)
        assert self.named.setdefault(batch_id(ids), ids) == ids, "one id for two lists of events"
        self.sent.extend(ids)
        self.under_way.append(batch)


class ParallelBatches(Batches, Parallel):
    """Both: up to four events in one request, in any order."""


def run(world: World, steps: int = 4000) -> None:
    for _ in range(steps):
        world.step()
        if world.random.random() < 0.3:
            world.save()
        if world.random.random() < 0.02:
            world.crash()
        if set(world.acknowledged) | world.saved.dead >= world.names():
            break
    world.save()
    assert set(world.acknowledged) | world.saved.dead >= world.names()


@settings(max_examples=150, deadline=None)
@given(seed=some.integers(0, 2**32), subjects=some.integers(1, 6), events=some.integers(1, 40))
def test_in_batches_every_event_arrives_in_order_and_an_id_names_the_same_events_for_ever(
    seed: int, subjects: int, events: int
):
    world = Batches(seed, subjects, events)
    run(world)
    first: dict[str, list[int]] = defaultdict(list)
    for name in dict.fromkeys(world.sent):
        subject, number = name.split(":")
        first[subject].append(int(number))
    assert all(numbers == sorted(numbers) for numbers in first.values())


@settings(max_examples=100, deadline=None)
@given(seed=some.integers(0, 2**32), subjects=some.integers(1, 6), events=some.integers(1, 40))
def test_in_mode_parallel_every_event_arrives_and_nothing_waits_behind_another(seed: int, subjects: int, events: int):
    run(Parallel(seed, subjects, events))
    run(ParallelBatches(seed, subjects, events))


@settings(max_examples=100, deadline=None)
@given(seed=some.integers(0, 2**32), subjects=some.integers(1, 8))
def test_with_batches_a_crash_sends_at_most_the_span_again(seed: int, subjects: int):
    world = Batches(seed, subjects, 60)
    world.random.random = lambda: 0.2  # type: ignore[method-assign]  # everything is acknowledged, nothing saved
    for _ in range(200):
        world.step()
    assert len(set(world.acknowledged)) <= SPAN
    world.crash()
    for _ in range(300):
        world.step()
        world.save()
    assert len(world.sent) - len(set(world.sent)) <= SPAN
    assert set(world.acknowledged) == world.names()


@settings(max_examples=30, deadline=None)
@given(seed=some.integers(0, 2**32), subjects=some.integers(1, 8))
def test_what_is_acknowledged_of_parked_subjects_counts_in_the_span(seed: int, subjects: int):
    world = World(seed, subjects, 100)
    world.random.random = lambda: 0.7  # type: ignore[method-assign]  # everything fails, and is saved
    for _ in range(400):
        world.step()
        world.save()
    assert world.progress.parked
    world.random.random = lambda: 0.4  # type: ignore[method-assign]  # everything is acknowledged, and some of it saved
    for _ in range(1000):
        world.step()
        unsaved = {name for name in world.acknowledged if world.is_sent_again(name)}
        assert len(unsaved) <= SPAN
        if world.random.randrange(30) == 0:
            world.save()
    assert set(world.acknowledged) == world.names()


def test_in_a_full_span_what_is_parked_waits_for_a_save_and_keeps_a_place():
    progress = Progress({0: START}, [], span=10, waiting=10)
    progress.add(Entry(0, (DAY, 1), "bad", "e1", b"x"))
    assert progress.take(NOW, parked_too=True) == "bad"
    progress.park("bad", attempts=1, next_at=NOW, reason="status 500", now=NOW)
    number = 2
    while progress.room() > 0:
        progress.add(Entry(0, (DAY, number), f"s{number}", f"e{number}", b"x"))
        number += 1
    assert number == 10  # one of ten waits to be saved, and one place is for the parked
    assert progress.take(NOW, parked_too=True) == "bad"
    assert progress.acknowledged("bad", NOW) is After.FREE
    progress.park(progress.take(NOW, parked_too=True) or "", attempts=1, next_at=NOW, reason="status 500", now=NOW)
    assert progress.take(NOW, parked_too=True) == "s3"
    changes = progress.collect("e", 1)
    assert changes is not None
    progress.saved(changes)
    assert progress.take(NOW, parked_too=True) == "s2"


def test_what_was_parked_alone_stands_in_its_subject_when_order_is_wanted_again():
    def row(number: int) -> ParkedRow:
        return ParkedRow(parallel_key("a", f"evt_{number}"), 0, (DAY, number), 3, NOW, "status 500", NOW)

    progress = Progress({0: (DAY, 6)}, [row(4), row(2), row(9)])
    progress.fold()
    assert {name: (parked.head, parked.attempts) for name, parked in progress.parked.items()} == {"a": ((DAY, 2), 3)}
    changes = progress.collect("e", 1)
    assert changes is not None
    assert [each.subject for each in changes.parked] == ["a"]
    assert {name for name, _place in changes.freed} == {parallel_key("a", f"evt_{number}") for number in (2, 4, 9)}
    assert changes.backlog == [("a", 0, (DAY, 4))]
    for number in (8, 9):  # read again from the cursor on: it may be that 8 was never acknowledged
        progress.add(Entry(0, (DAY, number), "a", f"evt_{number}", b"x"))
    assert progress._deferred == [("a", 0, (DAY, 8)), ("a", 0, (DAY, 9))]


def test_what_stands_for_an_event_in_mode_parallel_names_its_subject():
    key = parallel_key("item/RK1FR", "evt_0192-a_3")
    assert key != parallel_key("item/RK1FR", "evt_0192-a_4")
    assert (subject_of(key), subject_of("item/RK1FR")) == ("item/RK1FR", "item/RK1FR")


def test_beyond_a_number_of_parked_subjects_nothing_is_taken_in():
    progress = Progress({0: START}, [], span=100, waiting=50, most_parked=2)
    for number in range(1, 4):
        progress.add(Entry(0, (DAY, number), f"s{number}", f"e{number}", b"x"))
    progress.park("s1", attempts=1, next_at=NOW, reason="status 500", now=NOW)
    assert progress.room() > 0
    progress.park("s2", attempts=1, next_at=NOW, reason="status 500", now=NOW)
    assert progress.room() == 0
    assert progress.take(NOW, parked_too=True) == "s1"
    progress.acknowledged("s1", NOW)
    assert progress.room() > 0


def test_a_subject_that_fills_the_queue_alone_is_named():
    progress = Progress({0: START}, [], span=100, waiting=6)
    for number in range(1, 7):
        progress.add(Entry(0, (DAY, number), "hot" if number > 2 else f"s{number}", f"e{number}", b"x"))
    assert progress.room() == 0
    assert progress.hog() == "hot"
    progress.park("hot", attempts=0, next_at=NOW, reason="slow", now=NOW)
    assert progress.room() == 4
    assert progress.hog() is None


def test_probes_go_first_to_what_was_asked_least():
    progress = Progress({0: START}, [], span=100, waiting=6)
    for number, subject in enumerate(("a", "b", "c"), start=1):
        progress.add(Entry(0, (DAY, number), subject, f"e{number}", b"x"))
    asked = []
    for _ in range(6):
        subject = progress.take_probe()
        assert subject is not None
        asked.append(subject)
        progress.put_back(subject)
    assert asked[:3] == ["a", "b", "c"]
    assert sorted(asked[3:]) == ["a", "b", "c"]


def test_events_that_are_only_passed_over_move_the_cursor_when_idle():
    progress = Progress({0: START}, [], span=100, waiting=6)
    progress.pass_over(0, (DAY, 5))
    assert progress.collect("e", 1) is None
    changes = progress.collect("e", 1, idle=True)
    assert changes is not None
    assert changes.cursors == {0: (DAY, 5)}


def test_a_schedule_stands_still_while_the_breaker_is_open_but_a_fresh_head_is_due_at_once():
    progress = Progress({0: START}, [], span=100, waiting=6)
    for number in range(1, 4):
        progress.add(Entry(0, (DAY, number), "ab"[number // 3], f"e{number}", b"x"))
    due = NOW + timedelta(seconds=5)
    for subject in ("a", "b"):
        assert progress.take(NOW, parked_too=True) == subject
        progress.park(subject, attempts=1, next_at=due, reason="status 500", now=NOW)
    later = NOW + timedelta(hours=5)
    assert progress.take_probe() == "a"  # its first event goes through as a probe, and its second is the head then
    assert progress.acknowledged("a", later) is After.LOAD
    entry = Entry(0, (DAY, 2), "a", "e2", b"x")
    assert progress.refilled("a", [entry], whole=True, seen=progress.deferred("a"), now=later) is After.NEXT
    progress.shift(timedelta(hours=5))
    assert progress.parked["a"].next_at == later
    assert progress.parked["b"].next_at == due + timedelta(hours=5)
