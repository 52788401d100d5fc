"""Render rows for a view and a format: open what it may read, find what the format needs beside it, and write the bodies."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from fieldsvc.journal.histories import Histories
from fieldsvc.journal.reader import Row, parse_evt_id
from fieldsvc.journal.sealed import Opener
from fieldsvc.logs import get_logger
from fieldsvc.publishing.formats.catalogue import FORMATS, Format, Needs
from fieldsvc.publishing.formats.cloudevents import Opened, View, sealed_classes, superseded
from fieldsvc.publishing.formats.telling import Origin, Told
from fieldsvc.store.database import DATABASE_ERRORS

log = get_logger()
HERE = Origin()
MOST_KEPT, LARGEST_KEPT = 8_192, 4_096
_Part = tuple[UUID, int]
_Key = tuple[date, int, int, bool, bool, int]
_NOTHING: Opened = {}
_NO_PARTS: Mapping[_Part, Opened] = {}


class Renderer:
    """Writes the bodies that subscribers receive, once for all views that see the same.

    Kept are bodies of which no part had to be opened: these are the same for ever, so that nothing needs to be forgotten when a
    person is erased.
    """

    def __init__(self, opener: Opener, origin: Origin = HERE) -> None:
        self._opener = opener
        self._origin = origin
        self._histories = Histories(opener.database, opener.vault)
        self._kept: dict[str, dict[_Key, bytes]] = {name: {} for name in FORMATS}

    async def bodies(self, rows: Sequence[Row], view: View, format: str = "cloudevents") -> list[bytes]:  # noqa: A002 - its name
        """Write the event of each row as the view may see it; the rows are wanted by the format.

        What a format needs beside the rows is read for all of them at once.
        """
        form, kept = FORMATS[format], self._kept[format]
        replaces = form.needs is Needs.SUPERSEDED  # what is replaced may have parts that only some may read
        keys = [
            (row.day, row.shard, row.pos, view.operator, view.thin, len(view.wanted(row)) if replaces else 0)
            for row in rows
        ]
        found = [kept.get(key) if not _is_opened(row, view) else None for key, row in zip(keys, rows, strict=True)]
        missing = [row for row, body in zip(rows, found, strict=True) if body is None]
        if not missing:
            return [body for body in found if body is not None]
        fresh = iter(await self._fresh(missing, view, form))
        bodies = []
        for key, body in zip(keys, found, strict=True):
            written, is_plain = (body, False) if body is not None else next(fresh)
            bodies.append(written)
            if is_plain and len(written) <= LARGEST_KEPT:
                kept[key] = written
        while len(kept) > MOST_KEPT:
            del kept[next(iter(kept))]
        return bodies

    async def readable(self, rows: Sequence[Row], view: View, format: str = "cloudevents") -> list[bytes]:  # noqa: A002
        """Write as `bodies` does, with an empty body for a row that cannot be written; faults of the store are raised."""
        try:
            return await self.bodies(rows, view, format)
        except DATABASE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a row stops that row alone
            if len(rows) == 1:
                log.error("event.unreadable", evt_id=rows[0].evt_id, error=type(error).__name__)  # noqa: TRY400 - no values
                return [b""]
        return [body for row in rows for body in await self.readable([row], view, format)]

    async def shown(self, rows: Sequence[Row], view: View) -> list[bytes]:
        """Write as `bodies` does; a row whose sealed parts cannot be read is shown thin, one that cannot be written is empty."""
        bodies = await self.readable(rows, view)
        for place, row in enumerate(rows):
            if not bodies[place]:
                (bodies[place],) = await self.readable([row], replace(view, thin=True))
        return bodies

    async def _fresh(self, rows: Sequence[Row], view: View, form: Format) -> list[tuple[bytes, bool]]:
        """Write bodies, each with whether no part was opened for it."""
        earlier = await self._earlier(rows, form) if form.needs is not Needs.NOTHING else {}
        needed = [*rows, *(each for some in earlier.values() for each in some)] if earlier else rows
        opened = await self._opened(needed, view) if form.reads_sealed else _NO_PARTS
        if not opened and not earlier:
            return [(form.write(Told(row, _NOTHING, view, self._origin)), True) for row in rows]
        bodies = []
        for row in rows:
            before = [(each, opened.get((each.event_id, each.part), _NOTHING)) for each in earlier.get(row.evt_id, ())]
            told = Told(row, opened.get((row.event_id, row.part), _NOTHING), view, self._origin, before)
            bodies.append((form.write(told), not (told.opened or any(parts for _, parts in before))))
        return bodies

    async def _opened(self, rows: Sequence[Row], view: View) -> Mapping[_Part, Opened]:
        keys = [(row.event_id, row.part) for row in rows if _is_opened(row, view)]
        return await self._opener.open_parts(keys) if keys else _NO_PARTS

    async def _earlier(self, rows: Sequence[Row], form: Format) -> Mapping[str, Sequence[Row]]:
        """Find what was said before each row, as far as the format needs it, by the row's name."""
        if form.needs is Needs.SUPERSEDED:
            return await self._superseded(rows)
        return await self._of_subject(rows) if form.needs is Needs.SUBJECT else {}

    async def _superseded(self, rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
        names = {row.evt_id: name for row in rows if (name := superseded(row)) is not None}
        ids = {parsed[0] for name in names.values() if (parsed := parse_evt_id(name)) is not None}
        known = {row.evt_id: row for row in await self._histories.of_events(ids)} if ids else {}
        return {name: [known[replaced]] for name, replaced in names.items() if replaced in known}

    async def _of_subject(self, rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
        said: dict[str, list[Row]] = defaultdict(list)
        for each in await self._histories.of_subjects("item", [row.subject for row in rows]):
            said[each.subject].append(each)
        return {row.evt_id: [each for each in said[row.subject] if each.subject_seq < row.subject_seq] for row in rows}


def may_hold_sealed(row: Row, view: View, format: str) -> bool:  # noqa: A002 - its name
    """Tell whether a body of the row may say what was sealed, of the row or of one that it replaces."""
    form = FORMATS[format]
    if not form.reads_sealed:
        return False
    replaces = form.needs is Needs.SUPERSEDED and superseded(row) is not None
    return _is_opened(row, view) or form.needs is Needs.SUBJECT or replaces


def _is_opened(row: Row, view: View) -> bool:
    """Tell whether the view reads a sealed part of the row."""
    return b'"sealed"' in row.public and bool(sealed_classes(row) & view.wanted(row))
