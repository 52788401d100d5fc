"""Messages on a request: who asked and the office write to each other, in few words. They change no request.

A message is a fact of the story of what the request is about: committed before it is shown, and sealed and erased with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.access.tries import Tries
from fieldsvc.errors import TooMany
from fieldsvc.journal.commands import Commands
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import BadChange
from fieldsvc.requests.errors import MessagesWait, RequestClosed
from fieldsvc.requests.knowing import Knowledge
from fieldsvc.store.request import RequestRow
from handlers.change_states import MESSAGE, NAME
from handlers.changes import unanswered

LONGEST, MOST_WAITING = 280, 5
OPEN_FOR = timedelta(days=30)  # after a request was closed
ANSWERED = "delivery_change.answered"


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `by` is `customer` or `office`, and never a person."""

    at: datetime
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Thread:
    """The messages of one request, oldest first; `waiting` of them have no answer yet."""

    messages: Sequence[Message]
    waiting: int
    is_closed: bool

    @property
    def is_full(self) -> bool:
        """Whether as many wait for an answer as may."""
        return self.waiting >= MOST_WAITING


class Messages:
    """Reads and takes messages; `own` reads a request of the caller's, or refuses as if there were none."""

    def __init__(
        self,
        knowledge: Knowledge,
        commands: Commands,
        *,
        own: Callable[[str, Asker], Awaitable[RequestRow]],
        tries: Tries,
    ) -> None:
        self._known = knowledge
        self._commands = commands
        self._own = own
        self._tries = tries
        self._one_at_a_time = asyncio.Lock()  # so that what waits is counted right

    async def of(self, request_id: str, asker: Asker) -> Thread:
        """Read the messages of a request. NotFound for someone else's."""
        return await self._thread(await self._own(request_id, asker))

    async def write(self, request_id: str, text: str, asker: Asker) -> None:
        """Write to the office, or as the office to who asked; what is sent twice in a row is written once.

        NotFound for someone else's, BadChange for nothing or too much, TooMany, MessagesWait; RequestClosed a month after.
        """
        row, by = await self._own(request_id, asker), "office" if asker.is_staff else "customer"
        said = plain(text)
        if not 0 < len(said) <= LONGEST:
            raise BadChange("A message has 1 to 280 characters.", members=["text"])
        source = f"message {asker.source}"
        if by == "customer" and self._tries.too_many(source):
            raise TooMany("Too many messages; wait a while.", retry_after_s=600)
        async with self._one_at_a_time:
            thread = await self._thread(row)
            if thread.is_closed:
                raise RequestClosed(state=row.state)
            if [(each.by, each.text) for each in thread.messages[-1:]] == [(by, said)]:
                return
            if by == "customer" and thread.is_full:
                raise MessagesWait
            kind, _, name = row.subject.partition("/")
            data = {"request_id": row.id, f"{kind}_id": name, "by": by, "text": said}
            await self._commands.send(MESSAGE, data, actor=asker.actor)
        if by == "customer":
            self._tries.failed(source)
        else:
            entry = Entry(asker.account or asker.kind, asker.kind, ANSWERED, f"delivery_change/{row.id}")
            await audit.note(self._known.database, entry)

    async def _thread(self, row: RequestRow) -> Thread:
        """Tell the messages of a request from its story; none where that was erased."""
        now, handler = datetime.now(UTC), self._commands.registry.handlers[NAME]
        story = (await self._known.stories.of(handler, [row.subject], now)).get(row.subject)
        facts = story.facts if story else ()
        written = [
            Message(fact.occurred_at, fact.data["by"], fact.data["text"])
            for fact in facts
            if fact.type == MESSAGE and fact.data["request_id"] == row.id
        ]
        is_closed = row.closed_at is not None and row.closed_at < now - OPEN_FOR
        return Thread(written, len(unanswered(facts, row.id)), is_closed)


def plain(text: str) -> str:
    """Write a text in one line, without what cannot be seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
