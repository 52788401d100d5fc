"""Mutations of valid events that nobody thought of: whatever comes, the contract's answers and nothing else."""

import re
from copy import deepcopy
from typing import Any

import orjson
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from fieldsvc.ids import uuid7
from fieldsvc.intake.reasons import REASONS, STATUSES, WARNINGS
from handlers.base import wire_type
from handlers.registry import discover
from tests.acceptance.service import Caller, field_event, fresh, statuses

CANARY = "cAnArY4417"
BARE = re.compile('"¤bare (.*?) bare¤"')
EXAMPLES = [
    (event_type.name, dict(example))
    for _, (_, event_type) in sorted(discover().by_type.items())
    for example in event_type.examples
]

ugly_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: text + CANARY),
    st.sampled_from(
        ["", " ", "\x00", "\u202e", "\ufeff", "../..", "%00", "NaN", "null", "-0", "A" * 3000, "2026-13-45"]
    ),
)
# text that is put into the body as it is: JSON, or nearly
fragments = st.sampled_from(
    ["1e999", "-1e999", "1e400000", "9" * 5000, "9223372036854775808", "-9223372036854775809", '"\\ud800"', '"\\udfff\\ud83d"',
     '{"\\ud800":1}', '"\\u0000"', "[" * 25 + "]" * 25, '{"a":' * 30 + "1" + "}" * 30, "-0.0", "0.1e-400", '{"a":1,"a":2}']
).map(lambda text: f"¤bare {text} bare¤")  # fmt: skip
ugly = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    ugly_text,
    fragments,
    st.recursive(
        st.one_of(st.none(), ugly_text, st.integers(-9, 9)),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(ugly_text, inner, max_size=3)),
        max_leaves=10,
    ),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an example of a service, changed in up to four places."""
    name, data = draw(st.sampled_from(EXAMPLES))
    event = field_event(name, deepcopy(data), subject=f"x/{CANARY}", runid="run-2026-11-21-T07")
    if draw(st.booleans()):
        event["data"]["fix"] = {"lat": 48.93781, "lon": 2.16091, "accuracy_m": 8.0, "fixed_at": event["time"]}
    for _ in range(draw(st.integers(0, 4))):
        path = draw(st.sampled_from(places(event)[1:]))
        owner, key = at(event, path[:-1]), path[-1]
        match draw(st.sampled_from(["put", "drop", "add", "swap"])):
            case "put":
                owner[key] = draw(ugly)
            case "drop":
                del owner[key]
            case "add" if isinstance(owner, dict):
                owner[draw(ugly_text)] = draw(ugly)
            case "swap":
                owner[key] = deepcopy(at(event, draw(st.sampled_from(places(event)))))
        if not places(event)[1:]:
            break
    return event


def written(event: dict[str, Any]) -> bytes:
    """Write an event as JSON, fragments as they are."""
    text = orjson.dumps(event).decode()
    return BARE.sub(lambda found: str(orjson.loads(f'"{found[1]}"')), text).encode()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(mutated(), min_size=1, max_size=4))
def test_whatever_a_phone_sends_gets_an_answer_of_the_contract(
    phone_elsewhere: Caller, events: list[dict[str, Any]]
) -> None:
    for event in events:  # an id that an earlier example used would say nothing about this one
        if isinstance(event.get("id"), str) and len(event["id"]) == 36:
            event["id"] = str(uuid7())
    good = [field_event("item.loaded", {"item_id": fresh("RK")}) for _ in range(2)]
    body = b"[%s]" % b",".join([orjson.dumps(good[0]), *map(written, events), orjson.dumps(good[1])])
    note(body[:2000])
    start = phone_elsewhere.service.log.tell()
    answer = phone_elsewhere.post(body)
    assert CANARY.encode() not in answer.body
    assert CANARY not in phone_elsewhere.service.log.getvalue()[start:]
    assert answer.status == 200, answer.body
    results = answer.json()["results"]
    assert len(results) == len(events) + 2
    assert statuses([results[0], results[-1]]) == ["accepted", "accepted"]
    for event, result in zip(events, results[1:-1], strict=True):
        assert result["status"] in STATUSES
        assert result["id"] in (event.get("id"), None)
        assert result["status"] != "quarantined" or result["reason"] in REASONS
        assert result.get("reason") not in ("handler_failed", "not_storable"), result
        assert set(result["warnings"]) <= set(WARNINGS)


broken = st.one_of(
    st.binary(max_size=200),
    st.tuples(st.sampled_from(EXAMPLES), st.integers(0, 300), st.binary(max_size=6)).map(
        lambda drawn: (
            (whole := orjson.dumps(field_event(drawn[0][0], drawn[0][1], note=CANARY)))[: drawn[1]]
            + drawn[2]
            + whole[drawn[1] :]
        )
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=broken)
def test_whatever_bytes_come_the_answer_is_200_or_400_and_echoes_nothing(phone_elsewhere: Caller, body: bytes) -> None:
    start = phone_elsewhere.service.log.tell()
    answer = phone_elsewhere.post(body)
    assert answer.status in (200, 400)
    assert answer.status == 200 or answer.code == "not_json"
    assert CANARY.encode() not in answer.body
    assert CANARY not in phone_elsewhere.service.log.getvalue()[start:]


def test_the_examples_of_every_service_are_tried() -> None:
    assert {wire_type(name) for name, _ in EXAMPLES} >= {wire_type(name) for name in discover().by_type}
