"""Finding an item without an account: who knows its number and the postcode that it goes to gets a link of its own.

A number that does not exist, a postcode that does not fit and an order without any address look alike: the same look-ups are
made for each, and the same is answered. Wrong tries count by where they come from, by the number and by its neighbours in the
series, whether such a number exists or not; what was typed is kept nowhere but as a keyed digest, for a day.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fieldsvc.access.guesses import Guesses
from fieldsvc.journal.sealed import Vault
from fieldsvc.requests.knowing import Knowledge, Subject
from fieldsvc.requests.links import Link, link_key, seal_link
from fieldsvc.store import notice_code as store_of_codes
from fieldsvc.store import request as store
from handlers import notice_code

FOUND_FOR, CODE_FOR = timedelta(days=7), timedelta(days=30)
WINDOW = timedelta(minutes=10)
MOST: Mapping[str, int] = {"source": 10, "number": 10, "series": 30}
RIGHTS = frozenset({"see", "change"})
_NUMBER, _SPACES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"), re.compile(r"\s")
_LAST_OF_SERIES = 5  # of RK123456785FR the country, the check digit and two digits more: a hundred neighbours


def links_of_mail(key: bytes, base_url: str, subject: str) -> dict[str, str | int]:
    """Make the words of a mail with which somebody says how it went with an item; the link changes nothing, and ends with its days."""
    token = seal_link(key, Link(subject, datetime.now(UTC) + FOUND_FOR, frozenset({"see"})))
    path = f"{base_url.rstrip('/')}/suivi/{token}"
    return {"dispute_url": f"{path}/contester", "rating_url": f"{path}/satisfaction", "days": FOUND_FOR.days}


class Finder:
    """Finds what somebody may follow, and makes the link to it."""

    def __init__(self, knowledge: Knowledge, vault: Vault) -> None:
        self._known = knowledge
        self._vault = vault
        self._link_key = link_key(vault)
        self._guesses = Guesses(knowledge.database, vault.derived_key("suivi.tries"), MOST, WINDOW)
        self.looked_up = 0

    async def by_number(self, number: str, postcode: str, source: str) -> str | None:
        """Return the token of a link to the item or pouch; None unless both are right. TooMany after too many wrong tries."""
        typed, place = _SPACES.sub("", number), _SPACES.sub("", postcode)
        plain = typed.upper()
        tried = {"source": source, "number": plain, "series": plain[:-_LAST_OF_SERIES] or plain}
        await self._guesses.begin(tried)
        subject = await self._subject(typed) if _NUMBER.fullmatch(typed) else None
        known = await self._known.postcode(subject) if subject else None
        if subject is None or known is None or not hmac.compare_digest(known.encode(), place.encode()):
            return None
        await self._guesses.right(tried)
        return self.link_to(subject.name, postcode=known)

    async def by_code(self, typed: str, source: str) -> str | None:
        """Return the token of a link to what a paper notice is about; None for no such notice. TooMany as above."""
        await self._guesses.begin({"source": source})
        code = notice_code.plain(typed)
        digest = self._vault.person_digest(notice_code.named(code or ""))
        since = datetime.now(UTC) - CODE_FOR
        subjects = await store_of_codes.items(self._known.database, digest, since)
        if not subjects:
            return None
        await self._guesses.right({"source": source})
        also = {"also": " ".join(subjects[1:])} if len(subjects) > 1 else {}
        subject = await self._named(subjects[0])
        return self.link_to(subjects[0], postcode=await self._known.postcode(subject) if subject else None, notes=also)

    def link_to(self, subject: str, *, postcode: str | None = None, notes: Mapping[str, str] | None = None) -> str:
        """Make the token of a link for who has shown to know enough."""
        return seal_link(self._link_key, Link(subject, datetime.now(UTC) + FOUND_FOR, RIGHTS, postcode, notes or {}))

    async def _subject(self, typed: str) -> Subject | None:
        """Look under every form of the number, so that one that exists costs no less than one that does not."""
        self.looked_up += 1
        names = [f"{kind}/{form}" for kind in ("item", "pouch") for form in (typed, typed.upper())]
        found = [await store.item(self._known.database, name) for name in names]
        item = next((each for each in found if each is not None), None)
        return Subject(item.subject, "", item.site, item.delivery_point, item) if item else None

    async def _named(self, name: str) -> Subject | None:
        item = await store.item(self._known.database, name)
        return Subject(item.subject, "", item.site, item.delivery_point, item) if item else None
