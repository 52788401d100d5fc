"""The watch over all endpoints: who is behind, and whom retention is about to overtake. It says so once, and when it is over."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal import retention
from fieldsvc.logs import get_logger
from fieldsvc.metrics import Metrics
from fieldsvc.publishing.operational import Operational, hour_of
from fieldsvc.store import told as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.told import Danger, Lag
from handlers.fields import format_time

log = get_logger()
EVERY_S = 30.0
STATES = ("active", "paused", "disabled", "open", "degraded")


@dataclass(slots=True)
class Watch:
    """Looks at every endpoint from time to time; behind is one whose oldest event has waited for `lag_high_s` seconds."""

    database: Database
    operational: Operational
    lag_high_s: float
    _states: Mapping[str, int] = field(default_factory=dict)
    _lag_s: float = 0.0

    def show(self, metrics: Metrics) -> None:
        """Show how many endpoints are in each state, and how far the last of them is behind."""
        for state in STATES:
            metrics.watch(f"fieldsvc_endpoints_{state}", f"Endpoints: {state}.", partial(self._counted, state))
        metrics.watch(
            "fieldsvc_lag_seconds", "Age of the oldest event that an active endpoint awaits.", lambda: self._lag_s
        )
        metrics.watch(
            "fieldsvc_operational_waiting",
            "Endpoints of which more is to be told than an hour may hold.",
            lambda: self.operational.held_back,
        )

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("watch.failed", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def look(self, now: datetime) -> None:
        """Say who fell behind, who caught up, and whose unread events are dropped within a week."""
        self._states = await store.states(self.database)
        lags = await store.lags(self.database)
        self._lag_s = max((_age_s(each, now) for each in lags), default=0.0)
        for each in lags:
            await self._compare(each, now)
        if (limit := await self._limit(now)) is not None:
            for danger in await store.in_danger(self.database, limit):
                if danger.announced is None or (danger.announced < limit and danger.state != "disabled"):
                    await self._announce(danger, limit, now)

    def _counted(self, state: str) -> float:
        return self._states.get(state, 0)

    async def _compare(self, lag: Lag, now: datetime) -> None:
        """Say the beginning of a lag, and its end when it is down to half of what is too much."""
        age_s, since = _age_s(lag, now), lag.lagging_since
        if since is None and lag.oldest is not None and age_s >= self.lag_high_s:
            kind, data, since_now = (
                "lag.high",
                {"reason": "unacknowledged", "since": format_time(lag.oldest)},
                lag.oldest,
            )
        elif since is not None and age_s < self.lag_high_s / 2:
            kind, data, since_now = "endpoint.recovered", {"after": "lag", "since": format_time(since)}, None
        else:
            return
        if self.operational.left(lag.hour, lag.said, now):
            await self.operational.say(lag.endpoint, lag.account, kind, **data)
            await store.mark_lag(self.database, lag.endpoint, since_now, hour=hour_of(now))

    async def _limit(self, now: datetime) -> date | None:
        """Return the first day that is kept a week from now; None while the journal is held and nothing goes."""
        async with self.database.acquire() as connection:
            held = await retention.events_held(connection)
        return None if held else retention.first_day_kept((now + retention.WARNED_BEFORE).date())

    async def _announce(self, danger: Danger, limit: date, now: datetime) -> None:
        gone_on = now.date()
        while retention.first_day_kept(gone_on) <= danger.day:
            gone_on += timedelta(days=1)
        data = {"reason": "retention", "since": _midnight(danger.day), "dropped_at": _midnight(gone_on)}
        await self.operational.mail("endpoint_retention", danger.endpoint, danger.account, url=danger.url, words=data)
        await self.operational.say(danger.endpoint, danger.account, "lag.high", **data)
        await store.mark_retention(self.database, danger.endpoint, limit)


def _age_s(lag: Lag, now: datetime) -> float:
    return 0.0 if lag.oldest is None else (now - lag.oldest).total_seconds()


def _midnight(day: date) -> str:
    return format_time(datetime.combine(day, time(), UTC))
