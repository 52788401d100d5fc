"""What is looked up before an event is decided: what it is about, filled in by the server; and what has to be done before."""

from collections.abc import Mapping
from typing import Any, Protocol

from fieldsvc.journal.reader import Reader
from handlers.story import Actor, EventType, Refused

FILLED = ("about", "about_site", "about_account")


class Before(Protocol):
    """What is done before an event is decided."""

    async def __call__(self, data: Mapping[str, Any], *, actor: Actor, site: str | None) -> object:
        """Do it for whoever says it, of their own site or of all; Refused if they may not."""
        ...


class Abouts:
    """Looks up the public events that other events name."""

    def __init__(self, reader: Reader, *, before: Mapping[str, Before] | None = None) -> None:
        """`before` has, by type, what is done before an event is decided; it may refuse."""
        self._reader = reader
        self._before = before or {}

    async def filled(
        self, event_type: EventType, data: Mapping[str, Any], *, actor: Actor, site: str | None
    ) -> dict[str, Any]:
        """Say what the named event was about, whatever the sender says of it.

        Refused `unknown_event`: there is none of that name, or it is another account's or another site's.
        """
        if event_type.name in self._before:
            await self._before[event_type.name](data, actor=actor, site=site)
        if event_type.about_event is None:
            return dict(data)
        row = await self._reader.event(data[event_type.about_event])
        foreign = row is None or (actor.account and row.account != actor.account) or (site and row.site != site)
        if row is None or foreign:
            raise Refused("unknown_event")
        found = {"about": row.subject, "about_site": row.site, "about_account": row.account}
        known = {name: value for name, value in data.items() if name not in FILLED}
        return known | {name: value for name, value in found.items() if value is not None}
