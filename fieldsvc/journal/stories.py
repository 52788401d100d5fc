"""Stories for readers: what one service says of a subject as it stands, told again from the facts of its state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import asyncpg
import orjson

from fieldsvc.journal.sealed import Vault
from fieldsvc.store.database import Database
from fieldsvc.store.viewer import Viewer
from handlers import corrections
from handlers.base import Handler
from handlers.story import Fact, Said
from sql import query


@dataclass(frozen=True, slots=True)
class Story:
    """What holds of one subject, in the order of its facts, and the account that it belongs to."""

    subject: str
    account: str | None
    said: Sequence[Said]
    facts: Sequence[Fact] = ()


class Stories:
    """Reads the states of subjects, and lets their services tell them."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def of(
        self, handler: Handler, subjects: Sequence[str], now: datetime, *, viewer: Viewer | None = None
    ) -> dict[str, Story]:
        """Tell the stories of subjects; one that is unknown, or was erased, is left out, and what a `viewer` may not see."""
        names = list(dict.fromkeys(subjects))
        async with (self._database.seen_by(viewer) if viewer else self._database).acquire() as connection:
            heads = await connection.fetch(query("subject_head.load"), names)
        accounts = {row["subject"]: row["account"] for row in heads}
        if viewer is not None:
            names = list(accounts)
        async with self._database.acquire() as connection:
            states = await connection.fetch(query("state.load"), [handler.name] * len(names), names)
        found = {}
        for row in states:
            body = opened_state(row, self._vault)
            facts = corrections.applied([Fact(*fact) for fact in body["facts"]]) if body else []
            if facts:
                said = handler.tell(facts, facts[-1], now).said
                found[row["subject"]] = Story(row["subject"], accounts.get(row["subject"]), said, facts)
        return found


def opened_state(row: asyncpg.Record, vault: Vault) -> dict[str, Any] | None:
    """Open the body of a state, as `state.load` finds it; None where the key was destroyed."""
    if row["key_id"] is None:
        return cast(dict[str, Any], orjson.loads(row["body"]))
    if row["wrapped"] is None:
        return None
    key = vault.unwrap(row["person"], row["key_id"], row["wrapped"])
    return cast(dict[str, Any], key.open(row["nonce"], row["body"], bound_to=f"{row['handler']}|{row['subject']}"))
