"""FHIR R4: every body is valid under HL7's own classes, and names no medicine and nobody."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.supplydelivery import SupplyDelivery
from pydantic import ValidationError

from fieldsvc.publishing.formats.catalogue import FHIR
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.formats.fhir import STATUSES
from fieldsvc.publishing.formats.telling import CORRECTED, Origin, Told
from fieldsvc.web.reference.examples import Example, public_rows
from handlers.registry import Registry
from tests.rows import EVENT, NURSE, OPERATOR, THIN, VIEWS, opened, stored, written

POUCH = {"pouch_id": "P-5521", "seal_intact": True}
DELIVERED = POUCH | {"handed_to": "named_relative", "identity": "document", "proof": {"score": 86, "words": "."}}


def check(body: dict[str, Any]) -> None:
    """Validate a body as a receiver would; a Bundle validates what is in it."""
    model = Bundle if body["resourceType"] == "Bundle" else SupplyDelivery
    model.model_validate_json(orjson.dumps(body))


def resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    return [each["resource"] for each in bundle["entry"]]


def said(resource: dict[str, Any]) -> dict[str, Any]:
    return {
        each["url"].rpartition("/")[2]: each.get("valueString", each.get("valueBoolean"))
        for each in resource["extension"]
    }


@pytest.fixture(scope="module")
def told(registry: Registry) -> Mapping[str, Example]:
    """Examples of all types that the format wants."""
    return {name: each for name, each in public_rows(registry).items() if FHIR.wants(each.row)}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_every_event_of_a_pouch_or_an_item_is_a_valid_supply_delivery(view: View, told: Mapping[str, Example]) -> None:
    assert told.keys() >= STATUSES.keys()
    for each in told.values():
        mine = View("acc-1", view.operator, view.health, view.thin)
        check(
            orjson.loads(FHIR.write(Told(each.row, opened(each.parts, each.row, mine), mine, Origin(), each.earlier)))
        )


def test_the_classes_refuse_what_is_no_supply_delivery() -> None:
    body = written(FHIR, stored("medication.delivered", DELIVERED))
    for wrong in ({"status": 5}, {"receiver_name": "x"}, {"id": "evt_1"}, {"occurrenceDateTime": "noon"}):
        with pytest.raises(ValidationError):
            check(body | wrong)


def test_a_pouch_that_was_handed_over_has_its_exact_form() -> None:
    assert written(FHIR, stored("medication.delivered", DELIVERED | {"located": {"stop_id": "st-118"}}), NURSE) == {
        "resourceType": "SupplyDelivery",
        "id": str(UUID(int=EVENT.int + 1)),
        "extension": [
            {"url": "https://field.test/voc/type", "valueString": "medication.delivered"},
            {"url": "https://field.test/voc/sequence", "valueString": "00000000000000000001"},
            {
                "url": "https://field.test/voc/lost",
                "valueString": "seal_intact, handed_to, identity, proof.score, proof.words",
            },
        ],
        "identifier": [
            {"system": "https://field.test/event", "value": f"evt_{UUID(int=EVENT.int + 1)}"},
            {"system": "https://field.test/pouch", "value": "P-5521"},
        ],
        "status": "completed",
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/supply-item-type", "code": "medication"}]
        },
        "suppliedItem": {"quantity": {"value": 1}, "itemCodeableConcept": {"text": "sealed bag P-5521"}},
        "occurrenceDateTime": "2026-11-21T10:42:17.120+01:00",
        "destination": {"identifier": {"system": "https://field.test/stop", "value": "st-118"}},
    }


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_who_took_it_and_why_it_came_back_is_in_no_body(view: View) -> None:
    back = stored("medication.returned", POUCH | {"reason": "refused"})
    for one in (stored("medication.delivered", DELIVERED), back):
        text = orjson.dumps(written(FHIR, one, view))
        assert not any(word in text for word in (b"relative", b"document", b"refused", b"receiver", b"Dispense"))


def test_a_thin_event_and_one_cut_to_the_view_say_where_the_rest_is() -> None:
    one = stored("medication.delivered", DELIVERED | {"located": {"stop_id": "st-118"}})
    assert said(written(FHIR, one, THIN))["dataref"] == f"/v1/events/{one[0].evt_id}"
    assert "destination" not in written(FHIR, one, THIN)
    assert "dataref" in said(written(FHIR, one, OPERATOR))
    assert "dataref" not in said(written(FHIR, one, NURSE))


def test_a_part_that_was_erased_is_said_to_be_erased() -> None:
    row, _ = stored("medication.delivered", DELIVERED)
    body = orjson.loads(FHIR.write(Told(row, {"health": None}, NURSE, Origin())))
    assert said(body)["erased"] is True
    check(body)


def test_an_event_that_replaces_another_comes_with_that_one_entered_in_error() -> None:
    first = stored("medication.delivered", DELIVERED, number=1)
    second = stored("medication.delivered", DELIVERED, number=2, supersedes=first[0].evt_id)
    body = written(FHIR, second, NURSE, earlier=(first,))
    wrong, right = resources(body)
    assert wrong == written(FHIR, first, NURSE) | {"status": "entered-in-error"}
    assert (right["status"], said(right)["supersedes"]) == ("completed", first[0].evt_id)
    check(body)


def test_what_is_withdrawn_is_entered_in_error_and_nothing_takes_its_place() -> None:
    first = stored("medication.delivered", DELIVERED, number=1)
    gone = {"corrects": first[0].evt_id, "kind": "did_not_occur", "reason": "said_twice"}
    body = written(FHIR, stored(CORRECTED, gone, number=2, supersedes=first[0].evt_id), earlier=(first,))
    assert [each["status"] for each in resources(body)] == ["entered-in-error"]
    check(body)
    check(written(FHIR, stored(CORRECTED, gone, number=2, supersedes=first[0].evt_id)))


def test_a_batch_is_one_collection_in_order() -> None:
    first = stored("medication.picked_up", POUCH, number=1)
    second = stored("medication.delivered", DELIVERED, number=2)
    third = stored("medication.delivered", DELIVERED, number=3, supersedes=second[0].evt_id)
    whole = orjson.loads(
        FHIR.join([orjson.dumps(written(FHIR, each, earlier=(second,))) for each in (first, second, third)])
    )
    statuses = [each["status"] for each in resources(whole)]
    assert statuses == ["in-progress", "completed", "entered-in-error", "completed"]
    check(whole)
