"""Where services are piloted: a service that is not yet everywhere is offered, and taken, at its sites only."""

import time
from collections.abc import Callable

import orjson

from fieldsvc.errors import Conflict
from fieldsvc.store import delivery_point as points
from fieldsvc.store import pilot as store
from fieldsvc.store.database import Database
from fieldsvc.store.recent import Recent

KNOWN_S = 5.0


class ServiceNotEnabled(Conflict):
    """This service is piloted at other sites, and not where this task would be done."""

    code = "service_not_enabled"


Pilot = dict[str, frozenset[str]]


class Pilots:
    """The sites of each service that is piloted; known for five seconds."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: Recent[str, Pilot] = Recent(size=1, ttl_s=KNOWN_S, clock=clock)
        self._cut: Recent[tuple[bytes, frozenset[str]], bytes] = Recent(size=50, ttl_s=3600, clock=clock)

    async def absent_at(self, site: str) -> frozenset[str]:
        """Name the services that are piloted elsewhere, and not at this site."""
        return frozenset(service for service, sites in (await self._pilots()).items() if site not in sites)

    async def is_enabled(self, service: str, site: str | None) -> bool:
        """Tell whether a service is offered at a site; one that is piloted is at no unknown site."""
        sites = (await self._pilots()).get(service)
        return sites is None or site in sites

    async def check(self, service: str, delivery_point: str | None) -> None:
        """Refuse a task of a service that is piloted, but not at the site that serves its place."""
        if service not in await self._pilots():
            return
        site = await points.site_of(self._database, delivery_point) if delivery_point is not None else None
        if not await self.is_enabled(service, site):
            raise ServiceNotEnabled

    async def cut(self, document: bytes, site: str) -> bytes:
        """Leave out of the document of services those that are not offered at a site."""
        absent = await self.absent_at(site)
        if not absent:
            return document
        known = self._cut.get((document, absent))
        if known is None:
            whole = orjson.loads(document)
            kept = [each for each in whole["services"] if each["service"] not in absent]
            known = orjson.dumps({**whole, "services": kept})
            self._cut.put((document, absent), known, since=self._clock())
        return known

    async def _pilots(self) -> Pilot:
        known = self._known.get("")
        if known is None:
            since = self._clock()
            known = await store.every(self._database)
            self._known.put("", known, since=since)
        return known
