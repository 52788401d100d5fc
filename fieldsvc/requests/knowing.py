"""What the office knows when a change is asked for: the item and where it is, the address, whom to warn, how risky it is."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import numpy as np

from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.journal.stories import Stories
from fieldsvc.requests.body import ChangeBody
from fieldsvc.requests.codes import Codes
from fieldsvc.requests.risk import Risk, Signs, assess
from fieldsvc.store import request as store
from fieldsvc.store.database import Database
from fieldsvc.store.request import KnownItem, KnownPoint
from fieldsvc.work.rounds import RoundStore
from handlers import products
from handlers.base import Handler

YEAR, MONTH = timedelta(days=365), timedelta(days=30)
_POSTCODE = re.compile(r"\b\d{5}\b")
_FATES = ("delivered", "collected", "returned_to_sender")
_OUT = ("started", "paused")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about, as the office knows it."""

    name: str
    product: str
    site: str | None
    point: str | None
    item: KnownItem | None = None
    place: KnownPoint | None = None


class Knowledge:
    """Looks up what is known; decides nothing."""

    def __init__(
        self, database: Database, vault: Vault, opener: Opener, *, rounds: RoundStore, items: Handler, zone: tzinfo
    ) -> None:
        self.database = database
        self.codes = Codes(vault)
        self._opener = opener
        self.stories = Stories(database, vault)
        self._rounds = rounds
        self._items = items
        self._zone = zone

    async def subject(self, body: ChangeBody) -> Subject | None:
        """Find what a change is about: the item, its address where the kind is for addresses, or a pouch; None if unknown."""
        if body.delivery_point_id is not None:
            return await self._point(body.delivery_point_id, None)
        item = await store.item(self.database, f"item/{body.item_id}") or await store.item(
            self.database, f"pouch/{body.item_id}"
        )
        if item is None:
            return None
        if item.subject.startswith("pouch/"):
            return Subject(item.subject, "pouch", item.site, item.delivery_point, item)
        if "item" not in products.KINDS[body.kind].subjects and item.delivery_point is not None:
            return await self._point(item.delivery_point, item)
        product = products.product_of(item.subject.partition("/")[2], item.requirements)
        return Subject(item.subject, product, item.site, item.delivery_point, item)

    async def _point(self, name: str, item: KnownItem | None) -> Subject | None:
        place = await store.point(self.database, name)
        return Subject(f"delivery_point/{name}", "ordinary", place.site, name, item, place) if place else None

    async def postcode(self, subject: Subject) -> str | None:
        """Find the postcode of an item's address: of the known address, else as it was written."""
        item = subject.item
        if item is None:
            return None
        if item.postcode:
            return item.postcode
        opened = (await self._opener.open_blobs([item.sealed]))[0]
        written = opened.get("address") if isinstance(opened, dict) else None
        found = _POSTCODE.findall(" ".join(filter(None, (item.address, written if isinstance(written, str) else None))))
        return found[-1] if found else None

    async def of_item(self, item: KnownItem, now: datetime) -> dict[str, Any]:
        """Tell where an item is: out since when, how it ended, how many stops away the carrier is, and on which sheet."""
        stories = await self.stories.of(self._items, [item.subject], now)
        story = stories.get(item.subject)
        fates = [said for said in story.said if said.type.startswith("item.")] if story else []
        last = fates[-1] if fates else None
        ended = last.type.removeprefix("item.") if last and last.type.removeprefix("item.") in _FATES else None
        where = last.data.get("to") if last and ended else None
        return {
            "loaded_at": item.loaded_at,
            "ended": f"{ended}:{where}" if ended and where else ended,
            "stops_away": await self.stops_away(item),
            "on_sheet": item.state == "planned" and item.round_id is not None,
        }

    async def stops_away(self, item: KnownItem) -> int | None:
        """Count the stops between the carrier and the item's door, 0 once there or past it; None as long as nobody can tell."""
        if item.run_state not in _OUT or item.distance_along_m is None or item.round_id is None:
            return None
        known = await self._rounds.known_round(item.round_id)
        stop_id = known.stop_of_point.get(f"delivery_point/{item.delivery_point}") if known else None
        if known is None or stop_id is None:
            return None
        planned = known.stored.round
        ahead = planned.stop_distances_m
        place = next(number for number, stop in enumerate(planned.stops) if stop.stop_id == stop_id)
        passed = int(np.searchsorted(ahead, item.distance_along_m, side="right"))
        return max(0, place - passed + 1)

    def times(self, body: ChangeBody, subject: Subject) -> dict[str, datetime]:
        """Tell when a change begins and ends: of an item with the local day of its work, of an address as was said."""
        if subject.name.startswith("delivery_point/"):
            starts = {"starts_at": self._start_of(date.fromisoformat(body.from_))} if body.from_ else {}
            ends = {"ends_at": self._start_of(date.fromisoformat(body.to), days=1)} if body.to else {}
            return starts | ends
        day = subject.item.day if subject.item else datetime.now(UTC).date()
        last = body.to or (body.from_ if body.kind in ("other_date", "second_presentation") else None)
        day = max(day, date.fromisoformat(last)) if last else max(day, self.today())
        return {"ends_at": self._start_of(day, days=1)}

    def today(self) -> date:
        """Give the local day."""
        return datetime.now(UTC).astimezone(self._zone).date()

    async def contacts(self, point: str, now: datetime) -> tuple[list[dict[str, Any]], bool]:
        """List the proved contacts of an address, with those replaced within a year; and whether one is newer than 30 days."""
        rows = await store.contacts(self.database, point, now - YEAR)
        opened = await self._opener.open_blobs([row.sealed for row in rows]) if rows else []
        found = [contact for contact in opened if isinstance(contact, dict)]
        return found, any(row.verified_at > now - MONTH for row in rows)

    async def risk(
        self, body: ChangeBody, subject: Subject, request_id: str, *, now: datetime, tried_often: bool
    ) -> tuple[Risk, list[dict[str, Any]]]:
        """Judge how risky a redirection is; return it with the contacts that are to be warned."""
        contacts, changed = await self.contacts(subject.point or "", now)
        _, redirects = await store.asked_of_point(self.database, subject.name, now - YEAR, request_id)
        asked, _ = await store.asked_of_point(self.database, subject.name, now - MONTH, request_id)
        target = body.details.new_address or ""
        place = subject.place
        signs = Signs(
            redirects_in_a_year=redirects,
            changes_in_a_month=asked,
            others_to_target=await store.led_to_target(
                self.database, self.codes.target(target), now - YEAR, subject.name
            ),
            target=target,
            contacts_known=len(contacts),
            contact_changed=changed,
            signed_items=place.signed_items if place else 0,
            address_class=place.delivery_point_class if place else None,
            placed=place is not None and place.round_id is not None,
            days_ahead=(date.fromisoformat(body.from_) - self.today()).days if body.from_ else 0,
            tried_often=tried_often,
        )
        return assess(signs), contacts

    def _start_of(self, day: date, *, days: int = 0) -> datetime:
        return datetime.combine(day + timedelta(days=days), time(), self._zone).astimezone(UTC)
