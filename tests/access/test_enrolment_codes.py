import asyncio

import pytest
from aiohttp.test_utils import TestClient

from fieldsvc.access import enrolment, tokens
from fieldsvc.access.callers import Access
from fieldsvc.access.errors import BadCode
from tests.access.conftest import BASE, Clock


def wrong(code: str) -> str:
    """The same ticket with another secret."""
    return code[:-1] + ("2" if code[-1] != "2" else "3")


async def test_a_code_becomes_a_device_once(access: Access, client: TestClient) -> None:
    code = (
        await enrolment.issue_code(access.database, carrier="Zoé", site="pantin", round_id="T01", created_by="acc_1")
    ).shown
    answer = await client.post("/v1/devices/enrol", json={"code": code.lower().replace("-", " ")})
    made = await answer.json()
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["owntracks"]["user"] == made["device_id"]
    assert made["osmand"]["url"].endswith(f"/osmand/{made['token']}")
    device = await access.device(made["token"])
    assert (device.carrier, device.site, device.round_id) == ("Zoé", "pantin", "T01")
    again = await client.post("/v1/devices/enrol", json={"code": code})
    assert (again.status, (await again.json())["code"]) == (401, "bad_code")


async def test_of_two_who_use_a_code_at_once_one_gets_the_device(access: Access) -> None:
    code = (await enrolment.issue_code(access.database, carrier="Zoé", site="pantin")).shown
    tries = [enrolment.redeem_code(access.database, BASE, code) for _ in range(5)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(isinstance(each, BadCode) for each in found) == [False, True, True, True, True]


async def test_a_code_ends_after_ten_minutes(access: Access) -> None:
    code = (await enrolment.issue_code(access.database, carrier="Zoé", site="pantin")).shown
    async with access.database.acquire() as connection:
        left = await connection.fetchval("select extract(epoch from expires_at - now())::float8 from enrolment")
        assert 590 < left <= 600
        await connection.execute("update enrolment set expires_at = expires_at - interval '10 minutes'")
    with pytest.raises(BadCode):
        await enrolment.redeem_code(access.database, BASE, code)


@pytest.mark.parametrize(("failures", "works"), [(4, True), (5, False)])
async def test_the_sixth_try_of_a_code_is_refused_even_if_it_is_right(
    access: Access, failures: int, works: bool
) -> None:
    code = (await enrolment.issue_code(access.database, carrier="Zoé", site="pantin")).shown
    for _ in range(failures):
        with pytest.raises(BadCode):
            await enrolment.redeem_code(access.database, BASE, wrong(code))
    if works:
        assert (await enrolment.redeem_code(access.database, BASE, code))["device_id"] == "d-0001"
    else:
        with pytest.raises(BadCode):
            await enrolment.redeem_code(access.database, BASE, code)


async def test_a_source_that_guesses_codes_must_wait(access: Access, client: TestClient, clock: Clock) -> None:
    for _ in range(10):
        assert (await client.post("/v1/devices/enrol", json={"code": "AAAA-AAAA-AAAA-AAAA"})).status == 401
    code = (await enrolment.issue_code(access.database, carrier="Zoé", site="pantin")).shown
    refused = await client.post("/v1/devices/enrol", json={"code": code})
    assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    clock.now += 60
    assert (await client.post("/v1/devices/enrol", json={"code": code})).status == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"code":1}', 400),
        ('{"code":"a","carrier":"b"}', 400),
        ('{"code":""}', 401),
    ],
)
async def test_a_body_that_is_no_code_is_refused(client: TestClient, body: str, status: int) -> None:
    answer = await client.post("/v1/devices/enrol", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == status
    assert answer.content_type == "application/problem+json"


def test_codes_are_read_as_people_type_them() -> None:
    ticket, secret, shown = tokens.new_code()
    assert tokens.split_code(f" {shown.lower()} ") == (ticket, secret)
    assert tokens.split_code(shown + "A") is None
    assert tokens.split_code("é" * 16) is None
