"""Finding an item without an account: who knows its number and the postcode that it goes to gets a link of its own.

A number that does not exist, a postcode that does not fit and an order without any address look alike: the same look-ups are
made for each, and the same is answered. Wrong tries count by where they come from, by the number and by its neighbours in the
series, whether such a number exists or not; what was typed is kept nowhere but as a keyed digest in memory.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

from fieldsvc.access.tries import Tries
from fieldsvc.errors import TooMany
from fieldsvc.journal.sealed import Vault
from fieldsvc.requests.knowing import Knowledge, Subject
from fieldsvc.requests.links import Link, link_key, seal_link
from fieldsvc.store import notice_code as store_of_codes
from fieldsvc.store import request as store
from handlers import notice_code

FOUND_FOR, CODE_FOR = timedelta(days=7), timedelta(days=30)
WINDOW_S = 600.0
MOST: Mapping[str, int] = {"source": 10, "number": 10, "series": 30}
RIGHTS = frozenset({"see", "change"})
_NUMBER, _SPACES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"), re.compile(r"\s")
_LAST_OF_SERIES = 5  # of RK123456785FR the country, the check digit and two digits more: a hundred neighbours


class Finder:
    """Finds what somebody may follow, and makes the link to it."""

    def __init__(self, knowledge: Knowledge, vault: Vault, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._known = knowledge
        self._vault = vault
        self._link_key = link_key(vault)
        self._key = vault.derived_key("suivi.tries")
        self._tries = {
            name: Tries(most=most, window_s=WINDOW_S, size=50_000, clock=clock) for name, most in MOST.items()
        }
        self.looked_up = 0

    async def by_number(self, number: str, postcode: str, source: str) -> str | None:
        """Return the token of a link to the item or pouch; None unless both are right. TooMany after too many wrong tries."""
        typed, place = _SPACES.sub("", number), _SPACES.sub("", postcode)
        plain = typed.upper()
        tried = {"source": source, "number": plain, "series": plain[:-_LAST_OF_SERIES] or plain}
        with self._trying(tried):
            subject = await self._subject(typed) if _NUMBER.fullmatch(typed) else None
            known = await self._known.postcode(subject) if subject else None
            if subject is None or known is None or not hmac.compare_digest(known.encode(), place.encode()):
                for name, value in tried.items():
                    self._tries[name].failed(self._digest(name, value))
                return None
        return self.link_to(subject.name, postcode=known)

    async def by_code(self, typed: str, source: str) -> str | None:
        """Return the token of a link to what a paper notice is about; None for no such notice. TooMany as above."""
        with self._trying({"source": source}):
            code = notice_code.plain(typed)
            digest = self._vault.person_digest(notice_code.named(code or ""))
            since = datetime.now(UTC) - CODE_FOR
            subjects = await store_of_codes.items(self._known.database, digest, since)
            if not subjects:
                self._tries["source"].failed(self._digest("source", source))
                return None
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

    @contextmanager
    def _trying(self, tried: Mapping[str, str]) -> Iterator[None]:
        digests = {name: self._digest(name, value) for name, value in tried.items()}
        if any(self._tries[name].too_many(digest) for name, digest in digests.items()):
            raise TooMany("Too many wrong tries; wait a while.", retry_after_s=int(WINDOW_S))
        with ExitStack() as under_way:
            for name, digest in digests.items():
                under_way.enter_context(self._tries[name].under_way(digest))
            yield

    def _digest(self, name: str, value: str) -> str:
        return hmac.new(self._key, f"{name}\n{value}".encode(), hashlib.sha256).hexdigest()
