"""Whatever a provider's answer holds: a token that is not believed signs nobody in, and breaks nothing; a weaker proof does not do.

The service is the real one, with the keys and addresses of a provider; what its token endpoint answers is this test's.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from fieldsvc.access import oidc
from fieldsvc.access.oidc import Client, Metadata, Provider
from fieldsvc.web import customers
from fieldsvc.web.sign_in import SIGN_IN, own_path
from tests.acceptance.identity import PUBLIC, query_of
from tests.acceptance.service import Service
from tests.acceptance.visitor import Page, Visitor
from tests.access import test_id_tokens as made
from tests.databases import drop_database, new_database

LEVELS = ("eidas2", "eidas3")
_AT = made.ISSUER


class Told(Provider):
    """A provider whose token endpoint answers what the test says."""

    def __init__(self) -> None:
        super().__init__(Client(made.ISSUER, made.CLIENT, "s", "openid email", LEVELS))
        ways = (f"{_AT}/authorize", f"{_AT}/token", f"{_AT}/keys", None, f"{_AT}/end")
        self._metadata = time.monotonic() + 86_400, Metadata(*ways, by_post=False, names_itself=False)
        self.answer: Mapping[str, Any] = {}
        self.asked_for_keys = 0

    async def _exchange(self, *_: Any) -> Mapping[str, Any]:
        return self.answer

    async def _ask(self, *_: Any, **__: Any) -> tuple[int, Mapping[str, Any]]:
        self.asked_for_keys += 1
        return 200, {"keys": made.KEYS}


@pytest.fixture(scope="module")
def provider() -> Told:
    return Told()


@pytest.fixture(scope="module")
def service(provider: Told, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url, begin = new_database(postgres_url), oidc.new_flow
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oidc, "provider_of", lambda _settings: provider)
        patch.setattr(oidc, "new_flow", lambda *args, **more: replace(begin(*args, **more), nonce=made.NONCE))
        found = Service(url, tmp_path_factory.mktemp("answers"), public_url=PUBLIC)
        yield found
        found.close()
    drop_database(postgres_url, url)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "NOW", time.time())


def come_in(
    service: Service, provider: Told, answer: Mapping[str, Any], visitor: Visitor | None = None
) -> tuple[Page, Visitor]:
    visitor = visitor or Visitor()
    asked = visitor.ask(f"{service.url}/suivi/sign-in/provider")
    assert asked.to is not None
    provider.answer = answer
    return visitor.ask(f"{service.url}/suivi/sign-in/callback?code=x&state={query_of(asked.to)['state']}"), visitor


def reasons(service: Service, since: int) -> list[str]:
    lines = (orjson.loads(line) for line in service.log.getvalue()[since:].splitlines() if "sign_in.refused" in line)
    return [each["reason"] for each in lines]


def accounts(service: Service) -> int:
    async def count() -> int:
        async with service.platform.database.acquire() as connection:
            return int(await connection.fetchval("select count(*) from account"))

    return service.call(count())


@pytest.mark.parametrize("name", made.BAD)
def test_a_bad_token_signs_nobody_in(service: Service, provider: Told, name: str) -> None:
    (fault, make), before, since = made.BAD[name], accounts(service), service.log.tell()
    page, visitor = come_in(service, provider, {"id_token": make(), "access_token": made.ACCESS_TOKEN})
    assert (page.status, visitor.cookie("fieldsvc_session"), accounts(service)) == (401, None, before)
    assert reasons(service, since) == [fault]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"id_token": None},
        {"id_token": 7},
        {"id_token": ["a"]},
        {"id_token": "a.b.c", "access_token": 7},
        {"id_token": ""},
    ],
)
def test_an_answer_without_a_token_signs_nobody_in(service: Service, provider: Told, answer: Mapping[str, Any]) -> None:
    assert come_in(service, provider, answer)[0].status == 401


def test_a_flood_of_unknown_keys_asks_the_provider_once_a_minute(service: Service, provider: Told) -> None:
    come_in(service, provider, {"id_token": made.token()})
    before = provider.asked_for_keys
    for _ in range(5):
        assert come_in(service, provider, {"id_token": made.token(kid="nobody's")})[0].status == 401
    assert provider.asked_for_keys - before <= 1


def test_an_address_that_nobody_verified_is_not_taken_for_its_owners(service: Service, provider: Told) -> None:
    found = []
    for subject, verified in (("owner", True), ("thief", False), ("thief2", "no"), ("owner2", True)):
        body = made.claims(sub=subject, email="owner@demo.invalid", email_verified=verified)
        _, visitor = come_in(service, provider, {"id_token": made.token(body)})
        person = service.call(service.platform.access.person(visitor.cookie("fieldsvc_session") or ""))
        found.append((person.account_id, person.email))
    assert [email for _, email in found] == ["owner@demo.invalid", None, None, None]
    assert len({account for account, _ in found}) == 4  # a second subject with a proved address is somebody else, too


def test_a_step_that_needs_more_asks_the_provider_for_it_and_takes_no_less(service: Service, provider: Told) -> None:
    async def step(visitor: Visitor) -> web.Response | None:
        headers = {"Cookie": f"fieldsvc_session={visitor.cookie('fieldsvc_session')}", "Host": "service.test"}
        request = make_mocked_request("GET", "/suivi/reexpedition?x=1", headers=headers, app=service.app)
        return await customers.needs_acr(request)

    def strength(**more: Any) -> Mapping[str, Any]:
        return {"id_token": made.token(made.claims(sub="mover", auth_time=made.NOW, **more))}

    _, visitor = come_in(service, provider, strength(acr="eidas1"))
    asked = service.call(step(visitor))
    assert asked is not None
    said = query_of(asked.headers["Location"])
    assert (said["acr_values"], said["max_age"]) == ("eidas2 eidas3", "300")
    flow = f"fieldsvc_sign_in={asked.cookies['fieldsvc_sign_in'].value}"
    provider.answer = strength(acr="eidas1")
    back = f"/suivi/sign-in/callback?code=x&state={said['state']}"
    assert service.ask("GET", back, headers={"Cookie": flow}).status == 401
    asked = service.call(step(visitor))
    assert asked is not None
    provider.answer = strength(acr="eidas3")
    flow = f"fieldsvc_sign_in={asked.cookies['fieldsvc_sign_in'].value}"
    back = f"/suivi/sign-in/callback?code=x&state={query_of(asked.headers['Location'])['state']}"
    again = service.ask("GET", back, headers={"Cookie": flow})
    assert (again.status, again.headers["location"]) == (303, "/suivi/reexpedition?x=1")
    _, visitor = come_in(service, provider, strength(acr="eidas3"), visitor)
    assert service.call(step(visitor)) is None


def test_who_is_signed_in_by_nobody_signs_in_before_a_step(service: Service) -> None:
    async def step() -> web.Response | None:
        return await customers.needs_acr(make_mocked_request("GET", "/suivi/reexpedition", app=service.app))

    asked = service.call(step())
    assert asked is not None
    assert asked.headers["Location"] == "/suivi/sign-in?next=%2Fsuivi%2Freexpedition"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "javascript:alert(1)",
            "",
            None,
        ),
        *("evil", "/a\nb", "/a\tb", "/é", "/" + "x" * 2_000, "/ a", "http:/evil", "///evil.example"),
    ],
)
def test_only_a_path_of_this_service_is_gone_on_to(text: str | None) -> None:
    assert own_path(text) == "/suivi/compte"


@pytest.mark.parametrize("text", ["/", "/suivi/foyer", "/suivi/demandes?x=1&y=%2F%2Fa"])
def test_a_path_of_this_service_is_gone_on_to(text: str) -> None:
    assert own_path(text) == text


def test_the_service_knows_no_provider_unless_it_is_told_one(service: Service) -> None:
    assert service.app[SIGN_IN].staff is None
    assert service.app[SIGN_IN].codes is None
    assert Visitor().ask(f"{service.url}/staff/sign-in").status == 200
