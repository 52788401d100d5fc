"""What staff behind a screen are shown of an item: found by its number within their sites, and told in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from fieldsvc.journal.reader import Reader
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.journal.stories import Stories
from fieldsvc.sites import Sites
from fieldsvc.store import request as store
from fieldsvc.store.database import Database
from fieldsvc.store.request import Addressed, KnownItem
from handlers import item, products
from handlers.base import Handler, evt_id
from handlers.fields import name_words
from handlers.item_codes import PRINTED, code_of
from handlers.story import Fact, Said

NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
POSTCODE = re.compile(r"\d{5}", re.ASCII)
LOOKED_BACK, MOST_READ, MOST_FOUND = timedelta(days=60), 2_000, 20
ENDED = ("item.delivered", "item.collected", "item.returned_to_sender")
SAID_TO = {
    "mailbox": {"fr": "dans la boîte aux lettres", "en": "in the letterbox"},
    "addressee": {"fr": "au destinataire", "en": "to the addressee"},
    "mandate_holder": {"fr": "au mandataire", "en": "to the holder of a mandate"},
    "household": {"fr": "à une personne du foyer", "en": "to somebody of the household"},
    "neighbour": {"fr": "à un voisin", "en": "to a neighbour"},
    "caretaker": {"fr": "au gardien de l'immeuble", "en": "to the caretaker"},
    "safe_place": {"fr": "au lieu convenu", "en": "at the agreed place"},
    "represent": {"fr": "il sera présenté de nouveau", "en": "it will be presented again"},
    "office_hold": {"fr": "il attend au bureau", "en": "it waits at the office"},
    "pickup_point": {"fr": "il attend au point de retrait", "en": "it waits at the pick-up point"},
    "return": {"fr": "il repart vers l'expéditeur", "en": "it goes back to the sender"},
}
_PARTS = 20  # public events that one field event may have made of several items


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, in words; `event` is the field event's id, with which a dispute names it."""

    at: datetime
    type: str
    event: str
    words: Mapping[str, str]
    why: Mapping[str, str] | None
    proof: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Found:
    """An item as staff see it: its newest work, whom it is for, and what happened, oldest first."""

    item_id: str
    site: str | None
    known: KnownItem | None
    personal: Mapping[str, Any]
    lines: Sequence[Line]
    facts: Sequence[Fact]
    account: str | None

    @property
    def subject(self) -> str:
        """The subject of its events."""
        return f"item/{self.item_id}"

    @property
    def last(self) -> Fact | None:
        """What happened to it last."""
        return next((each for each in reversed(self.facts) if each.type.startswith("item.")), None)

    @property
    def waits(self) -> bool:
        """Whether it lies here to be collected."""
        last = self.last
        if last is None:
            return False
        brought = last.type == item.ATTEMPTED.name and last.data["next"] in item.WAITS
        return last.type == item.HELD.name or brought

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.last is not None and self.last.type in ENDED

    @property
    def goes_back(self) -> bool:
        """Whether its days are over, and it lies here still."""
        return item.days_ended(self.facts) is not None

    @property
    def shelf(self) -> str | None:
        """Where at the office it lies."""
        held = [each for each in self.facts if each.type == item.HELD.name]
        return str(held[-1].data["shelf"]) if held and held[-1].data.get("shelf") else None

    @property
    def keeps_until(self) -> datetime | None:
        """Until when it is kept."""
        return item.return_at(self.facts)

    @property
    def is_registered(self) -> bool:
        """Whether it is registered mail."""
        return item.is_registered(self.facts, self.item_id)

    @property
    def product(self) -> str:
        """What it is sold as."""
        return products.product_of(self.item_id, self.known.requirements if self.known else ())


@dataclass(frozen=True, slots=True)
class Named:
    """An item that was found by a name and a postcode."""

    item_id: str
    day: date
    addressee: str
    address: str


class Staff:
    """Finds items for people of the operator."""

    def __init__(self, database: Database, vault: Vault, opener: Opener, reader: Reader, items: Handler) -> None:
        self.database = database
        self._opener = opener
        self._reader = reader
        self._stories = Stories(database, vault)
        self._items = items

    async def item(self, number: str, sites: Sites, now: datetime) -> Found | None:
        """Find an item by its number, as it is typed or scanned; None for an unknown one, and one of another site."""
        typed = "".join(number.split())
        if not NUMBER.fullmatch(typed):
            return None
        for form in dict.fromkeys((typed, typed.upper())):
            if (found := await self._item(form, now)) is not None and found.site in sites:
                return found
        return None

    async def named(self, name: str, postcode: str, sites: Sites, today: date) -> list[Named]:
        """Find items of the last two months by words of a name and the postcode that they go to, newest first."""
        words, since = name_words(name), today - LOOKED_BACK
        rows = await store.addressed(self.database, postcode, since, limit=MOST_READ)
        mine = [row for row in rows if row.site in sites]
        opened = await self._opener.open_blobs([row.sealed for row in mine]) if mine else []
        found: dict[str, Named] = {}
        for row, said in zip(mine, opened, strict=True):
            if isinstance(said, dict) and _fits(row, said, words, postcode):
                address = str(row.address or said.get("address") or "")
                each = Named(row.subject.partition("/")[2], row.day, str(said["addressee"]), address)
                found.setdefault(each.item_id, each)
        return list(found.values())[:MOST_FOUND]

    async def public_event(self, subject: str, event: str) -> str | None:
        """Find under which name subscribers know what a field event said of an item."""
        for part in range(_PARTS):
            row = await self._reader.event(evt_id(event, part))
            if row is not None and row.subject == subject:
                return evt_id(event, part)
        return None

    async def _item(self, item_id: str, now: datetime) -> Found | None:
        subject = f"item/{item_id}"
        known = await store.item(self.database, subject)
        story = (await self._stories.of(self._items, [subject], now)).get(subject)
        if known is None and story is None:
            return None
        facts = list(story.facts) if story else []
        opened = (await self._opener.open_blobs([known.sealed]))[0] if known else None
        held = [each.data.get("office") for each in facts if each.type == item.HELD.name]
        site = known.site if known and known.site else (held[-1] if held else None)
        lines = [line for said in (story.said if story else ()) if (line := _line(said)) is not None]
        account = story.account if story else known.account if known else None
        return Found(item_id, site, known, opened if isinstance(opened, dict) else {}, lines, facts, account)


def _line(said: Said) -> Line | None:
    code = code_of(said.type, said.data)
    if code is None:
        return None
    where = SAID_TO.get(str(said.data.get("to") or said.data.get("next")))
    words = {"fr": code.fr, "en": code.en}
    if where is not None:
        words = {lang: f"{text}, {where[lang]}" for lang, text in words.items()}
    why = PRINTED.get(str(said.data.get("reason")))
    return Line(said.fact.occurred_at, said.type, said.fact.id, words, why, said.data.get("proof"))


def _fits(row: Addressed, said: Mapping[str, Any], words: set[str], postcode: str) -> bool:
    written = f"{row.address or ''} {said.get('address') or ''}"
    here = row.postcode == postcode or (row.postcode is None and postcode in POSTCODE.findall(written))
    return here and bool(words) and words <= name_words(str(said.get("addressee") or ""))
