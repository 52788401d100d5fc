"""What customers say of what was brought to them: that something is wrong with it, and how it went.

One case an event and one rating an item: their ids are derived, so that a form that is sent twice says nothing twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fieldsvc.journal.commands import Commands
from fieldsvc.journal.histories import Histories
from fieldsvc.journal.reader import Row
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.journal.stories import Stories
from fieldsvc.requests.codes import Codes
from fieldsvc.store import case_file
from fieldsvc.store.case_file import CaseRow
from fieldsvc.store.database import Database
from fieldsvc.store.viewer import Viewer
from handlers.story import Actor

DISPUTED = frozenset(
    f"item.{fate}" for fate in ("delivered", "collected", "delivery_attempted", "held", "returned_to_sender", "missing")
)
RATED = frozenset({"item.delivered", "item.collected"})
DISPUTED_FOR, RATED_FOR = timedelta(days=365), timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Fate:
    """What was last said of an item, and whose it is."""

    event_id: str
    type: str
    subject: str
    at: datetime
    site: str | None
    account: str | None

    @property
    def can_be_disputed(self) -> bool:
        """Whether it is not too long ago."""
        return self.at > datetime.now(UTC) - DISPUTED_FOR

    @property
    def can_be_rated(self) -> bool:
        """Whether it was handed over, lately."""
        return self.type in RATED and self.at > datetime.now(UTC) - RATED_FOR


class Voices:
    """Takes disputes and ratings, and tells how a case stands."""

    def __init__(self, database: Database, vault: Vault, opener: Opener, commands: Commands) -> None:
        self._database = database
        self._opener = opener
        self._commands = commands
        self._codes = Codes(vault)
        self._histories = Histories(database, vault)
        self._stories = Stories(database, vault)

    async def fate(self, subject: str) -> Fate | None:
        """Find what was last said of an item's way to its addressee; None for what is on its way, unknown or no item."""
        if not subject.startswith("item/"):
            return None
        rows = [row for row in await self._histories.of_subjects("item", [subject]) if row.type in DISPUTED]
        return _fate(rows[-1]) if rows else None

    def case_id(self, fate: Fate) -> str:
        """Name the case of an event."""
        return self._named("CT", f"dispute {fate.event_id}")

    async def case(self, case_id: str) -> CaseRow | None:
        """Read the case of who has shown that it is theirs."""
        return await case_file.read(self._database.seen_by(Viewer("customer", reference=case_id)), case_id)

    async def answer(self, case: CaseRow) -> Mapping[str, Any]:
        """Open how a case was closed: its outcome and reason, nothing of an open one or where it was erased."""
        opened = (await self._opener.open_blobs([case.sealed]))[0]
        return (
            {name: opened[name] for name in ("outcome", "reason") if name in opened} if isinstance(opened, dict) else {}
        )

    async def dispute(self, fate: Fate, text: str, contact: Mapping[str, str] | None = None) -> str:
        """Open a case about an event; a second time it is the same case, as it was first told. Return its number."""
        case_id = self.case_id(fate)
        if await self.case(case_id) is None:
            data = {
                "case_id": case_id,
                "event_id": fate.event_id,
                "text": text,
                "about": fate.subject,
                "about_site": fate.site,
                "about_account": fate.account,
                "contact": dict(contact) if contact else None,
            }
            said = {name: value for name, value in data.items() if value is not None}
            await self._commands.send("trust.dispute_opened", said, actor=Actor("customer"), site=fate.site)
        return case_id

    async def is_rated(self, subject: str) -> bool:
        """Tell whether somebody rated this item already."""
        named = f"rating/{self._rating_id(subject)}"
        return named in await self._stories.of(self._commands.registry.handlers["rating"], [named], datetime.now(UTC))

    async def rate(self, fate: Fate, score: int, comment: str = "") -> None:
        """Take a rating, the first one of an item; it goes to the account whose order the item is."""
        if await self.is_rated(fate.subject):
            return
        said = {"rating_id": self._rating_id(fate.subject), "about": fate.subject, "score": score}
        said |= {"comment": comment} if comment else {}
        await self._commands.send("rating.given", said, actor=Actor("customer", account=fate.account), site=fate.site)

    def _rating_id(self, subject: str) -> str:
        return self._named("RT", f"rating {subject}")

    def _named(self, prefix: str, key: str) -> str:
        return prefix + self._codes.reference(key).removeprefix("DC")


def _fate(row: Row) -> Fate:
    return Fate(row.evt_id, row.type, row.subject, row.occurred_at, row.site, row.account)
