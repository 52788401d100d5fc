"""A form of the portal that is sent twice, by a double click or a reload, acts once and shows the same again for a while."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.web.auth import ACCESS
from fieldsvc.web.forms import Form
from fieldsvc.work.errors import KeyInUse
from fieldsvc.work.idempotency import once

SHOWN_FOR = timedelta(minutes=10)
TRIES, PAUSE_S = 40, 0.25
_TOKEN = re.compile(r"[0-9a-f]{32}")


def is_known(form: Form) -> bool:
    """Tell whether a form carries the token with which it was shown."""
    return bool(_TOKEN.fullmatch(form.get("once")))


def token_of(form: Form) -> str:
    """Return the token of a form as it was shown; a new one for a form that has none yet."""
    return form.get("once") if is_known(form) else secrets.token_hex(16)


async def acted_once(
    request: web.Request, account: str, form: Form, act: Callable[[], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Act for a form as it is filled in, and return what `act` did; sent again, return what it did then.

    Filled in otherwise it is another form. One without a token of ours acts each time. KeyInUse while the first still acts.
    """
    if not is_known(form):
        return await act()
    database, key = request.app[ACCESS].database, f"portal {mark_of(form).hex()}"

    async def answer() -> tuple[int, dict[str, Any]]:
        return 200, await act()

    for _ in range(TRIES):
        try:
            _, kept = await once(database, account, key, body=request.path.encode(), act=answer)
        except KeyInUse:
            await asyncio.sleep(PAUSE_S)
        else:
            found: dict[str, Any] = orjson.loads(kept)
            return found
    raise KeyInUse(retry_after_s=1)


def mark_of(form: Form) -> bytes:
    """Hash what was filled in and the token, which is kept nowhere."""
    filled = sorted((name, values) for name, values in form.several.items() if name != "csrf")
    return hashlib.sha256(orjson.dumps(filled)).digest()
