"""The one table from our words to those of others."""

from handlers.item import HANDLER
from handlers.item_codes import EVENTS, GOES_BACK, PRINTED, REASONS, code_of


def test_every_item_event_that_goes_outside_has_a_code_of_suivi_and_words_in_two_languages() -> None:
    outside = {each.name for each in HANDLER.events} - {"item.missing"}
    assert set(EVENTS) == outside
    assert all(code.suivi and code.fr and code.en for code in EVENTS.values())
    assert code_of("item.missing", {}) is None


def test_an_attempt_after_which_the_item_goes_back_has_a_code_of_its_own() -> None:
    assert code_of("item.delivery_attempted", {"next": "return"}) is GOES_BACK
    assert code_of("item.delivery_attempted", {"next": "office_hold"}) is EVENTS["item.delivery_attempted"]


def test_the_carriers_many_reasons_become_few_printed_ones_with_words_for_each() -> None:
    printed = {each.printed for each in REASONS.values()}
    assert printed == set(PRINTED)
    assert len(printed) < len(REASONS)
    assert all(words["fr"] and words["en"] for words in PRINTED.values())
    assert REASONS["deceased"].printed == REASONS["unknown_at_address"].printed
