import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, make_mocked_request

from fieldsvc.access import accounts, enrolment
from fieldsvc.access.callers import Access, Account, Device, Person
from fieldsvc.errors import Forbidden, NotFound, Revoked, Unauthorized
from fieldsvc.web.auth import ACCESS, admit, is_loopback
from fieldsvc.web.rights_row import ACCOUNT, DEVICE, Own, Row
from tests.access.conftest import BASE

PHONE = Row({DEVICE: Own.SENT})


async def link(access: Access, *, reusable: bool = False) -> str:
    made = await accounts.create_person(
        access.database, BASE, "supervisor", email="<s>@x.fr", site="pantin", reusable=reusable
    )
    return made["sign_in_url"].removeprefix(BASE)


async def test_a_link_shows_one_button_and_signs_in_once(access: Access, client: TestClient) -> None:
    path = await link(access)
    for _ in range(2):
        shown = await client.get(path, headers={"Accept-Language": "en-GB,fr;q=0.5"})
        text = await shown.text()
        assert (shown.status, text.count("<button>")) == (200, 1)
        assert "Sign in as" in text
        assert "&lt;s&gt;@x.fr" in text
        assert "<script" not in text
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    entered = await client.post(path, allow_redirects=False)
    assert (entered.status, entered.headers["Location"]) == (303, "/signed-in")
    cookie = next(each for each in entered.headers.getall("Set-Cookie") if each.startswith("fieldsvc_session="))
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Vous êtes connecté comme" in await (await client.get("/signed-in")).text()
    for used in (await client.post(path), await client.get(path)):
        assert used.status == 410


async def test_an_expired_or_invented_link_is_gone(access: Access, client: TestClient) -> None:
    path = await link(access)
    async with access.database.acquire() as connection:
        await connection.execute("update sign_in set expires_at = expires_at - interval '15 minutes'")
    for wrong in (path, "/sign-in/x", "/sign-in/" + "A" * 43):
        assert (await client.get(wrong)).status == 410
        assert (await client.post(wrong, allow_redirects=False)).status == 410
    assert (await client.get("/signed-in")).status == 401


async def test_a_link_of_the_demo_works_again_on_loopback_only_until_it_is_withdrawn(
    access: Access, client: TestClient
) -> None:
    path = await link(access, reusable=True)
    token = path.rsplit("/", 1)[1]
    for _ in range(3):
        assert (await client.post(path, allow_redirects=False)).status == 303
    proxied = {"X-Forwarded-For": "198.51.100.7"}
    assert (await client.get(path, headers=proxied)).status == 410
    assert (await client.post(path, headers=proxied)).status == 410
    assert await accounts.sign_in(access.database, token, loopback=False) is None
    await accounts.withdraw_reusable_links(access.database)
    assert (await client.post(path)).status == 410


async def test_signing_out_needs_the_token_of_the_session_and_ends_it(access: Access, client: TestClient) -> None:
    await client.post(await link(access), allow_redirects=False)
    assert (await client.post("/sign-out", data={"csrf": "x"}, allow_redirects=False)).status == 403
    page = await (await client.get("/signed-in")).text()
    found = re.search(r'name=csrf value="([0-9a-f]+)"', page)
    assert found
    assert (await client.post("/sign-out", data={"csrf": found[1]}, allow_redirects=False)).status == 303
    assert (await client.get("/signed-in")).status == 401


async def test_signing_in_anew_ends_the_session_that_this_browser_had(access: Access, client: TestClient) -> None:
    """Who sat at this browser before, or knows its cookie, is out."""
    await client.post(await link(access), allow_redirects=False)
    before = {
        "Cookie": f"fieldsvc_session={client.session.cookie_jar.filter_cookies(client.make_url('/'))['fieldsvc_session'].value}"
    }
    assert (await client.get("/signed-in", headers=before)).status == 200
    await client.post(await link(access), allow_redirects=False)
    assert (await client.get("/signed-in")).status == 200
    client.session.cookie_jar.clear()
    assert (await client.get("/signed-in", headers=before)).status == 401


async def test_another_site_cannot_sign_someone_in(access: Access, client: TestClient) -> None:
    path = await link(access)
    assert (await client.post(path, headers={"Sec-Fetch-Site": "cross-site"})).status == 403
    assert (await client.post(path, headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False)).status == 303


def asked(access: Access, method: str = "GET", **headers: str) -> web.Request:
    app = web.Application()
    app[ACCESS] = access
    return make_mocked_request(method, "/", headers=headers, app=app)


async def test_a_device_may_speak_basic_as_owntracks_does_under_its_own_name_only(access: Access) -> None:
    import base64

    made = await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="pantin")

    def basic(user: str, password: str) -> str:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    good = await admit(asked(access, Authorization=basic(made["device_id"], made["token"])), PHONE)
    assert isinstance(good, Device)
    assert good.device_id == made["device_id"]
    assert await admit(asked(access, Authorization=f"bearer {made['token']}"), PHONE) == good
    for wrong in (
        basic("d-9999", made["token"]),
        basic(made["device_id"], "x"),
        "Basic é",
        "Basic !",
        "Bearer ",
        "Bearer",
        "",
    ):
        with pytest.raises(Unauthorized):
            await admit(asked(access, Authorization=wrong), PHONE)


async def test_a_lost_device_is_refused_except_where_old_captures_are_taken(access: Access) -> None:
    from datetime import UTC, datetime

    made = await enrolment.enrol_device(access.database, BASE, carrier="Zoé", site="pantin")
    await enrolment.report_lost(access.database, made["device_id"], lost_at=datetime(2026, 11, 21, tzinfo=UTC))
    request = asked(access, Authorization=f"Bearer {made['token']}")
    found = await admit(request, Row({DEVICE: Own.SENT}, lost_too=True))
    assert isinstance(found, Device)
    assert found.lost_at is not None
    with pytest.raises(Revoked):
        await admit(request, PHONE)


async def test_a_key_needs_the_scope_and_is_no_device(access: Access) -> None:
    made = await accounts.create_subscriber(access.database, "Pharmacie", scopes=["order:medication"])
    request = asked(access, Authorization=f"Bearer {made['api_key']}")
    found = await admit(request, Row({ACCOUNT: Own.ORDERS}, scope="order:medication"))
    assert isinstance(found, Account)
    assert found.account_id == made["account_id"]
    with pytest.raises(Forbidden):
        await admit(request, Row({ACCOUNT: Own.ORDERS}, scope="operator"))
    with pytest.raises(Unauthorized):
        await admit(request, PHONE)


async def test_a_session_needs_the_role_and_its_token_to_change_anything(access: Access) -> None:
    path = await link(access)
    session = await accounts.sign_in(access.database, path.rsplit("/", 1)[1], loopback=False)
    cookie = f"fieldsvc_session={session}"
    supervisors = Row({"supervisor": Own.SITE})
    person = await admit(asked(access, Cookie=cookie), supervisors)
    assert isinstance(person, Person)
    assert (person.role, person.site) == ("supervisor", "pantin")
    with pytest.raises(NotFound):
        await admit(asked(access, Cookie=cookie), Row({"adviser": Own.SITE}))
    with pytest.raises(Forbidden):
        await admit(asked(access, "POST", Cookie=cookie), supervisors)
    changing = asked(access, "POST", **{"Cookie": cookie, "X-CSRF-Token": person.csrf})
    assert await admit(changing, supervisors) == person


@pytest.mark.parametrize(
    ("remote", "loopback"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("", False), ("host", False)]
)
def test_loopback_is_this_machine(access: Access, remote: str, loopback: bool) -> None:
    assert is_loopback(asked(access).clone(remote=remote)) is loopback
