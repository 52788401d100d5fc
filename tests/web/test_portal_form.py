"""An endpoint as a form and back: what is not touched stays as it is, and faults are said at their field."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.errors import BadRequest
from fieldsvc.publishing.addresses import checked_url
from fieldsvc.publishing.options import BadOption
from fieldsvc.store.endpoints import Endpoint
from fieldsvc.web.forms import Form
from fieldsvc.web.portal_form import asked_of, blame, blank, groups_of, values_of

KNOWN = ("item.delivered", "item.held", "home_visit.alert", "run.planned")
PLAIN = Endpoint(
    "ep_x", "acct", "https://hooks.example.org/post", [], sites=[], postcodes=[], thin=False, state="active", reason=None, version=1,
    created_at=datetime(2026, 11, 23, tzinfo=UTC),
)  # fmt: skip


def again(endpoint: Endpoint) -> dict[str, Any]:
    """Show an endpoint and send its form as it is."""
    form, fixed = values_of(endpoint, KNOWN)
    asked = asked_of(form, KNOWN, fixed=fixed, change=True)
    assert form.faults == {}
    return asked


def filled(**values: Any) -> Form:
    ticked = values.pop("types", ())
    return Form({**blank().values, "url": PLAIN.url, **values}, {"types": tuple(ticked)})


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"types": ["item.*", "home_visit.alert", "*.alert"], "description": "Dépôt nord", "thin": True},
        {"sites": ["site-pantin", "site-b"], "postcodes": ["93", "75019"], "mode": "parallel", "batch": 20},
        {"format": "epcis", "rate_per_s": 2.5, "in_flight": 4, "on_exhausted": "block", "schedule": [0.0, 5.0, 300.0]},
        {"filter": {"data": {"to": {"$eq": "mailbox"}}}},
        {
            "filter": {
                "$and": [{"data": {"proof": {"score": {"$gt": 50}}}}, {"data": {"next": {"$in": ["return", "12"]}}}]
            }
        },
        {"filter": {"type": {"$startsWith": "fieldsvc.item."}, "data": {"next": {"$in": ["return"]}}}},
        {"filter": {"$not": {"data": {"to": {"$eq": "neighbour"}}}}},
    ],
)
def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(changed: dict[str, Any]) -> None:
    endpoint = replace(PLAIN, **changed)
    asked = again(endpoint)
    asked["batch"] = asked["batch"] or 1
    assert asked == {name: getattr(endpoint, name) for name in asked}
    assert {"headers", "bearer", "from", "start"}.isdisjoint(asked)


@given(
    st.sampled_from(["$eq", "$neq", "$startsWith", "$contains", "$gt", "$lt", "$in"]),
    st.one_of(
        st.text(min_size=1, max_size=20), st.booleans(), st.integers(-9, 9), st.lists(st.text(min_size=1, max_size=5))
    ),
)
def test_no_condition_is_changed_by_being_shown(operator: str, value: Any) -> None:
    condition = {"data": {"field": {operator: value}}}
    form, _fixed = values_of(replace(PLAIN, filter=condition), KNOWN)
    stripped = Form({name: each.strip() for name, each in form.values.items()}, form.several)  # as a form is read
    assert asked_of(stripped, KNOWN, change=True)["filter"] == condition


def test_what_does_not_fit_a_field_is_left_out_and_so_stays() -> None:
    endpoint = replace(PLAIN, filter={"$or": [{"data": {"a": {"$eq": "x" * 2500}}}]}, sites=["a, b"])
    form, fixed = values_of(endpoint, KNOWN)
    assert fixed == {"filter", "sites"}
    assert asked_of(form, KNOWN, fixed=fixed, change=True).keys().isdisjoint(fixed)


def test_a_whole_group_stands_for_its_types() -> None:
    asked = asked_of(filled(which="some", types=("item.*", "item.held", "home_visit.alert", "nonsense")), KNOWN)
    assert asked["types"] == ["item.*", "home_visit.alert"]
    assert asked_of(filled(which="all", types=("item.*",)), KNOWN)["types"] == []


def test_headers_and_bearer_are_sent_only_where_they_are_given_or_dropped() -> None:
    asked = asked_of(filled(headers="X-Tenant: nord\nX-Two: a:b", bearer="abc"), KNOWN)
    assert (asked["headers"], asked["bearer"]) == ({"X-Tenant": "nord", "X-Two": "a:b"}, "abc")
    dropped = asked_of(filled(drop_headers="yes", drop_bearer="yes"), KNOWN, change=True)
    assert (dropped["headers"], dropped["bearer"]) == ({}, None)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": ""}, "url"),
        ({"which": "some"}, "which"),
        ({"postcodes": "93, nord"}, "postcodes"),
        ({"rate_per_s": "vite"}, "rate_per_s"),
        ({"rate_per_s": "0"}, "rate_per_s"),
        ({"rate_per_s": "nan"}, "rate_per_s"),
        ({"in_flight": "65"}, "in_flight"),
        ({"batch": "2.5"}, "batch"),
        ({"schedule": "0 tard"}, "schedule"),
        ({"schedule": "9999999"}, "schedule"),
        ({"headers": "nonsense"}, "headers"),
        ({"field0": "to"}, "field0"),
        ({"field0": "proof.score", "op0": "gt", "value0": "beaucoup"}, "field0"),
        ({"filter": "{"}, "filter"),
        ({"description": "x" * 501}, "description"),
    ],
)
def test_a_fault_is_said_at_its_field(values: dict[str, str], field: str) -> None:
    form = filled(**values)
    asked_of(form, KNOWN)
    assert set(form.faults) == {field}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://10.0.0.1/hook", "private"),
        ("https://[::1]/hook", "private"),
        ("https://intranet/hook", "private"),
        ("http://hooks.example.org/", "port"),
        ("https://hooks.example.org:22/", "port"),
        ("https://a:b@hooks.example.org/", "credentials"),
        ("ftp://hooks.example.org/", "https"),
        ("https://hooks.example.org/a b", "too_long"),
    ],
)
def test_why_a_url_is_refused_is_said_in_words(url: str, why: str) -> None:
    form = filled(url=url)
    with pytest.raises(BadRequest) as refused:
        checked_url(url, allow_loopback=False)
    blame(form, refused.value)
    assert form.faults == {"url": f"portal_fault.url_{why}"}


def test_what_does_not_go_together_is_said_at_a_field_that_there_is() -> None:
    form = filled()
    blame(form, BadOption("thin", "Only CloudEvents have a thin form."))
    assert form.faults == {"format": "portal_fault.format"}


def test_the_services_that_most_want_come_first() -> None:
    groups = groups_of([(name, name) for name in sorted(KNOWN)], {"item": "Objets"})
    assert [(each.name, each.title, len(each.types)) for each in groups] == [
        ("item", "Objets", 2),
        ("home_visit", "", 1),
        ("run", "", 1),
    ]
