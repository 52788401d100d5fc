"""EPCIS 2.0: every document fits GS1's own schema, formats asserted, and says no more than the view may see."""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import jsonschema
import orjson
import pytest

from fieldsvc.publishing.formats.catalogue import EPCIS
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.formats.epcis import STEPS
from fieldsvc.publishing.formats.telling import CORRECTED, Origin, Told
from fieldsvc.web.reference.examples import Example, public_rows
from handlers.registry import Registry
from tests import schemas
from tests.rows import EVENT, NURSE, OPERATOR, OWNER, THIN, VIEWS, opened, stored, written

ITEM = {"item_id": "RK123456785FR"}
POUCH = {"pouch_id": "P-5521", "seal_intact": True}
Faults = Callable[[Any], list[str]]


@pytest.fixture(scope="module")
def faults() -> Faults:
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    validator = jsonschema.Draft7Validator(schemas.schema(schemas.EPCIS), format_checker=checker)
    assert {"uri", "date-time"} <= checker.checkers.keys(), "formats are asserted"
    return lambda document: [fault.message for fault in validator.iter_errors(document)]


def event(document: Any) -> dict[str, Any]:
    (found,) = document["epcisBody"]["eventList"]
    return dict(found)


@pytest.fixture(scope="module")
def told(registry: Registry) -> Mapping[str, Example]:
    """Examples of all types that the format wants."""
    return {name: each for name, each in public_rows(registry).items() if EPCIS.wants(each.row)}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_every_event_of_an_item_or_a_pouch_fits_the_schema_of_gs1(
    view: View, faults: Faults, registry: Registry
) -> None:
    told = {name: each for name, each in public_rows(registry).items() if EPCIS.wants(each.row)}
    assert told.keys() >= STEPS.keys()
    for name, each in told.items():
        mine = View("acc-1", view.operator, view.health, view.thin)
        one = Told(each.row, opened(each.parts, each.row, mine), mine, Origin(), each.earlier)
        assert faults(orjson.loads(EPCIS.write(one))) == [], name


def test_the_schema_refuses_the_three_mistakes_that_pass_without_formats(faults: Faults) -> None:
    document = written(EPCIS, stored("item.delivered", ITEM | {"to": "addressee"}))
    assert faults(document) == []

    def wrong(**members: Any) -> Any:
        changed = deepcopy(document)
        changed["epcisBody"]["eventList"][0] |= members
        return changed

    without_formats = jsonschema.Draft7Validator(schemas.schema(schemas.EPCIS))
    for mistake in (
        wrong(epcList=["RK123456785FR"]),
        wrong(bizStep="handed_over"),
        wrong(door="left"),
    ):
        assert faults(mistake)
        assert without_formats.is_valid(mistake), "that is why formats are asserted"
    assert faults(wrong(eventTimeZoneOffset="Z"))
    assert faults(wrong(action="MOVE"))


def test_an_item_that_is_held_has_its_exact_form() -> None:
    data = ITEM | {"office": "Bondy Gare", "shelf": "B-12", "until": "2026-12-06", "located": {"stop_id": "st-118"}}
    assert written(EPCIS, stored("item.held", data)) == {
        "@context": [
            "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
            {"fieldsvc": "https://field.test/voc/"},
        ],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-11-21T11:42:17.120Z",
        "epcisBody": {
            "eventList": [
                {
                    "type": "ObjectEvent",
                    "eventID": f"urn:uuid:{UUID(int=EVENT.int + 1)}",
                    "eventTime": "2026-11-21T10:42:17.120+01:00",
                    "eventTimeZoneOffset": "+01:00",
                    "recordTime": "2026-11-21T12:42:17.120+01:00",
                    "epcList": ["https://field.test/item/RK123456785FR"],
                    "action": "OBSERVE",
                    "bizStep": "storing",
                    "disposition": "available",
                    "readPoint": {"id": "https://field.test/stop/st-118"},
                    "bizLocation": {"id": "https://field.test/office/Bondy%20Gare"},
                    "fieldsvc:type": "item.held",
                    "fieldsvc:sequence": "00000000000000000001",
                    "fieldsvc:lost": ["until"],
                }
            ]
        },
    }


def test_the_local_offset_is_that_of_the_day() -> None:
    summer = stored("item.loaded", ITEM, at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    shown = event(written(EPCIS, summer))
    assert (shown["eventTime"], shown["eventTimeZoneOffset"]) == ("2026-07-02T00:30:00.000+02:00", "+02:00")


def test_a_derived_event_has_an_id_of_its_own_that_is_always_the_same() -> None:
    first, second = (event(written(EPCIS, stored("item.loaded", ITEM, part=part)))["eventID"] for part in (1, 2))
    assert first == uuid5(UUID(int=EVENT.int + 1), "1").urn
    assert first != second


def test_a_pouch_says_how_cold_it_was_to_the_operator_and_who_has_it_to_health() -> None:
    cold = POUCH | {"temperature": {"min_c": 3.8, "max_c": 7.2}}
    delivered = stored("medication.delivered", cold | {"handed_to": "patient", "proof": {"score": 86, "words": "."}})
    report = event(written(EPCIS, delivered, OPERATOR))["sensorElementList"][0]["sensorReport"]
    assert report == [{"type": "Temperature", "uom": "CEL", "minValue": 3.8, "maxValue": 7.2}]
    assert "destinationList" not in event(written(EPCIS, delivered, OPERATOR))
    assert "sensorElementList" not in event(written(EPCIS, delivered, NURSE))
    taker = event(written(EPCIS, delivered, NURSE))["destinationList"]
    assert taker == [{"type": "possessing_party", "destination": "https://field.test/party/patient"}]
    seen = event(written(EPCIS, delivered, OWNER))
    assert "destinationList" not in seen
    assert seen["fieldsvc:dataref"] == f"/v1/events/{delivered[0].evt_id}"


def test_a_thin_event_says_what_and_when_and_where_the_rest_is() -> None:
    shown = event(written(EPCIS, stored("item.held", ITEM | {"office": "Bondy", "located": {"stop_id": "s"}}), THIN))
    assert shown["bizStep"] == "storing"
    assert "fieldsvc:dataref" in shown
    assert not {"readPoint", "bizLocation", "destinationList", "fieldsvc:lost"} & shown.keys()


def test_a_part_that_was_erased_is_said_to_be_erased() -> None:
    row, _ = stored("medication.delivered", POUCH | {"handed_to": "patient", "proof": {"score": 1, "words": "."}})
    document = orjson.loads(EPCIS.write(Told(row, {"health": None}, NURSE, Origin())))
    assert event(document)["fieldsvc:erased"] is True
    assert "destinationList" not in event(document)


def test_no_position_and_no_place_of_the_operator_is_ever_said() -> None:
    place = {"stop_id": "st-118", "delivery_point_id": "dp-118", "round_id": "T07", "distance_along_m": 4210.5}
    for view in VIEWS.values():
        text = orjson.dumps(written(EPCIS, stored("item.delivered", ITEM | {"to": "mailbox", "located": place}), view))
        assert not re.search(rb"geo:|dp-118|T07|4210", text)


# Corrections


def test_an_event_that_replaces_another_comes_behind_that_one_which_is_declared_wrong(faults: Faults) -> None:
    first = stored("item.delivered", ITEM | {"to": "mailbox"}, number=1)
    second = stored("item.delivered", ITEM | {"to": "addressee"}, number=2, supersedes=first[0].evt_id)
    before = event(written(EPCIS, first))
    document = written(EPCIS, second, earlier=(first,))
    wrong, right = document["epcisBody"]["eventList"]
    declared = wrong.pop("errorDeclaration")
    assert wrong == before, "the same event again, in all but the declaration"
    assert declared == {
        "declarationTime": "2026-11-21T12:42:17.120+01:00",
        "reason": "incorrect_data",
        "correctiveEventIDs": [right["eventID"]],
    }
    assert right["destinationList"][0]["destination"].endswith("/addressee")
    assert right["fieldsvc:supersedes"] == wrong["eventID"]
    assert faults(document) == []


def test_what_is_withdrawn_is_declared_wrong_and_nothing_takes_its_place(faults: Faults) -> None:
    first = stored("item.delivered", ITEM | {"to": "mailbox"}, number=1)
    gone = {"corrects": first[0].evt_id, "kind": "did_not_occur", "reason": "said_twice"}
    second = stored(CORRECTED, gone, number=2, supersedes=first[0].evt_id, subject=first[0].subject)
    document = written(EPCIS, second, earlier=(first,))
    assert event(document)["errorDeclaration"]["reason"] == "did_not_occur"
    assert "correctiveEventIDs" not in event(document)["errorDeclaration"]
    assert faults(document) == []
    thin = event(written(EPCIS, second, THIN, earlier=(first,)))
    assert thin["errorDeclaration"] == event(document)["errorDeclaration"]


def test_of_what_is_kept_no_longer_or_was_never_shown_only_the_new_event_is_said(faults: Faults) -> None:
    second = stored("item.delivered", ITEM | {"to": "addressee"}, number=2, supersedes=f"evt_{EVENT}")
    assert event(written(EPCIS, second))["fieldsvc:supersedes"] == EVENT.urn
    row, parts = stored("item.delivered", ITEM | {"to": "mailbox"}, number=0)
    before_the_order = (replace(row, account=None), parts)
    assert len(written(EPCIS, second, earlier=(before_the_order,))["epcisBody"]["eventList"]) == 1
    gone = {"corrects": f"evt_{EVENT}", "kind": "did_not_occur", "reason": "other"}
    withdrawn = written(EPCIS, stored(CORRECTED, gone, number=3, supersedes=f"evt_{EVENT}", subject="item/RK1FR"))
    assert withdrawn["epcisBody"]["eventList"] == []
    assert faults(withdrawn) == []


def test_a_batch_is_one_document_with_every_event_in_order(faults: Faults) -> None:
    first = stored("item.loaded", ITEM, number=1)
    second = stored("item.delivered", ITEM | {"to": "mailbox"}, number=2)
    third = stored("item.delivered", ITEM | {"to": "addressee"}, number=3, supersedes=second[0].evt_id)
    bodies = [orjson.dumps(written(EPCIS, each, earlier=(second,))) for each in (first, second, third)]
    whole = orjson.loads(EPCIS.join(bodies))
    assert faults(whole) == []
    events = whole["epcisBody"]["eventList"]
    assert [each["fieldsvc:sequence"][-1] for each in events] == ["1", "2", "2", "3"]
    assert ["errorDeclaration" in each for each in events] == [False, False, True, False]
