"""Delivery points are spoken of by those whose site serves them: what is said of one moves it between rounds."""

from collections.abc import Mapping
from typing import Any

from fieldsvc.store import delivery_point as points
from fieldsvc.store.database import Database
from fieldsvc.work.rounds import RunPlan
from handlers.story import Refused


class Points:
    """Looks up whose a delivery point is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, data: Mapping[str, Any], plan: RunPlan | None, *, site: str | None) -> None:
        """Refuse (`not_allowed`) what somebody of a site says of a delivery point of another; a point of nobody is anybody's."""
        point = data.get("delivery_point_id")
        if site is None or not isinstance(point, str):
            return
        if plan is not None and f"delivery_point/{point}" in plan.stop_of_subject:
            return
        if await points.site_of(self._database, point) not in (None, site):
            raise Refused("not_allowed")
