"""La Poste's Suivi v2: the exact answer for every state of an item, and a sound shape for any sequence of events.

`suivi_states.json` holds an answer in both languages for each state; it was read line by line when it was made, and a change
of it is a change for systems that follow items.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.publishing.formats.suivi import ItemEvent, Reader, found, language_of, wrong
from handlers.item_codes import EVENTS
from handlers.registry import discover

START = datetime(2026, 11, 20, 17, 30, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
URL = "https://field.test/suivi?code="
FRENCH, ENGLISH = Reader("fr", PARIS, URL), Reader("en", PARIS, URL)
GOLDEN = orjson.loads((Path(__file__).parent / "suivi_states.json").read_bytes())
Step = tuple[str, dict[str, Any]]
ANNOUNCED, LOADED, OUT = ("announced", {}), ("loaded", {}), ("out_for_delivery", {})
DELIVERED: Step = ("delivered", {"to": "addressee"})
ABSENT: Step = ("delivery_attempted", {"reason": "absent", "next": "office_hold"})
UNKNOWN: Step = ("delivery_attempted", {"reason": "address", "next": "return"})
HELD: Step = ("held", {"office": "Bondy", "until": "2026-12-06"})
STATES: dict[str, Sequence[Step]] = {
    "announced": (ANNOUNCED,),
    "loaded": (ANNOUNCED, LOADED),
    "out_for_delivery": (ANNOUNCED, LOADED, OUT),
    "delivered": (ANNOUNCED, LOADED, OUT, DELIVERED),
    "delivered_unannounced": (DELIVERED,),
    "delivery_attempted": (ANNOUNCED, LOADED, ABSENT),
    "delivery_attempted_return": (ANNOUNCED, LOADED, UNKNOWN),
    "held": (ANNOUNCED, LOADED, ABSENT, HELD),
    "collected": (ANNOUNCED, LOADED, ABSENT, HELD, ("collected", {})),
    "returned_to_sender": (ANNOUNCED, LOADED, UNKNOWN, ("returned_to_sender", {"reason": "address"})),
    "missing": (ANNOUNCED, LOADED, ("missing", {})),
}


def events(steps: Sequence[Step]) -> list[ItemEvent]:
    return [
        ItemEvent(f"item.{name}", START + timedelta(hours=number), data) for number, (name, data) in enumerate(steps)
    ]


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_an_item_has_its_exact_answer(state: str) -> None:
    told = events(STATES[state])
    assert {"fr": found("RK123456785FR", told, FRENCH), "en": found("RK123456785FR", told, ENGLISH)} == GOLDEN[state]


def test_every_type_that_items_publish_is_a_state_here() -> None:
    published = {each.name for each in discover().handlers["item"].publishes if each.name.startswith("item.")}
    shown = {f"item.{name}" for steps in STATES.values() for name, _ in steps}
    assert {name for name in published if name in EVENTS or name == "item.missing"} == shown


NAMES = st.sampled_from([step for steps in STATES.values() for step in steps])


@given(
    steps=st.lists(NAMES, max_size=12),
    hours=st.lists(st.integers(0, 400), min_size=12, max_size=12, unique=True),
    lang=st.sampled_from(["fr", "en"]),
)
def test_any_sequence_of_events_gives_five_steps_in_order_and_events_newest_first(
    steps: list[Step], hours: list[int], lang: str
) -> None:
    told = [
        ItemEvent(f"item.{name}", START + timedelta(hours=hour), data)
        for (name, data), hour in zip(steps, hours, strict=False)
    ]
    answer = orjson.loads(orjson.dumps(found("6A15602676300", told, Reader(lang, PARIS, URL))))
    assert answer == orjson.loads(orjson.dumps(found("6A15602676300", told[::-1], Reader(lang, PARIS, URL))))
    shipment = answer["shipment"]
    assert set(answer) == {"lang", "scope", "returnCode", "shipment"}
    assert list(shipment) == [
        *("idShip", "holder", "product", "isFinal", "entryDate", "deliveryDate"),
        *("contextData", "timeline", "event", "url"),
    ]
    assert set(shipment["contextData"]) == {"deliveryChoice", "removalPoint", "originCountry", "arrivalCountry"}
    timeline = shipment["timeline"]
    assert [step["id"] for step in timeline] == [1, 2, 3, 4, 5]
    assert all(set(step) == {"id", "shortLabel", "longLabel", "status", "type", "date"} for step in timeline)
    reached = [step["status"] for step in timeline]
    assert reached == sorted(reached, reverse=True)
    assert all((step["date"] is not None) == step["status"] for step in timeline)
    dates = [datetime.fromisoformat(step["date"]) for step in timeline if step["status"]]
    assert dates == sorted(dates)
    assert sum(step["type"] != 1 for step in timeline) <= 1
    said = [datetime.fromisoformat(event["date"]) for event in shipment["event"]]
    assert said == sorted(said, reverse=True)
    assert len(said) == sum(event.type != "item.missing" for event in told)
    assert all(event["label"] and len(event["code"]) == 3 for event in shipment["event"])


def test_times_have_the_local_offset_of_their_own_day() -> None:
    summer = [ItemEvent("item.delivered", datetime(2026, 7, 1, 9, 0, tzinfo=UTC), {"to": "mailbox"})]
    assert found("6A15602676300", summer, FRENCH)["shipment"]["deliveryDate"] == "2026-07-01T11:00:00+02:00"


@pytest.mark.parametrize(
    ("item_id", "holder", "origin"),
    [("RK123456785FR", 1, "FR"), ("LL456789015FR", 1, "FR"), ("CF876543216FR", 4, "FR"), ("RR473124829GB", 2, "GB"),
     ("6A15602676300", 1, "FR"), ("RR473124828GB", 1, "FR")],
)  # fmt: skip
def test_the_number_tells_the_product_and_the_country_where_its_check_digit_holds(
    item_id: str, holder: int, origin: str
) -> None:
    shipment = found(item_id, events((ANNOUNCED,)), FRENCH)["shipment"]
    assert (shipment["holder"], shipment["contextData"]["originCountry"]) == (holder, origin)


def test_a_number_that_is_not_known_is_answered_with_its_code_and_words() -> None:
    assert wrong("6A15602676300", 404, ENGLISH) == {
        "lang": "en_GB",
        "scope": "open",
        "returnCode": 404,
        "returnMessage": "This number is not known.",
        "idShip": "6A15602676300",
    }
    assert wrong(None, 400, FRENCH)["idShip"] is None


@pytest.mark.parametrize(
    ("asked", "lang"),
    [
        (None, "fr"),
        ("fr_FR", "fr"),
        ("fr-FR", "fr"),
        ("en_GB", "en"),
        ("EN", "en"),
        ("de_DE", "en"),
        ("", "fr"),
        ("x", "en"),
    ],
)
def test_other_languages_are_answered_in_english(asked: str | None, lang: str) -> None:
    assert language_of(asked) == lang
