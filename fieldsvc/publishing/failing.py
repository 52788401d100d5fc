"""The endpoints that somebody should look at: stopped, failing, or with subjects that wait alone."""

import time
from collections.abc import Callable
from typing import Any

from fieldsvc.publishing.standing import Standings
from fieldsvc.store import endpoints
from fieldsvc.store.database import Database
from handlers.fields import format_time

MOST, KEPT_S = 50, 10.0


class Failing:
    """Lists them, ten seconds old at most."""

    def __init__(
        self, database: Database, standings: Standings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._standings = standings
        self._clock = clock
        self._made_at, self._made = -KEPT_S, list[dict[str, Any]]()

    async def listed(self) -> list[dict[str, Any]]:
        """Tell of each since when, why, and how many events wait for it; the first fifty."""
        if self._clock() - self._made_at >= KEPT_S:
            found = await endpoints.failing(self._database, limit=MOST)
            configs = await endpoints.configs(self._database, [each.endpoint_id for each in found])
            self._made = [
                {
                    "endpoint_id": each.endpoint_id,
                    "account": each.account,
                    "state": each.state,
                    "since": format_time(each.since) if each.since else None,
                    "why": each.why,
                    "backlog": (await self._standings.of(configs[each.endpoint_id])).backlog,
                }
                for each in found
                if each.endpoint_id in configs
            ]
            self._made_at = self._clock()
        return self._made
