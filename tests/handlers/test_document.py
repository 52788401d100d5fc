"""Documents for the digital safe: offered with consent only, and once."""

from typing import Any

import pytest

from handlers.document import HANDLER, DepositedFact
from handlers.fields import PERSONAL, PUBLIC, split
from handlers.story import Refused

OFFER: dict[str, Any] = dict(HANDLER.events[0].examples[0])
KIND = "document.deposited"


@pytest.fixture
def document(new_story: Any) -> Any:
    return new_story("document", "document/D-3305")


def offer(document: Any, minute: float = 0, **more: Any) -> Any:
    return document.add(KIND, {**OFFER, **more}, minute, by="server")


def test_it_says_where_a_document_was_offered_and_to_the_orderer_alone_whose_it_is(document: Any) -> None:
    decision = offer(document)
    assert (decision.account, decision.person) == ("acc-1", "person/acc-1/ref-77")
    parts = split(DepositedFact, document.said(KIND)[0])
    assert parts[PUBLIC] == {"document_id": "D-3305", "kind": "proof", "about": "item/RK123456785FR", "safe": "safe-1"}
    assert set(parts[PERSONAL]) == {"evidence", "person"}


@pytest.mark.parametrize(
    "consent",
    [
        None,
        {"given_on": "2026-11-23", "how": "paper"},
        {"given_on": "2025-01-01", "until": "2026-11-19", "how": "online"},
    ],
)
def test_without_the_persons_consent_or_beyond_its_days_it_is_refused(document: Any, consent: Any) -> None:
    with pytest.raises(Refused, match="no_consent"):
        offer(document, consent=consent)


@pytest.mark.parametrize("until", ["2026-11-21", "2027-01-01", None])
def test_consent_holds_on_its_first_and_last_day(document: Any, until: str | None) -> None:
    offer(document, consent={"given_on": "2026-11-21", "until": until, "how": "spoken"})
    assert len(document.said(KIND)) == 1


def test_a_second_offer_to_the_same_safe_says_nothing_and_one_to_another_safe_does(document: Any) -> None:
    offer(document)
    assert not offer(document, 5).public_events
    offer(document, 9, safe="safe-2")
    assert sorted(each["safe"] for each in document.said(KIND)) == ["safe-1", "safe-2"]
    assert sorted(document.body["now"]["safes"]) == ["safe-1", "safe-2"]


def test_a_carriers_phone_offers_nothing() -> None:
    assert "device" not in HANDLER.events[0].by
