"""Editing a request that is still open: the same kind under the same reference, as long as it could be asked for anew.

What was proved is proved for what was asked then: a redirection, and whatever else holds for all the mail of a place, is not edited.
Who is told stays who was told: whoever finds a link must not turn the notices to themselves.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fieldsvc.access.tries import Tries
from fieldsvc.errors import NotFound, TooMany
from fieldsvc.journal.commands import Commands
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import ChangeBody
from fieldsvc.requests.choices import Choices, Situation
from fieldsvc.requests.errors import NotPossible, RequestClosed, TooLate
from fieldsvc.requests.knowing import Knowledge
from fieldsvc.store.request import RequestRow
from handlers.change_notices import REASONS
from handlers.change_states import EDIT, TABLE
from handlers.fields import format_time


class Edits:
    """Tells whether a request may be edited, and takes what is asked instead; `own` reads a request of the caller's."""

    def __init__(
        self,
        knowledge: Knowledge,
        commands: Commands,
        choices: Choices,
        *,
        own: Callable[[str, Asker], Awaitable[RequestRow]],
        tries: Tries,
    ) -> None:
        self._known = knowledge
        self._commands = commands
        self._choices = choices
        self._own = own
        self._tries = tries

    async def situation(self, found: Mapping[str, Any]) -> Situation | None:
        """Tell how the item of a request stands; None if what was asked can no longer be asked differently."""
        kind, _, name = str(found["subject"]).partition("/")
        if kind != "item" or found["state"] not in TABLE["edit"][0] or found["asked_by"] == "carrier":
            return None
        situation = await self._choices.of_item(name, but=str(found["request_id"]))
        mine = [each for each in situation.choices if each.kind == found["kind"]] if situation else []
        return situation if any(each.why is None for each in mine) else None

    async def edit(self, request_id: str, body: ChangeBody, asker: Asker) -> None:
        """Ask for something else of the same kind; what was asked before holds as long as this is not taken.

        NotFound for someone else's; TooMany; RequestClosed; TooLate after the cut-off; NotPossible for who cannot say who they are.
        """
        row = await self._own(request_id, asker)
        subject = await self._known.subject(body)
        if subject is None or subject.item is None or subject.name != row.subject:
            raise NotFound
        if body.kind != row.kind:
            raise RequestClosed(state=row.state)
        if self._tries.too_many(f"edited {row.id}"):  # each time who asked is written to, and a sheet changes
            raise TooMany("This request was edited too often; wait a while.", retry_after_s=600)
        self._tries.failed(f"edited {row.id}")
        now = datetime.now(UTC)
        known = await self._known.of_item(subject.item, now)
        data = {
            "request_id": row.id,
            "item_id": row.subject.partition("/")[2],
            "from": body.from_,
            "to": body.to,
            "details": body.details.model_dump(exclude_none=True, exclude={"postcode", "contact"}),
            "identity": asker.identity,
            "stops_away": known["stops_away"],
            "on_sheet": known["on_sheet"],
            **{name: format_time(at) for name, at in self._known.times(body, subject).items()},
        }
        said = {name: value for name, value in data.items() if value is not None}
        result = await self._commands.send(EDIT, said, actor=asker.actor)
        why = (result.answer or {}).get("declined")
        if why == "closed":
            raise RequestClosed(state=row.state)
        if why:
            words = REASONS[why]
            raise (NotPossible if why == "not_sure" else TooLate)(words["en"], reason=why, words=dict(words))
