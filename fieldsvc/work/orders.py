"""What somebody ordered, as they follow it: how each order stands, who had the thing and when, and what they may say of it.

An order is a task of their account with the story that its service tells. What they may say are the events of the service
that a partner may say and that need nothing but the thing's own id, such as handing a pouch over, or taking it back: the
service's own story decides whether one fits now, so that a new service needs nothing here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from fieldsvc.errors import Conflict, NotFound
from fieldsvc.journal.sealed import Opener
from fieldsvc.journal.stories import Stories, Story
from fieldsvc.store import task as store
from fieldsvc.store.task import TaskRow
from fieldsvc.work.runs import Sender
from fieldsvc.work.tasks import Orderer, Tasks
from handlers.base import Handler
from handlers.fields import FieldClass, format_time, join, split
from handlers.registry import Registry
from handlers.story import EventType, Fact, Said

PARTNER = "partner"
BROKEN = "custody_broken"
HELD = "held_for_review"
_LAST = "~"  # sorts behind every id of an event of the same moment
_OVER = frozenset({"cancelled", "expired"})


class NotNow(Conflict):
    """This does not fit what is known of the thing now."""

    code = "not_now"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was said of an order; `data` is what its reader may see of it, `moved_to` who has had the thing since."""

    name: str
    at: datetime
    title: Mapping[str, str]
    by: str
    data: Mapping[str, Any]
    alert: bool
    moved_to: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `personal` is opened; `place` is who has the thing, where the service follows one."""

    row: TaskRow
    handler: Handler
    personal: Mapping[str, Any]
    steps: Sequence[Step] = ()
    place: str | None = None
    offers: Sequence[EventType] = ()

    @property
    def own_id(self) -> str:
        """The id of what was ordered."""
        return self.row.subject.partition("/")[2]

    @property
    def last(self) -> Step | None:
        """What happened last, alerts aside."""
        return next((step for step in reversed(self.steps) if not step.alert), None)

    @property
    def comes_back(self) -> bool:
        """Tell whether the carrier could not hand it over and has it still."""
        return self.row.state == "done" and self.place == "carrier"

    @property
    def needs_a_look(self) -> bool:
        """Tell whether something is wrong with it that is not over."""
        alerted = bool(self.steps) and self.steps[-1].alert and self.row.state not in _OVER
        return self.row.at_risk is not None or self.comes_back or alerted

    @property
    def may_be_cancelled(self) -> bool:
        """Tell whether it can still be taken back: nobody has it, and the carrier has not seen it."""
        return self.row.state == "planned" and self.row.seen_at is None and self.place != "carrier"


class Orders:
    """Reads an account's orders with their stories, and says what a partner says of them."""

    def __init__(self, tasks: Tasks, stories: Stories, *, opener: Opener, registry: Registry, commands: Sender) -> None:
        self._tasks = tasks
        self._stories = stories
        self._opener = opener
        self._registry = registry
        self._commands = commands

    def services(self, orderer: Orderer) -> list[Handler]:
        """List the services that may be ordered without knowing more than an address."""
        found = [each for each in self._registry.handlers.values() if each.takes_tasks and each.issues_ids]
        return [each for each in found if orderer.may_order(each.name)]

    async def page(
        self, orderer: Orderer, *, is_open: bool, after: tuple[date, str], limit: int
    ) -> tuple[list[Order], tuple[date, str] | None]:
        """List the account's orders, the newest day first, and where the next page begins; `is_open`: planned ones alone."""
        wanted = store.Wanted(orderer.actor.account, state="planned" if is_open else None)
        seen = self._tasks.database.seen_by(orderer.viewer)
        rows = await store.page(seen, wanted, after=after, limit=limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return await self._told(rows[:limit], orderer), (last.day, last.id) if last else None

    async def one(self, task_id: str, orderer: Orderer) -> Order:
        """Read one order of the account. NotFound."""
        row = await store.read(self._tasks.database.seen_by(orderer.viewer), task_id)
        if row is None or not orderer.owns(row):
            raise NotFound
        found = await self._told([row], orderer)
        if not found:
            raise NotFound
        return found[0]

    async def find(self, own_id: str, orderer: Orderer) -> str | None:
        """Find the newest order of the account by the id of what was ordered, as a scanner reads it."""
        kinds = {each.subject.partition("/")[0] for each in self._registry.handlers.values() if each.takes_tasks}
        subjects = [f"{kind}/{form}" for kind in sorted(kinds) for form in {own_id, own_id.upper()}]
        seen = self._tasks.database.seen_by(orderer.viewer)
        return await store.of_subject(seen, orderer.actor.account or "", subjects)

    async def cancel(self, order: Order, orderer: Orderer) -> None:
        """Take an order back; a second time changes nothing. NotNow, TaskSeen, TaskClosed."""
        if not order.may_be_cancelled and order.row.state != "cancelled":
            raise NotNow
        await self._tasks.cancel(order.row.id, orderer)

    async def say(self, order: Order, name: str, orderer: Orderer) -> None:
        """Say an event of the order's thing that is offered now. NotNow; Refusal."""
        if name not in {each.name for each in order.offers}:
            raise NotNow
        data = order.handler.own_id(order.row.subject)
        await self._commands.send(name, data, actor=orderer.actor, site=orderer.own_site)

    async def _told(self, rows: Sequence[TaskRow], orderer: Orderer) -> list[Order]:
        opened = await self._opener.open_blobs([row.sealed for row in rows])
        now, stories = datetime.now(UTC), dict[str, Story]()
        by_service: dict[str, list[str]] = {}
        for row in rows:
            by_service.setdefault(row.service, []).append(row.subject)
        for service, subjects in by_service.items():
            if handler := self._registry.task_handler(service):
                stories |= await self._stories.of(handler, subjects, now, viewer=orderer.viewer)
        health = orderer.scopes is not None and "health" in orderer.scopes
        found = []
        for row, personal in zip(rows, opened, strict=True):
            handler = self._registry.task_handler(row.service)
            if handler is not None:
                known = personal if isinstance(personal, Mapping) else {}
                order = Order(row, handler, known)
                found.append(
                    self._with_story(order, stories.get(row.subject), orderer.actor.account, now, health=health)
                )
        return found

    def _with_story(
        self, order: Order, story: Story | None, account: str | None, now: datetime, *, health: bool
    ) -> Order:
        if story is None or story.account != account:
            return order
        handler, facts = order.handler, story.facts
        places = [
            handler.tell(facts[:count], facts[count - 1], now).now_is.get("place") for count in range(1, len(facts) + 1)
        ]
        moves = {
            fact.id: place for fact, was, place in zip(facts, [None, *places], places, strict=False) if place != was
        }
        said = sorted(story.said, key=lambda each: (each.fact.at, each.fact.id))
        steps = [self._step(each, moves, health=health) for each in said]
        offers = [each for each in handler.events if self._fits(each, order, facts, places[-1], now)]
        return Order(order.row, handler, order.personal, steps, places[-1], offers)

    def _step(self, said: Said, moves: Mapping[str, str | None], *, health: bool) -> Step:
        """Cut what is said to its reader: what is about somebody's health only with the scope for it."""
        kind = self._registry.public[said.type]
        may = {FieldClass.PUBLIC, FieldClass.PERSONAL, *([FieldClass.HEALTH] if health else [])}
        shown = join(*(inner for part, inner in split(kind.data, said.data).items() if part in may))
        fact = said.fact
        return Step(said.type, fact.occurred_at, kind.title, fact.by, shown, kind.alert is not None, moves.get(fact.id))

    @staticmethod
    def _fits(kind: EventType, order: Order, facts: Sequence[Fact], place: str | None, now: datetime) -> bool:
        """Let the service tell the story with this said now: it is offered unless that breaks the chain or repeats itself."""
        own = order.handler.own_id(order.row.subject)
        needed = {name for name, field in kind.payload.model_fields.items() if field.is_required()}
        is_open = order.row.state == "planned"
        if PARTNER not in kind.by or needed != own.keys() or (kind.closes_task if is_open else place != "carrier"):
            return False
        happened = [each for each in facts if each.type in {known.name for known in order.handler.events}]
        if happened and happened[-1].type == kind.name:
            return False
        new = Fact(format_time(now), _LAST, kind.name, own, by=PARTNER, account=order.row.account)
        tale = order.handler.tell([*facts, new], new, now)
        judged = [each.data.get("chain") for each in tale.said if each.fact is new]
        return BROKEN not in tale.warnings and bool(judged) and HELD not in judged
