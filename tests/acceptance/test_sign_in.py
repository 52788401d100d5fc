"""One sign-in: with a real provider, or by a code by mail; whatever else comes back signs nobody in."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from fieldsvc.simulate import provider
from fieldsvc.web.sign_in import SIGN_IN
from fieldsvc.work import imports
from tests.acceptance.identity import (
    PUBLIC,
    Identity,
    at_the_provider,
    code_of,
    here,
    identity_provider,
    query_of,
    settings_of,
)
from tests.acceptance.service import Service, fresh
from tests.acceptance.visitor import Page, Visitor
from tests.databases import drop_database, new_database

SESSION = "fieldsvc_session"


@pytest.fixture(scope="module")
def identity() -> Iterator[Identity]:
    with identity_provider() as found:
        yield found


@pytest.fixture(scope="module")
def service(identity: Identity, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = new_database(postgres_url)
    more = {"smtp_url": "smtp://127.0.0.1:9", "mail_from": "post@demo.invalid"}
    prepare = lambda platform: imports.create_site(platform.database, "pantin")  # noqa: E731
    found = Service(url, tmp_path_factory.mktemp("sign-in"), prepare=prepare, **settings_of(identity), **more)
    yield found
    found.close()
    drop_database(postgres_url, url)


@pytest.fixture(autouse=True)
def _nothing_crashed(service: Service) -> Iterator[None]:
    start = service.log.tell()
    yield
    said = service.log.getvalue()[start:]
    print(*(line for line in said.splitlines() if "sign_in.refused" in line or "provider.failed" in line), sep="\n")
    for fault in ("request.crashed", "Traceback"):
        assert fault not in said, said[-3000:]


def signed_in(service: Service, visitor: Visitor, path: str = "/suivi/compte") -> Page:
    return visitor.ask(f"{service.url}{path}")


def come_in(service: Service, visitor: Visitor, name: str, *, start: str = "/suivi/sign-in/provider") -> Page:
    back = at_the_provider(visitor, f"{service.url}{start}", name)
    return visitor.ask(here(service, back))


def sessions(service: Service) -> int:
    async def count() -> int:
        async with service.platform.database.acquire() as connection:
            return int(await connection.fetchval("select count(*) from session"))

    return service.call(count())


def test_a_customer_signs_in_with_the_provider_and_goes_on_where_they_were(service: Service) -> None:
    claire = Visitor()
    asked = claire.ask(f"{service.url}/suivi/compte")
    assert asked.to == f"{service.url}/suivi/sign-in?next=%2Fsuivi%2Fcompte"
    link = claire.ask(asked.to).link("/suivi/sign-in/provider")
    back = at_the_provider(claire, link, "claire")
    arrived = claire.ask(here(service, back))
    assert (arrived.status, arrived.to) == (303, f"{service.url}/suivi/compte")
    page = signed_in(service, claire)
    assert provider.email_of("claire") in page.text


def test_who_comes_again_is_the_same_customer_and_another_is_another(service: Service) -> None:
    async def account(visitor: Visitor) -> str:
        return (await service.platform.access.person(visitor.cookie(SESSION) or "")).account_id

    found = []
    for name in ("claire", "claire", "hugo"):
        visitor = Visitor()
        come_in(service, visitor, name)
        found.append(service.call(account(visitor)))
    assert found[0] == found[1] != found[2]


def test_the_provider_is_asked_with_state_nonce_and_a_challenge_and_never_with_the_secret(
    service: Service, identity: Identity
) -> None:
    asked = Visitor().ask(f"{service.url}/suivi/sign-in/provider?next=/suivi/compte")
    assert asked.to is not None
    said = query_of(asked.to)
    assert said.keys() == {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"),
        "code_challenge_method",
    }
    assert (said["response_type"], said["code_challenge_method"]) == ("code", "S256")
    assert said["redirect_uri"] == f"{PUBLIC}/suivi/sign-in/callback"
    assert len({said["state"], said["nonce"], said["code_challenge"]}) == 3
    assert min(len(said[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert identity.client_secret not in asked.to


def test_an_answer_counts_once_in_the_browser_that_asked_and_for_what_it_asked(service: Service) -> None:
    claire, thief = Visitor(), Visitor()
    back = here(service, at_the_provider(claire, f"{service.url}/suivi/sign-in/provider", "claire"))
    before = sessions(service)
    thief.ask(f"{service.url}/suivi/sign-in/provider")
    code = query_of(back)["code"]
    callback = f"{service.url}/suivi/sign-in/callback"
    tries = {
        "another browser": thief.ask(back),
        "no browser": Visitor().ask(back),
        "no state": claire.ask(f"{callback}?code={code}"),
    }
    assert {name: page.status for name, page in tries.items()} == dict.fromkeys(tries, 401)
    assert sessions(service) == before
    claire.ask(f"{service.url}/suivi/sign-in/provider")  # its cookie was taken away with the fault
    back = here(service, at_the_provider(claire, f"{service.url}/suivi/sign-in/provider", "claire"))
    flow = claire.cookie("fieldsvc_sign_in")
    assert flow is not None
    assert claire.ask(back).status == 303
    headers = {"Cookie": f"fieldsvc_sign_in={flow}"}
    replayed = service.ask("GET", back.removeprefix(service.url), headers=headers)
    assert replayed.status == 401
    assert "set-cookie" not in replayed.headers or SESSION not in replayed.headers["set-cookie"]


@pytest.mark.parametrize(
    "query",
    [
        "error=access_denied&state={state}",
        "code=x&state={state}",
        "code=x&state={state}&iss=https://evil.example",
        "code={long}&state={state}&iss={issuer}",
        "code=guessed&state={state}&iss={issuer}",
        "code=a&code=b&state={state}&iss={issuer}",
        "code=x&state={state}&state=y&iss={issuer}",
        "code=x&state=%00&iss={issuer}",
        "code=x&state=%ED%A0%80",
        "",
    ],
)
def test_a_made_up_answer_signs_nobody_in(service: Service, identity: Identity, query: str) -> None:
    visitor, before = Visitor(), sessions(service)
    asked = visitor.ask(f"{service.url}/suivi/sign-in/provider")
    assert asked.to is not None
    parts = {"state": query_of(asked.to)["state"], "issuer": identity.issuer, "long": "x" * 2_001}
    page = visitor.ask(f"{service.url}/suivi/sign-in/callback?{query.format(**parts)}")
    assert (page.status, visitor.cookie(SESSION), sessions(service)) == (401, None, before)


def test_a_sign_in_that_took_too_long_is_begun_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor()
    back = here(service, at_the_provider(visitor, f"{service.url}/suivi/sign-in/provider", "claire"))

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.fromtimestamp(time.time() + 601, UTC)

    monkeypatch.setattr("fieldsvc.web.sign_in.datetime", Later)
    assert visitor.ask(back).status == 401


def test_new_keys_of_the_provider_are_learned_and_the_old_ones_are_not_asked_for_each_time(
    service: Service, identity: Identity
) -> None:
    assert come_in(service, Visitor(), "hugo").status == 303
    known = service.app[SIGN_IN].provider
    assert known is not None
    before = known._keys
    identity.new_keys()
    assert come_in(service, Visitor(), "hugo").status == 303
    assert before is not None
    assert known._keys is not None
    assert {key["kid"] for key in before[1]}.isdisjoint(key["kid"] for key in known._keys[1])
    assert before[0] < known._keys[0]
    again = known._keys
    assert come_in(service, Visitor(), "hugo").status == 303
    assert known._keys is again


@pytest.mark.parametrize(
    "wish",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aX:%20y",
        "\\/evil.example",
    ],
)
def test_nobody_is_led_to_another_place_after_signing_in(service: Service, wish: str) -> None:
    visitor = Visitor()
    page = come_in(service, visitor, "claire", start=f"/suivi/sign-in/provider?next={wish}")
    assert page.to is not None
    assert page.to.startswith(f"{service.url}/")
    assert not page.to.startswith(f"{service.url}//")


def test_signing_out_ends_the_session_here_and_offers_to_end_it_at_the_provider(service: Service) -> None:
    claire = Visitor()
    come_in(service, claire, "claire")
    page = signed_in(service, claire)
    held = claire.cookie(SESSION)
    out = claire.ask(f"{service.url}/sign-out", page.hidden)
    assert (out.status, claire.cookie(SESSION)) == (200, None)
    end = out.link("/oauth/end_session")
    said = query_of(end)
    assert said["post_logout_redirect_uri"] == f"{PUBLIC}/suivi/sign-in"
    assert said["id_token_hint"].count(".") == 2
    assert service.ask("GET", "/suivi/compte", headers={"Cookie": f"{SESSION}={held}"}).status == 303
    assert claire.go(end, until=PUBLIC).to in {f"{PUBLIC}/suivi/sign-in", None}


def test_staff_have_the_role_that_their_group_gives_and_customers_none(service: Service) -> None:
    sophie, claire = Visitor(), Visitor()
    assert come_in(service, sophie, "sophie", start="/staff/sign-in").to == f"{service.url}/signed-in"
    page = signed_in(service, sophie, "/signed-in")
    assert "supervisor" in page.text
    assert "pantin" in page.text
    assert signed_in(service, sophie, "/supervision").status == 200
    refused = come_in(service, claire, "claire", start="/staff/sign-in")
    assert (refused.status, claire.cookie(SESSION)) == (401, None)


def test_whom_the_operator_refused_does_not_come_back_through_the_provider(service: Service) -> None:
    from fieldsvc.access import accounts

    sophie = Visitor()
    come_in(service, sophie, "sophie", start="/staff/sign-in")
    person = service.call(service.platform.access.person(sophie.cookie(SESSION) or ""))
    service.call(accounts.revoke_account(service.platform.database, person.account_id))
    assert come_in(service, Visitor(), "sophie", start="/staff/sign-in").status == 401
    service.call(
        accounts.create_person(service.platform.database, PUBLIC, "supervisor", email=person.email or "", site="pantin")
    )
    assert come_in(service, Visitor(), "sophie", start="/staff/sign-in").status == 303


def ask_for_code(service: Service, visitor: Visitor, email: str) -> Page:
    return visitor.go(f"{service.url}/suivi/sign-in", {"email": email, "next": "/suivi/compte"})


def test_a_customer_signs_in_by_a_code_by_mail(service: Service) -> None:
    visitor, email = Visitor(), f"{fresh('c').lower()}@demo.invalid"
    page = ask_for_code(service, visitor, email)
    assert (page.url, email in page.text) == (f"{service.url}/suivi/sign-in/code", True)
    arrived = visitor.go(page.url, {"code": code_of(service, email)})
    assert arrived.url == f"{service.url}/suivi/compte"
    assert email in arrived.text


def test_five_wrong_codes_and_even_the_right_one_is_worth_nothing(service: Service) -> None:
    visitor, email = Visitor(), f"{fresh('c').lower()}@demo.invalid"
    page = ask_for_code(service, visitor, email)
    right = code_of(service, email)
    wrong = f"{(int(right.replace(' ', '')) + 1) % 10**6:06}"
    assert [visitor.ask(page.url, {"code": wrong}).status for _ in range(5)] == [422] * 5
    assert visitor.ask(page.url, {"code": right}).status == 422
    assert visitor.cookie(SESSION) is None


def test_a_code_serves_once_and_only_in_the_browser_that_asked(service: Service) -> None:
    visitor, other, email = Visitor(), Visitor(), f"{fresh('c').lower()}@demo.invalid"
    page = ask_for_code(service, visitor, email)
    code = code_of(service, email)
    assert other.ask(page.url, {"code": code}).to == f"{service.url}/suivi/sign-in"
    ask_for_code(service, other, f"{fresh('c').lower()}@demo.invalid")
    assert other.ask(page.url, {"code": code}).status == 422
    held = visitor.cookie("fieldsvc_code")
    assert visitor.ask(page.url, {"code": code}).status == 303
    headers = {"Cookie": f"fieldsvc_code={held}", "Content-Type": "application/x-www-form-urlencoded"}
    assert service.ask("POST", "/suivi/sign-in/code", f"code={code}", headers=headers).status == 422


def test_known_and_unknown_addresses_are_answered_alike_and_a_flood_of_codes_ends(service: Service) -> None:
    known, unknown = f"{fresh('k').lower()}@demo.invalid", f"{fresh('u').lower()}@demo.invalid"
    visitor = Visitor()
    ask_for_code(service, visitor, known)
    visitor.go(f"{service.url}/suivi/sign-in/code", {"code": code_of(service, known)})
    pages = [ask_for_code(service, Visitor(), email).text.replace(email, "") for email in (known, unknown)]
    assert pages[0] == pages[1]
    flood = [ask_for_code(service, Visitor(), unknown) for _ in range(6)]
    assert {page.text.replace(unknown, "") for page in flood} == {pages[1]}

    async def sent() -> int:
        digest = service.app[SIGN_IN].customers.email_hmac(unknown)
        async with service.platform.database.acquire() as connection:
            return int(await connection.fetchval("select count(*) from sign_in_code where email_hmac = $1", digest))

    assert service.call(sent()) == 4


@pytest.mark.parametrize(
    "email",
    [
        "",
        "claire",
        "claire@",
        "a b@x.fr",
        "a@x.fr,b@x.fr",
        "a@x",
        "a@b@x.fr",
        "x" * 250 + "@x.fr",
        "a@x.fr\nBcc: b@x.fr",
    ],
)
def test_what_is_no_address_gets_no_mail_and_is_said(service: Service, email: str) -> None:
    page = Visitor().ask(f"{service.url}/suivi/sign-in", {"email": email})
    assert page.status == 422
    assert 'id="email-fault"' in page.text


def test_a_customer_closes_their_account_and_nothing_of_them_is_known(service: Service) -> None:
    visitor, email = Visitor(), f"{fresh('c').lower()}@demo.invalid"
    page = ask_for_code(service, visitor, email)
    page = visitor.go(page.url, {"code": code_of(service, email)})
    token = page.hidden["csrf"]
    assert visitor.ask(f"{service.url}/suivi/compte/close", {"csrf": "x"}).status == 403
    assert visitor.ask(f"{service.url}/suivi/compte/close", {"csrf": token}).status == 200
    assert visitor.cookie(SESSION) is None

    async def known() -> int:
        digest = service.app[SIGN_IN].customers.email_hmac(email)
        async with service.platform.database.acquire() as connection:
            return int(await connection.fetchval("select count(*) from customer where email_hmac = $1", digest))

    assert service.call(known()) == 0


def test_a_customer_is_no_staff_and_says_no_events(service: Service) -> None:
    visitor = Visitor()
    come_in(service, visitor, "hugo")
    assert signed_in(service, visitor, "/supervision").status == 404
    person = service.call(service.platform.access.person(visitor.cookie(SESSION) or ""))
    headers = {"Cookie": f"{SESSION}={visitor.cookie(SESSION)}", "X-CSRF-Token": person.csrf}
    assert service.ask("POST", "/v1/events", [], to_json=True, headers=headers).status == 404
    assert service.ask("GET", "/v1/tasks", headers=headers).status == 404


def test_addresses_of_customers_lie_sealed(service: Service) -> None:
    async def rows() -> str:
        async with service.platform.database.acquire() as connection:
            found = await connection.fetch(
                "select account::text, customer::text, sign_in_code::text from account "
                "left join customer on customer.account = account.id left join sign_in_code on true "
                "where account.kind = 'customer'"
            )
        return str([tuple(row) for row in found])

    come_in(service, Visitor(), "claire")
    text = service.call(rows())
    assert "acc_" in text
    assert not re.search(r"claire|demo\.invalid", text)
