"""La Poste's Suivi v2 for systems of customers that follow its interface already; they see the items of their own account."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Account
from fieldsvc.access.rights import sees_event
from fieldsvc.access.viewers import viewer_of
from fieldsvc.journal.stories import Stories
from fieldsvc.publishing.formats import suivi
from fieldsvc.publishing.formats.suivi import ItemEvent, Reader
from fieldsvc.web.auth import base_url, caller
from fieldsvc.web.problems import json_response
from handlers.registry import Registry

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Suivi:
    """What the view works with."""

    stories: Stories
    registry: Registry
    zone: tzinfo

    async def answers(self, ids: list[str], account: Account, reader: Reader) -> list[dict[str, Any]]:
        """Answer each number in the order asked: its shipment, or that it is not valid or not known to this account."""
        valid = [each for each in ids if _ID.fullmatch(each)]
        names = [f"item/{form}" for each in valid for form in (each, each.upper())]
        handler, now = self.registry.handlers["item"], datetime.now(UTC)
        stories = await self.stories.of(handler, names, now, viewer=viewer_of(account))
        seen = {name: story for name, story in stories.items() if story.said and _sees(account, story.account)}
        answers = []
        for each in ids:
            story = seen.get(f"item/{each}") or seen.get(f"item/{each.upper()}")
            if each not in valid:
                answers.append(suivi.wrong(None, 400, reader))
            elif story is None:
                answers.append(suivi.wrong(each, 404, reader))
            else:
                events = [ItemEvent(said.type, said.fact.occurred_at, said.data) for said in story.said]
                answers.append(suivi.found(story.subject.removeprefix("item/"), events, reader))
        return answers


SUIVI = web.AppKey("SUIVI", Suivi)


async def idships(request: web.Request) -> web.Response:
    """Follow one to ten items in the shape of La Poste's Suivi v2."""
    account, found = caller(request, Account), request.app[SUIVI]
    reader = Reader(suivi.language_of(request.query.get("lang")), found.zone, f"{base_url(request)}/suivi?code=")
    ids = [each.strip() for each in request.match_info["ids"].split(",")]
    if len(ids) > suivi.MOST_IDS:
        return json_response(suivi.wrong(None, 400, reader), status=400)
    answers = await found.answers(ids, account, reader)
    if len(answers) > 1:
        return json_response(answers, status=207)
    return json_response(answers[0], status=answers[0]["returnCode"])


def _sees(account: Account, owner: str | None) -> bool:
    return sees_event(account.account_id, operator="operator" in account.scopes, owner=owner, site=None)


routes: list[web.RouteDef] = [web.get("/suivi/v2/idships/{ids}", idships)]
