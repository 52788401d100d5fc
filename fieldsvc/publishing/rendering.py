"""Render rows for a view: open what it may read, a batch at a time, and write the bodies."""

from collections.abc import Sequence

from fieldsvc.journal.reader import Row
from fieldsvc.journal.sealed import Opener
from fieldsvc.publishing.formats.cloudevents import View, render, sealed_classes


class Renderer:
    """Writes the bodies that subscribers receive."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    async def bodies(self, rows: Sequence[Row], view: View) -> list[bytes]:
        """Write the event of each row as the view may see it."""
        keys = [(row.event_id, row.part) for row in rows if sealed_classes(row) & view.wanted(row)]
        opened = await self._opener.open_parts(keys) if keys else {}
        return [render(row, opened.get((row.event_id, row.part), {}), view) for row in rows]
