"""What a receiver tells of itself: a GET on the subscriber's own test server, as docs/subscribers.md describes it."""

from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldsvc.errors import UserMistake

PATIENCE = aiohttp.ClientTimeout(total=20, sock_connect=5)
MOST_BYTES = 64 * 2**20


class Applied(BaseModel):
    """One application of one event; what was applied twice stands here twice."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    id: str = Field(description="the event's id")
    data: Any = Field(None, description="what you hold of the event's data now; may be left out")


class Report(BaseModel):
    """What the receiver has applied, in the order in which it did, and who it has erased."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    applied: list[Applied] = Field(description="every event you took into your books, in that order")
    erased: list[str] | None = Field(None, description="`data.person` of every `person.erased` that you carried out")


async def fetch(session: aiohttp.ClientSession, url: str) -> Report:
    """Ask for the report; UserMistake when it is not one."""
    try:
        identity = {"Accept-Encoding": "identity"}
        async with session.get(url, timeout=PATIENCE, allow_redirects=False, headers=identity) as answer:
            if answer.status != 200:
                raise UserMistake(f"The report answers {answer.status}: it is a GET that answers 200 and JSON.")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise UserMistake("The report comes packed, which nobody asked for.")
            return Report.model_validate_json(await _bounded(answer))
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"]) or "the whole of it"
        raise UserMistake(f"The report is not as docs/subscribers.md says: {place}: {fault['msg']}.") from None
    except (aiohttp.ClientError, OSError, TimeoutError):
        raise UserMistake(f"Nothing answers at {url}, where the report should be.") from None


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for part in answer.content.iter_chunked(2**16):
        read += part
        if len(read) > MOST_BYTES:
            raise UserMistake("The report is longer than 64 MiB.")
    return bytes(read)
