"""What callers may see: by their site, their account or their phone; and what people and subscribers may send."""

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from pydantic import BaseModel

import fieldsvc.requests
import fieldsvc.web
import fieldsvc.work
from fieldsvc.access.accounts import ROLES
from fieldsvc.access.callers import Account, Device, Person
from fieldsvc.access.rights import (
    Customer,
    Thing,
    figures_of,
    orders_of,
    proofs_of,
    sees_event,
    sees_picture,
    sites_of,
)
from fieldsvc.errors import NotFound
from fieldsvc.sites import EVERYWHERE, NOWHERE, Sites
from fieldsvc.store.device import Device as Phone
from fieldsvc.store.media import Picture, Wanted
from fieldsvc.web.rights import TABLE, bind
from fieldsvc.web.rights_row import KINDS, NoSuchRow, Own, row
from handlers import sandbox

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DEVICE: Device = Phone("d-0001", "Zoé", "pantin", "T07", None, NOW, None, None)
ACCOUNT = Account("acc-a", "subscriber", frozenset({"order:item"}), None)


def person(role: str, site: str | None = None, account: str | None = None) -> Person:
    return Person("acc-p", role, "x", None, site, account, frozenset(), "csrf")


def test_sites_are_one_every_one_or_none() -> None:
    assert "pantin" in Sites("pantin")
    assert "bondy" not in Sites("pantin")
    assert None not in Sites("pantin")
    assert None not in NOWHERE
    assert None in EVERYWHERE
    assert (Sites("pantin").narrowed(None), Sites("pantin").narrowed("pantin")) == ("pantin", "pantin")
    assert (EVERYWHERE.narrowed(None), EVERYWHERE.narrowed("bondy")) == (None, "bondy")
    for seen, asked in ((Sites("pantin"), "bondy"), (NOWHERE, None), (NOWHERE, "bondy")):
        with pytest.raises(NotFound):
            seen.narrowed(asked)


@pytest.mark.parametrize("thing", list(Thing))
def test_who_is_of_no_known_kind_or_role_sees_nothing(thing: Thing) -> None:
    unknown = (None, object(), "operator", Customer(), ACCOUNT, person("partner"), person("root", "pantin"))
    assert [sites_of(each, thing) for each in unknown] == [NOWHERE] * len(unknown)
    if thing is not Thing.REQUEST:
        assert sites_of(DEVICE, thing) is NOWHERE


@pytest.mark.parametrize("thing", list(Thing))
def test_who_was_given_a_site_sees_that_one_and_a_supervisor_without_one_sees_none(thing: Thing) -> None:
    for role in set(ROLES) - {"member"}:
        assert sites_of(person(role, "pantin"), thing) in (Sites("pantin"), NOWHERE)
    for role in ("supervisor", "counter"):
        assert sites_of(person(role), thing) is NOWHERE


def test_an_account_sees_its_own_orders_and_the_office_those_of_nobody() -> None:
    assert orders_of(ACCOUNT) == ("acc-a", EVERYWHERE)
    assert orders_of(person("supervisor", "pantin")) == (None, Sites("pantin"))
    assert orders_of(person("operator")) == (None, NOWHERE)
    assert proofs_of(ACCOUNT) == ("acc-a", NOWHERE)
    assert proofs_of(person("adviser")) == (None, EVERYWHERE)
    assert proofs_of(person("counter", "pantin")) == proofs_of(None) == (None, NOWHERE)


def test_a_member_sees_figures_of_their_own_account_only() -> None:
    assert figures_of(person("member", account="acc-a")) == "acc-a"
    assert figures_of(person("member")) == "nobody"
    assert figures_of(person("auditor")) == ""
    assert sites_of(person("member", "pantin", "acc-a"), Thing.FIGURES) is EVERYWHERE


def test_an_event_goes_to_its_account_and_to_the_operator_unless_it_is_of_a_sandbox() -> None:
    assert sees_event("acc-a", operator=False, owner="acc-a", site=None)
    assert not sees_event("acc-a", operator=False, owner=None, site=None)
    assert not sees_event("acc-a", operator=False, owner="acc-b", site=None)
    assert sees_event("acc-op", operator=True, owner="acc-b", site="pantin")
    assert not sees_event("acc-op", operator=True, owner="acc-b", site=sandbox.SITE)


def test_a_picture_goes_to_its_phone_its_site_and_whose_order_it_is() -> None:
    picture = Picture(b"", "", b"", "image/png", 1, 1, 1, "d-0001", None, NOW)
    want = Wanted("pantin", "personal", True, "acc-a")
    health, secret, kept = (Wanted("pantin", each, each != "kept", "acc-a") for each in ("health", "secret", "kept"))
    assert sees_picture(DEVICE, picture, [])
    assert not sees_picture(DEVICE, Picture(b"", "", b"", "image/png", 1, 1, 1, "d-0002", None, NOW), [want])
    assert sees_picture(ACCOUNT, picture, [want])
    for each in (health, secret, kept, Wanted("pantin", "personal", True, "acc-b")):
        assert not sees_picture(ACCOUNT, picture, [each])
    assert sees_picture(Account("acc-a", "subscriber", frozenset({"health"}), None), picture, [health])
    assert sees_picture(person("supervisor", "pantin"), picture, [want])
    assert sees_picture(person("operator"), picture, [])
    for other in (person("supervisor", "bondy"), person("adviser"), Customer(), None):
        assert not sees_picture(other, picture, [want])


def test_a_route_without_a_row_and_a_row_without_a_route_do_not_start() -> None:
    async def view(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/healthz", view)
    bind(app, complete=False)
    with pytest.raises(NoSuchRow, match="No route answers to DELETE"):
        bind(app, complete=True)
    app.router.add_get("/v1/forgotten", view)
    with pytest.raises(NoSuchRow, match="/v1/forgotten has no row"):
        bind(app, complete=False)


def test_a_row_names_kinds_of_callers_that_there_are() -> None:
    assert all(each.own.keys() <= set(KINDS) for each in TABLE.values())
    with pytest.raises(NoSuchRow, match="janitor"):
        row(janitor=Own.SITE)


def models() -> Iterator[type[BaseModel]]:
    """Find every model that reads what somebody sends."""
    for package in (fieldsvc.web, fieldsvc.work, fieldsvc.requests):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for each in vars(importlib.import_module(found.name)).values():
                if isinstance(each, type) and issubclass(each, BaseModel) and each.__module__ == found.name:
                    yield each


def test_no_model_of_what_people_and_subscribers_send_takes_a_member_that_it_does_not_know() -> None:
    found = list(models())
    assert len(found) > 20
    assert [each.__qualname__ for each in found if each.model_config.get("extra") != "forbid"] == []
