"""What endpoints want, as subscribers write it: types, sites, postcodes, conditions over the event."""

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fieldsvc.errors import BadRequest
from fieldsvc.journal.reader import Row
from fieldsvc.journal.sealed import Opener
from fieldsvc.publishing.conditions import BadFilter, checked_condition, compiled
from fieldsvc.publishing.filters import EventFilter, TypeFilter, checked
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.store.endpoints import Config

DATA = frozenset(("data",))
EVENT = {
    "type": "fieldsvc.item.delivered.v1",
    "subject": "item/RK1FR",
    "site": "site-pantin",
    "data": {
        "next": "represent", "count": 3, "weight": 1.5, "ok": True, "none": None, "tags": ["red", "blue"],
        "place": {"city": "Pantin", "floor": 2}, "parts": [{"id": "a", "n": 1}, {"id": "b"}], "empty": [],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "name", "wanted"),
    [
        ([], "item.delivered", True),
        (["*"], "item.delivered", True),
        (["item.*"], "item.delivered", True),
        (["item.*"], "items.delivered", False),
        (["item.*"], "item", False),
        (["item.delivered"], "item.delivered", True),
        (["item.delivered"], "item.delivered_late", False),
        (["*.delivered"], "medication.delivered", True),
        (["*.delivered"], "item.held", False),
        (["home_visit.*", "item.held"], "item.held", True),
        (["home_visit.*", "item.held"], "item.loaded", False),
        (["a.*"], "a.b.c", True),
        (["a.*.c"], "a.b.c", True),
        (["a.*.c"], "a.b.b.c", False),
    ],
)
def test_a_star_is_a_segment_and_at_the_end_everything(patterns: list[str], name: str, *, wanted: bool):
    assert TypeFilter(checked(patterns)).matches(name) is wanted


def test_wire_names_are_taken_in_their_short_form():
    assert checked(["fieldsvc.item.delivered.v1", "item.delivered"]) == ["item.delivered"]


@pytest.mark.parametrize(
    "pattern", ["", "item.", ".item", "item..x", "item.d*", "Item.x", "item.(x)", "a" * 101, "item\n"]
)
def test_a_pattern_that_matches_no_type_is_refused(pattern: str):
    with pytest.raises(BadRequest):
        checked([pattern])


def test_too_many_patterns_are_refused():
    with pytest.raises(BadRequest):
        checked([f"type_{number}.x" for number in range(51)])


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ({"data": {"next": "represent"}}, True),
        ({"data": {"next": {"$eq": "represent"}}}, True),
        ({"data": {"next": {"$neq": "represent"}}}, False),
        ({"data": {"other": {"$neq": "represent"}}}, True),
        ({"data": {"count": {"$gt": 2, "$lt": 4}}}, True),
        ({"data": {"count": {"$gte": 3, "$lte": 3}}}, True),
        ({"data": {"count": {"$gt": 3}}}, False),
        ({"data": {"count": {"$gt": "2"}}}, False),
        ({"data": {"ok": {"$gte": 0}}}, False),
        ({"data": {"ok": 1}}, False),
        ({"data": {"count": 3.0}}, True),
        ({"data": {"none": None}}, True),
        ({"data": {"missing": None}}, False),
        ({"data": {"next": {"$in": ["represent", "return"]}}}, True),
        ({"data": {"next": {"$nin": ["represent", "return"]}}}, False),
        ({"type": {"$startsWith": "fieldsvc.item."}}, True),
        ({"subject": {"$endsWith": "FR"}}, True),
        ({"subject": {"$contains": "RK1"}}, True),
        ({"data": {"count": {"$contains": "3"}}}, False),
        ({"site": "site-pantin"}, True),
        ({"data": {"none": {"$exist": True}}}, True),
        ({"data": {"missing": {"$exist": False}}}, True),
        ({"data": {"place": {"city": "Pantin", "floor": {"$lt": 3}}}}, True),
        ({"data": {"place": "Pantin"}}, False),
        ({"data": {"tags": "blue"}}, True),
        ({"data": {"tags": {"$neq": "blue"}}}, False),
        ({"data": {"tags": {"$contains": "lu"}}}, True),
        ({"data": {"empty": {"$neq": "x"}}}, True),
        ({"data": {"parts": {"n": {"$exist": False}}}}, True),
        ({"data": {"parts": {"id": "b", "n": 1}}}, False),
        ({"data": {"parts": {"id": "a", "n": 1}}}, True),
        ({"$or": [{"subject": "x"}, {"data": {"count": 3}}]}, True),
        ({"$and": [{"subject": "x"}, {"data": {"count": 3}}]}, False),
        ({"$not": {"subject": "x"}}, True),
        ({"data": {"next": {"$or": ["return", {"$startsWith": "rep"}]}}}, True),
        ({"data": {"next": {"$not": {"$in": ["return"]}}}}, True),
        ({"data": {"next": "represent"}, "subject": "x"}, False),
    ],
)
def test_a_condition_holds_or_not(condition: dict[str, Any], *, wanted: bool):
    assert compiled(checked_condition(condition))(EVENT, frozenset()) is wanted


@pytest.mark.parametrize(
    "condition",
    [
        {"data": {"name": "N"}},
        {"data": {"name": {"$neq": "N"}}},
        {"data": {"name": {"$exist": False}}},
        {"data": {"place": {"street": {"$exist": False}}}},
        {"$not": {"data": {"name": "N"}}},
        {"$or": [{"data": {"name": "N"}}, {"data": {"name": {"$neq": "N"}}}]},
        {"data": {"name": {"$nin": ["N"]}}, "site": "site-pantin"},
        {"data": {"parts": {"name": {"$exist": False}}}},
        {"data": {"name": {"deeper": {"$exist": False}}}},
    ],
)
def test_what_is_left_out_or_erased_decides_nothing_not_even_by_its_absence(condition: dict[str, Any]):
    asked = compiled(checked_condition(condition))
    assert asked(EVENT, DATA) is False
    assert asked(EVENT, frozenset()) is (condition != {"data": {"name": "N"}} and "$and" not in condition)


def test_what_is_told_decides_beside_what_is_left_out():
    asked = compiled(checked_condition({"$or": [{"data": {"name": "N"}}, {"data": {"count": {"$gt": 2}}}]}))
    assert asked(EVENT, DATA) is True


@pytest.mark.parametrize(
    "condition",
    [
        {"data": {}},
        {"data": []},
        {"data": {"a": {"$regex": ".*"}}},
        {"data": {"a": {"$gt": True}}},
        {"data": {"a": {"$gt": None}}},
        {"data": {"a": {"$in": "abc"}}},
        {"data": {"a": {"$in": []}}},
        {"data": {"a": {"$in": [{}]}}},
        {"data": {"a": {"$exist": 1}}},
        {"data": {"a": {"$startsWith": 1}}},
        {"data": {"a": {"$eq": [1]}}},
        {"data": {"a": "\x00"}},
        {"data": {"a\x00": 1}},
        {"data": {"": 1}},
        {"data": {"a" * 101: 1}},
        {"data": {"a": 2**53 + 1}},
        {"data": {"a": float("inf")}},
        {"data": {"a": {"$in": [10**400]}}},
        {"account": "x"},
        {"$eq": "x"},
        {"$and": []},
        {"$and": ["x"]},
        {"$and": [{"account": "x"}]},
        {"$not": "x"},
        {"$not": {"$nothing": 1}},
        {"$or": {"type": "x"}},
        {"data": {f"a{number}": 1 for number in range(51)}},
        {"data": {"a": "x" * 4096}},
    ],
)
def test_a_condition_that_cannot_be_understood_is_refused_and_not_repeated(condition: dict[str, Any]):
    with pytest.raises(BadFilter) as refused:
        checked_condition(condition)
    assert refused.value.extra == {"errors": [{"field": "filter", "fault": "filter"}]}
    assert "xxx" not in refused.value.detail


def test_a_condition_has_a_bounded_depth():
    deep: Any = "x"
    for _ in range(12):
        deep = {"a": deep}
    with pytest.raises(BadFilter):
        checked_condition({"data": deep})
    for _ in range(5_000):
        deep = {"a": deep}
    with pytest.raises(BadFilter):
        checked_condition({"data": deep})


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.0]), st.text("ab", max_size=2)
)
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
OPERATORS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$neq"]), SCALARS),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, min_size=1, max_size=3)),
    st.tuples(
        st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.one_of(st.integers(-2, 2), st.text("ab", max_size=2))
    ),
    st.tuples(st.sampled_from(["$startsWith", "$endsWith", "$contains"]), st.text("ab", max_size=2)),
    st.tuples(st.just("$exist"), st.booleans()),
)
NODES = st.recursive(
    st.one_of(SCALARS, st.lists(OPERATORS, min_size=1, max_size=2).map(dict)),
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        st.fixed_dictionaries({"$not": inner}),
        st.dictionaries(
            st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=2
        ),
    ),
    max_leaves=8,
)
ABSENT, UNTOLD = object(), object()


def naive(node: Any, value: Any, *, hidden: bool) -> float:
    """Interpret a condition word by word: 1 for true, 0 for false, 0.5 for unknown."""
    if not isinstance(node, dict):
        return naive({"$eq": node}, value, hidden=hidden)
    members = {name: operand for name, operand in node.items() if name[0] != "$"}
    found = [naive_part(name, operand, value, hidden=hidden) for name, operand in node.items() if name[0] == "$"]
    return min([*found, naive_members(members, value, hidden=hidden)] if members else found)


def naive_members(members: dict[str, Any], value: Any, *, hidden: bool) -> float:
    if isinstance(value, list):
        return max((naive_members(members, each, hidden=hidden) for each in value), default=0)
    absent = UNTOLD if value is UNTOLD or (hidden and isinstance(value, dict)) else ABSENT
    inside = value if isinstance(value, dict) else {}
    return min(naive(operand, inside.get(name, absent), hidden=hidden) for name, operand in members.items())


def naive_part(name: str, operand: Any, value: Any, *, hidden: bool) -> float:
    if name in ("$and", "$or"):
        return (min if name == "$and" else max)(naive(each, value, hidden=hidden) for each in operand)
    if name == "$not":
        return 1 - naive(operand, value, hidden=hidden)
    if name in ("$neq", "$nin"):
        return 1 - naive_part({"$neq": "$eq", "$nin": "$in"}[name], operand, value, hidden=hidden)
    if name == "$exist":
        return 0.5 if value is UNTOLD else float((value is not ABSENT) == operand)
    if isinstance(value, list):
        return max((naive_part(name, operand, each, hidden=hidden) for each in value), default=0)
    return 0.5 if value is UNTOLD else float(naive_compare(name, operand, value))


def naive_compare(name: str, operand: Any, value: Any) -> bool:
    if name in ("$eq", "$in"):
        wanted = operand if name == "$in" else [operand]
        return value is not ABSENT and any(json_equal(value, each) for each in wanted)
    if name in ("$startsWith", "$endsWith", "$contains"):
        places = (
            [i for i in range(len(value) + 1) if value[i : i + len(operand)] == operand]
            if isinstance(value, str)
            else []
        )
        fits = {"$startsWith": 0 in places, "$contains": bool(places)}
        return fits[name] if name in fits else isinstance(value, str) and len(value) - len(operand) in places
    both_texts = isinstance(value, str) and isinstance(operand, str)
    both_numbers = type(value) in (int, float) and type(operand) in (int, float)
    if not (both_texts or both_numbers):
        return False
    order = (value > operand) - (value < operand)
    return order in {"$gt": (1,), "$gte": (0, 1), "$lt": (-1,), "$lte": (-1, 0)}[name]


def json_equal(one: Any, other: Any) -> bool:
    numbers = type(one) in (int, float) and type(other) in (int, float)
    return (numbers or type(one) is type(other)) and bool(one == other)


@given(node=NODES, data=st.dictionaries(NAMES, VALUES, max_size=3), hidden=st.booleans())
@example(node={"a": {"$not": {"$exist": True}}}, data={}, hidden=True)
@example(node={"a": {"b": {"$exist": False}}}, data={"a": []}, hidden=False)
def test_the_compiled_condition_says_what_a_naive_interpreter_says(node: Any, data: Any, *, hidden: bool):
    condition = checked_condition({"data": node})
    event = json.loads(json.dumps({"type": "t", "data": data}))
    unknown = DATA if hidden else frozenset[str]()
    assert compiled(condition)(event, unknown) is (naive(node, data, hidden=hidden) == 1)


def test_a_condition_is_asked_in_microseconds(note: Any):
    asked = compiled(
        checked_condition(
            {"type": {"$startsWith": "fieldsvc.item."}, "data": {"next": {"$in": ["represent"]}, "count": {"$gt": 1}}}
        )
    )
    started = time.perf_counter()
    assert all(asked(EVENT, frozenset()) for _ in range(10_000))
    each_us = (time.perf_counter() - started) * 100
    note(f"a filter of three conditions: {each_us:.1f} us an event")
    assert each_us < 200


def row_of(**about: Any) -> Row:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    fields: dict[str, Any] = {
        "day": now.date(), "shard": 0, "pos": 1, "event_id": UUID(int=1), "part": 0, "type": "item.delivered",
        "subject": "item/RK1FR", "subject_seq": 1, "account": "acct-one", "site": "site-pantin", "run": None,
        "occurred_at": now, "received_at": now, "public": b'{"public":{"n":1}}',
    }  # fmt: skip
    return Row(**{**fields, **about})


def config_of(**about: Any) -> Config:
    fields: dict[str, Any] = {
        "id": "ep_1", "account": "acct-one", "url": "https://a.example/", "types": [], "thin": False, "state": "active",
        "version": 1, "scopes": [], "revoked": False,
    }  # fmt: skip
    return Config(**{**fields, **about})


@pytest.fixture
def filter_of(database, vault) -> Any:
    renderer = Renderer(Opener(database, vault))
    return lambda **about: EventFilter.of(config_of(**about), renderer=renderer, database=database)


async def test_an_endpoint_wants_what_its_account_may_see_of_its_types_sites_and_format(filter_of):
    rows = [
        row_of(),
        row_of(account="acct-two"),
        row_of(type="run.ended", subject="run/1"),
        row_of(site="site-lyon"),
        row_of(site=None),
    ]
    assert await filter_of().matching(rows) == [True, False, True, True, True]
    assert await filter_of(types=["item.*"], sites=["site-pantin"]).matching(rows) == [True, False, False, False, False]
    assert await filter_of(scopes=["operator"]).matching(rows) == [True] * 5
    assert await filter_of(format="suivi").matching(rows) == [True, False, False, True, True]


async def test_a_condition_sees_what_the_endpoint_is_sent_and_nothing_else(filter_of, journal):
    sealed = {"personal": {"name": "N"}, "health": {"drug": "D"}}
    await journal.say("pouch/P-1", public={"n": 1}, operational={"round": "T"}, sealed=sealed)
    await journal.say("pouch/P-2", public={"n": 2}, account="acct-two", sealed={"personal": {"name": "N"}})
    rows = [Row(*row) for row in await journal.database.pool.fetch(
        "select day, shard, pos, id, part, type, subject, subject_seq, account, site, run, occurred_at, received_at, public"
        " from event order by subject"
    )]  # fmt: skip

    async def wanted(condition: dict[str, Any], **about: Any) -> list[bool]:
        return await filter_of(filter=condition, **about).matching(rows)

    assert await wanted({"data": {"n": {"$gte": 1}}}) == [True, False]
    assert await wanted({"data": {"name": "N"}}) == [True, False]
    assert await wanted({"data": {"name": "N"}}, scopes=["operator"]) == [True, False]
    assert await wanted({"data": {"name": {"$neq": "N"}}}, scopes=["operator"]) == [False, False]
    assert await wanted({"data": {"drug": "D"}}) == [False, False]
    assert await wanted({"data": {"drug": {"$neq": "X"}}}) == [False, False]
    assert await wanted({"data": {"drug": "D"}}, scopes=["health"]) == [True, False]
    assert await wanted({"data": {"round": "T"}}) == [False, False]
    assert await wanted({"data": {"round": "T"}}, scopes=["operator"]) == [True, False]
    assert await wanted({"site": "site-pantin"}, scopes=["operator"]) == [True, True]
    assert await wanted({"data": {"n": 1}}, thin=True) == [False, False]
    await journal.database.pool.execute("update person_key set wrapped = null, destroyed_at = now()")
    assert await wanted({"data": {"name": "N"}}) == [False, False]
    assert await wanted({"data": {"name": {"$exist": False}}}) == [False, False]
    assert await wanted({"data": {"n": 1}}) == [True, False]


_PLACES = """
insert into address (id, street, postcode, city, citycode, lat, lon) values ('known', 'rue A', '93500', 'Pantin', '93055', 48, 2);
insert into delivery_point (id, address, lat, lon) values ('known', '1 rue A', 48, 2), ('written', '12345 rue B, 75019 Paris', 48, 2),
  ('bare', '3 rue C', 48, 2), ('standing', null, 48, 2);
insert into site (id, created_at) values ('s', now());
insert into round (id, site, mode, line, source, digest, changed_at) values ('T1', 's', 'foot', '{}', 'file', '', now());
insert into stop (round_id, stop_id, sequence, delivery_point_id, lat, lon, address)
  values ('T1', '1', 1, 'standing', 48, 2, '4 rue D 93400 Saint-Ouen');
insert into task (id, service, subject, day, delivery_point, requirements, sealed, event)
  select point, 'item', 'item/' || point, '2026-11-21', point, '{}', '', gen_random_uuid()
  from unnest(array['known', 'written', 'bare', 'standing', 'nowhere']) as point;
"""


async def test_a_postcode_is_that_of_the_point_named_or_of_the_newest_task_and_unknown_ones_match_nothing(
    filter_of, database
):
    async with database.acquire() as connection:
        await connection.execute(_PLACES)
    named = orjson.dumps({"public": {"delivery_point_id": "written"}})
    rows = [
        row_of(subject="item/known"), row_of(subject="item/written"), row_of(subject="item/standing"),
        row_of(subject="item/bare"), row_of(subject="item/nowhere"), row_of(subject="item/unplanned"),
        row_of(subject="delivery_point/known"), row_of(subject="item/known", public=named),
    ]  # fmt: skip
    rows = [
        Row(**{name: getattr(row, name) for name in Row.__slots__} | {"pos": n, "event_id": UUID(int=n)})
        for n, row in enumerate(rows)
    ]

    async def wanted(*beginnings: str) -> list[str]:
        flags = await filter_of(postcodes=list(beginnings)).matching(rows)
        return [row.subject for row, is_wanted in zip(rows, flags, strict=True) if is_wanted]

    assert await wanted("935") == ["item/known", "delivery_point/known"]
    assert await wanted("93") == ["item/known", "item/standing", "delivery_point/known"]
    assert await wanted("75019") == ["item/written", "item/known"]
    assert await wanted("12345") == []
    assert await wanted("7", "9") == [
        "item/known",
        "item/written",
        "item/standing",
        "delivery_point/known",
        "item/known",
    ]


async def test_postcodes_are_looked_up_once_for_a_batch_and_remembered(filter_of, database, monkeypatch):
    from fieldsvc.store import endpoints

    asked, look_up = [], endpoints.postcodes
    async with database.acquire() as connection:
        await connection.execute(_PLACES)

    async def counted(database: Any, wanted: Any) -> Any:
        asked.append(len(wanted))
        return await look_up(database, wanted)

    monkeypatch.setattr(endpoints, "postcodes", counted)
    rows = [row_of(subject="item/known"), row_of(subject="item/written", event_id=UUID(int=2))]
    wanted = filter_of(postcodes=["93"])
    assert await wanted.matching(rows) == [True, False]
    assert await wanted.matching(rows) == [True, False]
    assert asked == [2]
