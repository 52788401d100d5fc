"""The second wall from outside: routes whose queries have lost their conditions still answer with what is the caller's own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fieldsvc.access import tokens
from fieldsvc.access.tokens import API_KEY_PREFIX
from fieldsvc.platform import Platform
from fieldsvc.web.auth import SESSION_COOKIE
from sql import catalogue, query
from tests.acceptance.service import Answer, Service
from tests.databases import drop_database, new_database
from tests.store.readers import READS, SIDES, TODAY, endpoint, fill


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url, folder = new_database(postgres_url), Path(tmp_path_factory.mktemp("wall"))
    running = Service(url, folder, prepare=_prepare)
    try:
        yield running
    finally:
        running.close()
        drop_database(postgres_url, url)


async def _prepare(platform: Platform) -> None:
    async with platform.database.acquire() as connection:
        await fill(connection)
        for side in SIDES:
            key, session = tokens.digest(API_KEY_PREFIX + side), tokens.digest(side)
            await connection.execute("update account set api_key_sha256 = $2 where id = 'acc-' || $1::text", side, key)
            await connection.execute("update account set site = $1::text where id = 'boss-' || $1::text", side)
            await connection.execute(
                "insert into session values ($2, 'boss-' || $1::text, now(), now() + interval '1 hour')", side, session
            )


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries that no longer ask whose the rows are."""
    mutants = {read.name: read.mutant("north") for read in READS if read.name.endswith((".page", ".absences"))}
    for name, whose in (("endpoint.read", "account = $1"), ("live.run", "run.site = $2")):
        assert whose in query(name)
        mutants[name] = query(name).replace(whose, f"{whose[-2:]}::text is not null")
    for name, text in mutants.items():
        monkeypatch.setitem(catalogue(), name, replace(catalogue()[name], text=text))


def ask(service: Service, path: str, side: str) -> Answer:
    headers = (
        {"Authorization": f"Bearer {API_KEY_PREFIX}{side}"}
        if path.startswith(("/v1/tasks", "/v1/endpoints"))
        else {"Cookie": f"{SESSION_COOKIE}={side}"}
    )
    return service.ask("GET", path, headers=headers)


@pytest.mark.usefixtures("forgetful")
def test_routes_that_forget_to_ask_whose_it_is_still_show_nothing_of_others(service: Service) -> None:
    for path in ("/v1/tasks", "/v1/endpoints", "/v1/alerts", "/v1/cases", "/v1/roster"):
        for side, other in (SIDES, SIDES[::-1]):
            answer = ask(service, path, side)
            assert answer.status == 200, (path, answer.body)
            assert side.encode() in answer.body, path
            assert other.encode() not in answer.body, path


@pytest.mark.usefixtures("forgetful")
def test_what_is_not_yours_is_not_there(service: Service) -> None:
    for path, name in (("/v1/endpoints/{}", endpoint), ("/v1/runs/{}/replay", f"run-{TODAY}-round-{{}}".format)):
        for side, other in (SIDES, SIDES[::-1]):
            assert ask(service, path.format(name(side)), side).status == 200, path
            assert ask(service, path.format(name(other)), side).status == 404, path
