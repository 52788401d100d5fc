"""Tasks on order: made, read, changed and cancelled by who ordered them, until the carrier has seen them."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from fieldsvc.errors import Forbidden, NotFound
from fieldsvc.store import delivery_point as points
from fieldsvc.store import task as store
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.run import run_id_of
from fieldsvc.store.task import TaskRow
from fieldsvc.store.viewer import EVERY_SITE, SUBSCRIBER, Viewer
from fieldsvc.work.booking import prepared
from fieldsvc.work.errors import BadTask, PlaceRequired, TaskClosed, TaskSeen
from fieldsvc.work.pilots import Pilots
from fieldsvc.work.placement import Placer
from fieldsvc.work.runs import Sender
from fieldsvc.work.sheets import BlobOpener, window_of
from fieldsvc.work.task_body import TaskBody, day_of, handler_of, order_of, read_body, sandbox_subject, subject_of
from geo.addresses import ACCEPT_SCORE, one_line
from handlers import sandbox
from handlers.registry import Registry
from handlers.story import Actor

_FIXED = frozenset({"service", "subject", "person"})


@dataclass(frozen=True, slots=True)
class Orderer:
    """Who orders. `scopes` None = a person of the operator, who may order any service; `site` bounds a supervisor.

    What a `sandbox` orders is on no sheet, and plays out by itself.
    """

    actor: Actor
    scopes: frozenset[str] | None = None
    site: str | None = None
    sandbox: bool = False

    @property
    def own_site(self) -> str | None:
        """The site that its orders are told with: a sandbox's own."""
        return sandbox.SITE if self.sandbox else None

    @property
    def viewer(self) -> Viewer:
        """For whom tasks are read."""
        if self.actor.account is not None:
            return Viewer(SUBSCRIBER, self.actor.account)
        return Viewer(self.actor.kind, site=EVERY_SITE if self.site is None else self.site)

    def may_order(self, service: str) -> bool:
        """Tell whether tasks of this service may be ordered."""
        return self.scopes is None or f"order:{service}" in self.scopes

    def owns(self, row: TaskRow) -> bool:
        """Tell whether a task is theirs: of their account; of the operator, and on a round of their site if they have one."""
        return row.account == self.actor.account and (self.site is None or row.site == self.site)


class Tasks:
    """What may be done with tasks. Every change is a command; the journal's decision writes the row."""

    def __init__(
        self,
        database: Database,
        commands: Sender,
        *,
        opener: BlobOpener,
        registry: Registry,
        placer: Placer,
        zone: tzinfo,
    ) -> None:
        self.database = database
        self._commands = commands
        self._opener = opener
        self._registry = registry
        self._placer = placer
        self._zone = zone
        self._pilots = Pilots(database)

    async def create(self, body: TaskBody, orderer: Orderer, *, key: str | None = None) -> dict[str, Any]:
        """Order a task; return it without its personal fields, with warnings.

        `key` (an idempotency key) gives the task its id, so that a request whose answer was lost makes no second one.
        Forbidden, UnknownService, SubjectRequired, PlaceRequired, BadTask, or the service's own refusal.
        """
        handler = handler_of(self._registry, body.service)
        if not orderer.may_order(body.service):
            raise Forbidden(f"This key has no scope order:{body.service}.", scope=f"order:{body.service}")
        task_id = task_id_of(orderer.actor.account, key)
        if key is not None and (made := await store.read(self._seen(orderer), task_id)):
            return described(made, operator=orderer.scopes is None) | {"warnings": []}
        subject = sandbox_subject(handler, body) if orderer.sandbox else subject_of(handler, body)
        point, warnings = await self._placed_for(orderer, body, subject)
        if orderer.site is not None:
            await self._check_site(point, orderer.site)
        on = day_of(body, self._zone, datetime.now(UTC))
        await self.send(
            order_of(task_id, subject, body, on=on, delivery_point=point), orderer.actor, site=orderer.own_site
        )
        row = await store.read(self._seen(orderer), task_id)
        if row is None:
            raise NotFound
        return described(row, operator=orderer.scopes is None) | {"warnings": warnings}

    async def read(self, task_id: str, orderer: Orderer) -> dict[str, Any]:
        """Read a task with its personal fields; NotFound for someone else's."""
        row = await self._own(task_id, orderer)
        return described(row, operator=orderer.scopes is None) | await self._personal(row)

    async def page(
        self, orderer: Orderer, asked: Mapping[str, Any], *, after: tuple[date, str] | None, limit: int
    ) -> tuple[list[dict[str, Any]], tuple[date, str] | None]:
        """List an orderer's tasks without their personal fields, the newest day first, and where the next page begins.

        `asked` may hold `on`, `state` and `service`.
        """
        wanted = store.Wanted(orderer.actor.account, orderer.site, **asked)
        rows = await store.page(self._seen(orderer), wanted, after=after or (date.max, ""), limit=limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        shown = [described(row, operator=orderer.scopes is None) for row in rows[:limit]]
        return shown, (last.day, last.id) if last else None

    async def change(self, task_id: str, patch: Mapping[str, Any], orderer: Orderer) -> dict[str, Any]:
        """Change a task: members that are given replace, null removes. NotFound, TaskSeen, TaskClosed, BadTask."""
        row = await self._changeable(task_id, orderer)
        if fixed := sorted(_FIXED & patch.keys()):
            raise BadTask(f"{', '.join(fixed)} cannot be changed.", members=fixed)
        before = ordered(row, await self._personal(row))
        if "address" in patch and "delivery_point" not in patch:
            before.pop("delivery_point", None)
        merged = {name: value for name, value in (before | dict(patch)).items() if value is not None}
        body = read_body(merged)
        point, warnings = await self._placed_for(orderer, body, row.subject)
        if orderer.site is not None:
            await self._check_site(point, orderer.site)
        on = day_of(body, self._zone, datetime.now(UTC))
        await self.send(
            order_of(task_id, row.subject, body, on=on, delivery_point=point), orderer.actor, site=orderer.own_site
        )
        return await self.read(task_id, orderer) | {"warnings": warnings}

    async def cancel(self, task_id: str, orderer: Orderer) -> None:
        """Cancel a task; a second time changes nothing. NotFound, TaskSeen, TaskClosed."""
        row = await self._own(task_id, orderer)
        if row.state == "cancelled":
            return
        row = await self._changeable(task_id, orderer)
        data = {"task_id": row.id, "service": row.service, "subject": row.subject, "reason": "cancelled"}
        site = orderer.own_site or row.site
        await self._commands.send("task.cancelled", data, actor=orderer.actor, site=site, handler=row.service)

    async def send(self, order: Mapping[str, Any], actor: Actor, *, site: str | None = None) -> None:
        """Send `task.planned`; NoDeskOpen where nobody would answer if it went wrong."""
        if site != sandbox.SITE:
            order = await prepared(self.database, handler_of(self._registry, order["service"]), order)
        await self._commands.send("task.planned", order, actor=actor, site=site, handler=order["service"])

    async def _placed_for(self, orderer: Orderer, body: TaskBody, subject: str) -> tuple[str | None, list[str]]:
        """Find the place of a task; a sandbox's is nowhere."""
        if not orderer.sandbox:
            return await self.placed(body, subject)
        if body.delivery_point is None and body.address is None:
            raise PlaceRequired
        return None, []

    async def placed(self, body: TaskBody, subject: str) -> tuple[str | None, list[str]]:
        """Find the task's delivery point, and what to warn of: `unknown_delivery_point` or `address_not_placed`.

        PlaceRequired; ServiceNotEnabled where the service is piloted at other sites.
        """
        point, warnings = await self._found(body, subject)
        await self._pilots.check(body.service, point)
        return point, warnings

    async def _found(self, body: TaskBody, subject: str) -> tuple[str | None, list[str]]:
        point = body.delivery_point
        if point is None and subject.startswith("delivery_point/"):
            point = subject.removeprefix("delivery_point/")
        if point is not None:
            return point, [] if await points.exists(self.database, point) else ["unknown_delivery_point"]
        if body.address is None:
            raise PlaceRequired
        found = await self._placer.find(body.address)
        best = found.candidate
        if best is None or best.ban_id is None or best.score < ACCEPT_SCORE:
            return None, ["address_not_placed"]
        if not await points.exists(self.database, best.ban_id):
            sure = not found.placement.ambiguous and found.placement.confidence >= ACCEPT_SCORE
            await points.add_placed(
                self.database,
                best.ban_id,
                address=one_line(best.address()),
                lat=best.lat,
                lon=best.lon,
                round_id=found.placement.round_id if sure else None,
            )
            return best.ban_id, [] if sure else ["address_not_placed"]
        return best.ban_id, []

    async def _personal(self, row: TaskRow) -> dict[str, Any]:
        opened = (await self._opener.open_blobs([row.sealed]))[0]
        return opened if isinstance(opened, dict) else {"erased": True}

    def _seen(self, orderer: Orderer) -> Seen:
        return self.database.seen_by(orderer.viewer)

    async def _own(self, task_id: str, orderer: Orderer) -> TaskRow:
        row = await store.read(self._seen(orderer), task_id)
        if row is None or not orderer.owns(row):
            raise NotFound
        return row

    async def _changeable(self, task_id: str, orderer: Orderer) -> TaskRow:
        row = await self._own(task_id, orderer)
        if row.state != "planned":
            raise TaskClosed(state=row.state)
        if row.seen_at is not None:
            raise TaskSeen
        return row

    async def _check_site(self, point: str | None, site: str) -> None:
        if point is None or await points.site_of(self.database, point) != site:
            raise BadTask(f"The place is on no round of {site}.", members=["delivery_point"])


def task_id_of(account: str | None, key: str | None) -> str:
    """Make a task id: random, or from an idempotency key."""
    if key is None:
        return f"tsk_{secrets.token_hex(16)}"
    return f"tsk_{hashlib.sha256(f'{account} {key}'.encode()).hexdigest()[:32]}"


def described(row: TaskRow, *, operator: bool = False) -> dict[str, Any]:
    """Describe a task without its personal fields; only the operator's people learn its run."""
    run = {"run_id": run_id_of(row.day, row.round_id) if row.round_id else None} if operator else {}
    return {
        "task_id": row.id,
        "service": row.service,
        "subject": row.subject,
        "on": row.day.isoformat(),
        "delivery_point": row.delivery_point,
        "window": window_of(row),
        "requirements": row.requirements,
        "order_ref": row.order_ref,
        "state": row.state,
        "seen": row.seen_at is not None,
        "placed": row.round_id is not None,
        "at_risk": row.at_risk,
        **run,
    }


def ordered(row: TaskRow, personal: Mapping[str, Any]) -> dict[str, Any]:
    """Write a task as the body that orders it."""
    body = {
        "service": row.service,
        "subject": row.subject,
        "on": row.day.isoformat(),
        "delivery_point": row.delivery_point,
        "window": window_of(row),
        "requirements": row.requirements or None,
        "order_ref": row.order_ref,
        **{name: value for name, value in personal.items() if name != "erased"},
    }
    return {name: value for name, value in body.items() if value is not None}
