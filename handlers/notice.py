"""Notices: what a person is told by mail, by text message, by a call or by letter, queued in the commit of the decision.

A service says whom to tell and from which template; a job of `fieldsvc/notices/` sends it. The way of reaching the person and
the words that go into the template are sealed with the key of the subject's person, and forgotten once it is sent.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from handlers.story import Fact, Sealed, Write

WAYS = ("email", "mobile", "voice", "postal")


def notice(
    fact: Fact,
    template: str,
    to: Mapping[str, Any],
    params: Mapping[str, Any],
    *,
    key: str = "",
    due_at: datetime | None = None,
    lang: str = "fr",
) -> Write:
    """Tell one person something, once for each fact, template and key, at `due_at` or at once.

    `to` holds the ways of reaching this one person, of which the first of these is taken: `email` (an address), `mobile`
    (a number as +33612345678), `voice` (a number that is called, and the words are read aloud), `postal` (`{delivery_point_id, addressee?, address?}`: a letter that a carrier brings).
    With none of them the notice is kept and counted as not sent. `template` is a name of `fieldsvc/notices/templates/`,
    `params` are its words; `lang` is `fr` or `en`.
    """
    way = next((each for each in WAYS if to.get(each)), "none")
    name = " ".join(part for part in (template, fact.id, key) if part)
    sealed = Sealed({"to": to.get(way), "params": dict(params)})
    return Write("notice.queue", (name, template, way, lang if lang in ("fr", "en") else "fr", due_at, sealed))
