"""Delivery changes: the way of a redirection, and the attacks on it that are told of other operators."""

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from fieldsvc.requests.risk import Signs, assess
from handlers import change_states, corrections, products
from handlers.delivery_change import HANDLER
from handlers.story import Event, Refused
from tests.handlers.conftest import MORNING, Story

POINT, ITEM = "delivery_point/dp-118", "item/LL456789015FR"
DAY = 24 * 60.0
ABOUT = {"request_id": "DC-1", "delivery_point_id": "dp-118"}
DETAILS = {"names": ["Mme Martin"], "new_address": "2 rue B, 69001 Lyon", "contact": {"email": "thief@example.org"}}
ASKED = {**ABOUT, "kind": "redirect_permanent", "identity": "counter", "details": DETAILS, "stop_url": "https://x/stop"}
KNOWN = [{"email": "old@example.org", "lang": "fr"}, {"mobile": "+33612345678", "lang": "fr"}]


class Redirect(Story):
    """A story with the words of redirections; minutes count from Saturday, 21 November 2026, 8 o'clock UTC."""

    def ask(self, minute: float = 0, by: str = "adviser", **more: Any) -> None:
        self.add("delivery_change.requested", {**ASKED, **more}, minute, by=by)

    def letter(self, minute: float = 60, **more: Any) -> None:
        self.add("delivery_change.code_sent", {**ABOUT, "code_hmac": "right", **more}, minute, by="server")

    def code(self, minute: float, typed: str = "right", by: str = "customer", **more: Any) -> Any:
        return self.add("delivery_change.verified", {**ABOUT, "code_hmac": typed, **more}, minute, by=by)

    def door(self, answer: str, minute: float, carrier: str = "Camille", by: str = "device", **more: Any) -> None:
        data = {**ABOUT, "answer": answer, "carrier": carrier}
        self.add("delivery_change.door_checked", data, minute, by=by, **more)

    def wait(self, minute: float) -> None:
        self.add("timer.wake", {}, minute, by="server")

    @property
    def states(self) -> list[str]:
        """Every state that still holds of the first request, oldest first."""
        mine = [each for each in self.live.values() if each.data["request_id"] == "DC-1" and _state(each.type)]
        mine.sort(key=lambda each: (each.occurred_at, change_states.STATES.index(_state(each.type))))
        return [_state(each.type) for each in mine]

    @property
    def was_active(self) -> bool:
        return any(each.type == "delivery_change.applied" for each in self.everything)


def _state(name: str) -> str:
    state = name.partition(".")[2]
    return state if state in change_states.STATES else ""


@pytest.fixture
def redirect() -> Redirect:
    return Redirect(HANDLER, POINT)


def told(decision: Any) -> list[tuple[str, Any]]:
    """Return the template and the address of every notice of a decision."""
    return [(write.args[1], write.args[-1].value["to"]) for write in decision.writes if write.query == "notice.queue"]


def test_an_honest_mover_does_three_things_and_is_redirected_after_five_working_days(redirect: Redirect) -> None:
    redirect.ask()  # at the counter, with a document
    redirect.letter(DAY)
    redirect.code(3 * DAY)  # Tuesday
    redirect.wait(9.9 * DAY)
    assert redirect.states[-1] == "verified"
    redirect.wait(10 * DAY)  # five working days later
    assert redirect.states[-2:] == ["accepted", "applied"]
    (applied,) = [each for each in redirect.live.values() if each.type.endswith(".applied")]
    assert applied.occurred_at == MORNING + timedelta(days=10)


def test_the_honest_way_takes_at_most_eight_working_days_in_the_median(note: Any) -> None:
    chance, taken = random.Random(7), []
    for _ in range(300):
        story = Redirect(HANDLER, POINT)
        asked = chance.randrange(0, 365) * DAY
        letter = asked + 5
        read = letter + chance.choices((1, 2, 3, 4), weights=(50, 30, 15, 5))[0] * DAY + chance.uniform(0, 600)
        story.ask(asked)
        story.letter(letter)
        story.code(read)
        story.wait(read + 12 * DAY)
        applied = next(each.occurred_at for each in story.live.values() if each.type.endswith(".applied"))
        taken.append(_working_days(MORNING + timedelta(minutes=asked), applied))
    taken.sort()
    assert taken[len(taken) // 2] <= 8
    note(
        f"redirection, 300 simulated honest movers (letter read after 1 to 4 days): median {taken[150]} working days to active, "
        f"95 % within {taken[285]}, 3 actions"
    )


def _working_days(first: datetime, last: datetime) -> int:
    count, day = 0, first
    while (day := day + timedelta(days=1)) <= last:
        count += day.weekday() < 5 and day.date() not in products.holidays(day.year)
    return count


def test_everybody_known_before_is_warned_and_never_only_the_contact_of_the_request(redirect: Redirect) -> None:
    decision = redirect.take(redirect.event("delivery_change.requested", {**ASKED, "notify": KNOWN}, by="adviser"))
    assert told(decision) == [
        ("delivery_change_warning", "old@example.org"),
        ("delivery_change_warning", "+33612345678"),
        ("delivery_change_arrival", {"address": "2 rue B, 69001 Lyon"}),
    ]
    redirect.letter()
    redirect.code(DAY)
    active = redirect.take(redirect.event("timer.wake", {}, 8 * DAY, by="server"))
    assert [to for _, to in told(active)] == ["thief@example.org", "old@example.org", "+33612345678"]
    reminded = [
        told(redirect.take(redirect.event("timer.wake", {}, minute * DAY, by="server"))) for minute in range(9, 50)
    ]
    letters = [each for each in reminded if each]
    assert letters == [[("delivery_change_reminder", {"delivery_point_id": "dp-118"})]] * 4


def test_a_message_changes_no_state_waits_for_an_answer_and_the_answer_is_told_to_who_asked_only(
    redirect: Redirect,
) -> None:
    redirect.ask(notify=KNOWN, own_url="https://x/own")
    redirect.letter()
    before = redirect.states
    message = {**ABOUT, "by": "customer", "text": "Hello"}
    kind = "delivery_change.message_written"
    asked = redirect.take(redirect.event(kind, message, 90, by="customer"))
    again = redirect.take(redirect.event(kind, message, 95, by="customer"))
    answer = redirect.take(redirect.event(kind, {**message, "by": "office"}, 120, by="adviser"))
    waits = [write.args for each in (asked, again, answer) for write in each.writes if "waits" in write.query]
    first = MORNING + timedelta(minutes=90)
    assert waits == [("DC-1", first), ("DC-1", first), ("DC-1", None)]
    assert [told(each) for each in (asked, again, answer)] == [
        [],
        [],
        [("delivery_change_answer", "thief@example.org")],
    ]
    assert redirect.states == before
    (said, *_) = [each.data for each in redirect.live.values() if each.type == kind]
    assert said == {**ABOUT, "kind": "redirect_permanent", "by": "customer"}


def test_attack_sim_swap_does_whatever_a_number_can_do_and_never_gets_the_mail(note: Any) -> None:
    """Three hundred thieves who hold the number: calls that are answered, messages, guesses, and nobody at the door."""
    chance, active = random.Random(11), 0
    for _ in range(300):
        story = Redirect(HANDLER, POINT)
        story.ask(identity="account", by="adviser", details={**DETAILS, "contact": {"mobile": "+33612345678"}})
        if chance.random() < 0.5:  # an adviser who is taken in: the letter goes to the old address all the same
            story.add("delivery_change.verified", {**ABOUT, "identity": "substantial"}, 30, by="adviser")
        story.letter(60)
        for step in range(8):
            minute = 100 + step * DAY
            match chance.randrange(4):
                case 0:
                    message = {**ABOUT, "by": "customer", "text": "It is me"}
                    story.add("delivery_change.message_written", message, minute, by="customer")
                case 1:
                    story.code(minute, typed=f"guess-{step}")
                case 2:
                    story.door(chance.choice(("nobody", "unknown_name")), minute)
                case _:
                    story.add("delivery_change.verified", {**ABOUT, "identity": "account"}, minute, by="adviser")
        story.wait(60 * DAY)
        active += story.was_active
    assert active == 0
    note(f"SIM swap, 300 simulated thieves with the known mobile number: {active} redirections active")


def test_anybody_with_a_notice_stops_it_and_nobody_unfreezes_it(redirect: Redirect) -> None:
    redirect.ask()
    redirect.letter()
    redirect.code(DAY)
    redirect.add("delivery_change.frozen", {**ABOUT, "reason": "not_me"}, 2 * DAY, by="customer")
    redirect.code(3 * DAY)  # the thief, or support, goes on
    redirect.code(3 * DAY, typed="x", by="counter", identity="counter")
    redirect.door("confirms", 4 * DAY)
    redirect.wait(30 * DAY)
    assert redirect.states[-1] == "frozen"
    assert not redirect.was_active


def test_what_holds_is_reversed(redirect: Redirect) -> None:
    redirect.ask()
    redirect.letter()
    redirect.code(DAY)
    redirect.wait(8 * DAY)
    redirect.add("delivery_change.reversed", {**ABOUT, "reason": "fraud"}, 9 * DAY, by="supervisor")
    assert redirect.states[-2:] == ["applied", "reversed"]


def test_attack_leaked_personal_data_the_thief_knows_everything_but_was_never_seen(redirect: Redirect) -> None:
    redirect.ask(by="customer", identity="none")
    redirect.letter()
    redirect.code(DAY)
    redirect.door("confirms", DAY)
    redirect.wait(13 * DAY)
    assert redirect.states == ["requested"]
    redirect.wait(15 * DAY)
    assert redirect.states[-1] == "expired"


def test_attack_identity_said_by_a_customer_a_device_or_a_supervisor_counts_for_nothing(redirect: Redirect) -> None:
    redirect.ask(by="device")
    for by in ("customer", "device", "supervisor"):
        redirect.code(10, typed="x", by=by, identity="counter")
    redirect.letter()
    redirect.code(DAY)
    redirect.door("confirms", DAY)
    redirect.door("confirms", DAY + 1, carrier="Dominique")
    redirect.wait(13 * DAY)
    assert not redirect.was_active


def test_attack_insider_carrier_who_asked_and_confirms_alone(redirect: Redirect) -> None:
    redirect.ask(by="device", carrier="Camille")
    redirect.code(10, typed="x", by="counter", identity="counter")
    redirect.letter(20)
    for minute in range(30, 35):
        redirect.door("confirms", minute, carrier="Camille")
    redirect.wait(13 * DAY)
    assert not redirect.was_active
    assert "verified" not in redirect.states


@pytest.mark.parametrize(
    ("names", "carrier"),
    [
        (["CAMILLE"], "Camille"),
        (["Mme Camille Essai", "M. Paul Martin"], "Camille Essai"),
        (["Essai-Martin Camille"], "Camille ESSAI"),
        (["Famille Lefèvre"], "Zoé Lefevre"),
    ],
)
def test_attack_insider_carrier_who_is_the_beneficiary(redirect: Redirect, names: list[str], carrier: str) -> None:
    redirect.ask(details={**DETAILS, "names": names})
    redirect.door("confirms", 60, carrier=carrier)
    redirect.wait(12 * DAY)
    assert not redirect.was_active


def test_attack_insider_supervisor_who_writes_a_yes_from_paper(redirect: Redirect) -> None:
    redirect.ask()
    redirect.door("confirms", 60, by="supervisor")
    redirect.wait(12 * DAY)
    assert not redirect.was_active
    redirect.door("no", 12 * DAY, by="supervisor")
    assert redirect.states[-1] == "frozen"


def test_attack_high_risk_needs_the_counter_and_two_proofs_of_different_hands(redirect: Redirect) -> None:
    redirect.ask(risk="high", identity="substantial")
    redirect.letter()
    redirect.code(DAY)
    redirect.door("confirms", DAY)
    assert "verified" not in redirect.states
    other = Redirect(HANDLER, POINT)
    other.ask(risk="high")
    other.door("confirms", 60, carrier="Camille")
    other.door("confirms", 61, carrier="Camille")
    assert "verified" not in other.states
    other.door("confirms", 62, carrier="Dominique")
    assert other.states[-1] == "verified"


def test_attack_brute_force_of_the_code_ends_after_five_tries_from_wherever_they_come(redirect: Redirect) -> None:
    redirect.ask()
    redirect.letter()
    for number in range(5):
        answer = redirect.code(DAY + number, typed=f"wrong-{number}").answer
    assert (answer["state"], answer["reason"], answer["tries_left"]) == ("expired", "too_many_tries", 0)
    redirect.code(DAY + 9)
    redirect.wait(12 * DAY)
    assert not redirect.was_active


def test_attack_replayed_code_of_another_request_or_of_before_the_letter(redirect: Redirect) -> None:
    redirect.code(-DAY)
    redirect.ask()
    redirect.code(30)  # no letter was written yet: there is nothing to be right about
    redirect.letter(60)
    redirect.code(DAY, typed="right-of-another")
    redirect.wait(12 * DAY)
    assert not redirect.was_active


def test_attack_parallel_requests_give_no_further_tries(redirect: Redirect) -> None:
    redirect.ask()
    for number in range(2, 12):
        redirect.ask(number, request_id=f"DC-{number}")
    refused = redirect.said("delivery_change.refused")
    assert [each["conflicts_with"] for each in refused] == ["DC-1"] * 10


def test_attack_late_duplicate_of_an_old_yes_is_about_the_old_request(redirect: Redirect) -> None:
    redirect.ask()
    redirect.add("delivery_change.cancelled", {**ABOUT, "reason": "asked"}, 10, by="customer")
    redirect.ask(20, request_id="DC-2")
    redirect.door("confirms", 15, late_s=3 * DAY * 60)
    redirect.wait(12 * DAY)
    assert not redirect.was_active


@pytest.mark.parametrize("clock_days", [-30, 30])
def test_attack_a_phone_whose_clock_was_moved_skips_no_cooling_off(redirect: Redirect, clock_days: int) -> None:
    redirect.ask()
    redirect.door("confirms", (1 + clock_days) * DAY, late_s=-clock_days * DAY * 60)  # it arrives on day 1
    redirect.wait(5 * DAY)
    assert "accepted" not in redirect.states
    redirect.wait(8 * DAY)
    assert redirect.states[-1] == "applied"


def test_attack_a_correction_takes_no_no_away(redirect: Redirect) -> None:
    redirect.ask()
    redirect.door("no", 60)
    data = {"corrects": str(uuid4()), "kind": "did_not_occur", "reason": "other"}
    event = Event(uuid4(), corrections.NAME, POINT, MORNING, data, redirect.event("timer.wake", {}).actor)
    with pytest.raises(Refused, match="not_correctable"):
        redirect.take(event)


def test_a_no_of_before_that_arrives_after_the_start_freezes_it_and_the_days_in_between_stay_told(
    redirect: Redirect,
) -> None:
    redirect.ask()
    redirect.letter()
    redirect.code(DAY)
    redirect.wait(8 * DAY)
    assert redirect.states[-1] == "applied"
    redirect.door("no", 2 * DAY, late_s=8 * DAY * 60)  # heard on day 2, uploaded on day 10
    assert redirect.states[-2:] == ["applied", "frozen"]
    (frozen,) = redirect.said("delivery_change.frozen")
    assert frozen["reason"] == "denied_at_the_door"
    at = next(each.occurred_at for each in redirect.live.values() if each.type.endswith(".frozen"))
    assert at == MORNING + timedelta(days=10)


def test_unknown_names_at_the_door_ask_for_more_proof(redirect: Redirect) -> None:
    redirect.ask()
    redirect.door("unknown_name", 30)
    redirect.letter()
    redirect.code(DAY)
    assert "verified" not in redirect.states
    redirect.door("confirms", DAY + 1, carrier="Dominique")
    assert redirect.states[-1] == "verified"


def test_the_code_ends_after_fourteen_days_and_is_not_silently_prolonged(redirect: Redirect) -> None:
    redirect.ask()
    redirect.letter(0)
    redirect.letter(10 * DAY)
    redirect.code(14.1 * DAY)
    assert redirect.states[-1] == "expired"
    assert redirect.said("delivery_change.expired")[0]["reason"] == "code_not_used"


def test_the_new_address_and_the_names_are_in_nothing_that_is_said(redirect: Redirect) -> None:
    redirect.ask(notify=KNOWN)
    redirect.letter()
    redirect.code(DAY)
    redirect.wait(9 * DAY)
    text = str([(each.type, dict(each.data)) for each in redirect.everything])
    assert not any(word in text for word in ("Lyon", "Martin", "example.org", "+336", "right"))


def test_the_table_leads_only_to_states_and_every_state_is_led_to() -> None:
    targets = {to for _, to in change_states.TABLE.values()}
    assert targets == set(change_states.STATES)  # to the first one it leads back: what is edited is asked anew
    assert {state for states, _ in change_states.TABLE.values() for state in states} <= set(change_states.STATES)


OUTCOMES = [
    ("neighbour", "delivered:neighbour", True, "applied", None),
    ("neighbour", "delivered:mailbox", False, "too_late", "unseen"),
    ("neighbour", "delivered:addressee", True, "expired", "not_needed"),
    ("neighbour", "delivery_attempted:office_hold", True, "refused", "not_done"),
    ("safe_place", "delivered:safe_place", False, "applied", None),
    ("hold", "held", False, "applied", None),
    ("hold", "delivered:mailbox", True, "refused", "not_done"),
    ("pickup_point", "delivery_attempted:pickup_point", True, "applied", None),
    ("proxy", "delivered:mandate_holder", True, "applied", None),
    ("second_presentation", "delivery_attempted:represent", False, "applied", None),
]


@pytest.mark.parametrize(("kind", "ended", "seen", "state", "reason"), OUTCOMES)
def test_what_becomes_of_a_wish_for_an_item(
    kind: str, ended: str, *, seen: bool, state: str, reason: str | None, new_story: Any
) -> None:
    story = new_story("delivery_change", ITEM)
    about = {"request_id": "DC-1", "item_id": "LL456789015FR"}
    story.add(
        "delivery_change.requested", {**about, "kind": kind, "on_sheet": True, "asked_by": "customer"}, by="customer"
    )
    if seen:
        story.add("timer.seen", about, 10, by="server")
    what, _, where = ended.partition(":")
    story.add("timer.ended", {"what": what, "where": where} if where else {"what": what}, 20, by="server")
    (said,) = story.said(f"delivery_change.{state}")
    assert (said.get("reason"), said.get("instead")) == (reason, None if state == "applied" else ended)


def test_what_is_edited_keeps_its_reference_and_is_unseen_until_the_carrier_saw_it_so(new_story: Any) -> None:
    story = new_story("delivery_change", ITEM)
    about = {"request_id": "DC-1", "item_id": "LL456789015FR"}
    own = {"contact": {"email": "a@example.org", "lang": "fr"}}
    asked = {**about, "kind": "neighbour", "on_sheet": True, "details": {"neighbour": "M. Un", **own}}
    story.add("delivery_change.requested", {**asked, "asked_by": "customer"}, by="customer")
    story.add("timer.seen", about, 10, by="server")
    edit = {**about, "on_sheet": True, "details": {"neighbour": "M. Deux", "contact": {"email": "thief@example.org"}}}
    decision = story.add("delivery_change.edited", {**edit, "stops_away": 20}, 20, by="customer")
    assert decision.answer["declined"] is None
    assert story.body["now"]["requests"] == {"DC-1": "on_sheet"}
    (row,) = [write.args for write in decision.writes if write.query == "request.save"]
    assert row[24] is True  # the sheet has a new version
    assert row[26].value["details"] == {"neighbour": "M. Deux", **own}
    assert told(decision) == [("delivery_change_news", "a@example.org")]  # who was told is told, and nobody else
    story.add("timer.seen", about, 25, by="server")  # a late word about the sheet of before
    assert story.body["now"]["requests"] == {"DC-1": "on_sheet"}
    story.add("timer.seen", {**about, "edits": 1}, 30, by="server")
    assert story.body["now"]["requests"] == {"DC-1": "seen_by_carrier"}
    names = [each.type.partition(".")[2] for each in story.live.values()]
    assert names == [
        *("requested", "verified", "accepted", "on_sheet", "seen_by_carrier"),
        *("edited", "verified", "accepted", "on_sheet", "seen_by_carrier"),
    ]
    again = story.add("delivery_change.edited", edit, 40, by="customer")  # says what it said
    assert (again.public_events, story.body["now"]["requests"]) == ([], {"DC-1": "seen_by_carrier"})


@pytest.mark.parametrize(
    ("more", "minute", "edit", "why"),
    [
        ({"kind": "neighbour"}, None, {"stops_away": 5}, "carrier_is_near"),
        ({"kind": "hold"}, 10, {}, "already_loaded"),
        ({"kind": "proxy", "product": "signed", "identity": "substantial"}, None, {"identity": "account"}, "not_sure"),
        ({"kind": "neighbour", "asked_by": "carrier"}, None, {}, "closed"),
    ],
)
def test_what_comes_too_late_or_from_nobody_known_edits_nothing(
    new_story: Any, more: dict[str, Any], minute: float | None, edit: dict[str, Any], why: str
) -> None:
    story = new_story("delivery_change", ITEM)
    about = {"request_id": "DC-1", "item_id": "LL456789015FR"}
    asked = {**about, "on_sheet": True, "asked_by": "customer", "details": {"neighbour": "M. Un"}, **more}
    story.add("delivery_change.requested", asked, by="customer")
    before = dict(story.live), story.body["now"]
    if minute is not None:
        story.add("timer.loaded", {}, minute, by="server")
    change = {**about, "to": "2026-11-29", "details": {"neighbour": "M. Deux"}, **edit}
    decision = story.add("delivery_change.edited", change, 20, by="customer")
    assert decision.answer["declined"] == why
    assert (story.live, story.body["now"]) == before


def test_a_redirection_is_not_edited_as_what_was_proved_was_proved_for_what_was_asked(redirect: Redirect) -> None:
    redirect.ask()
    redirect.letter()
    swap = {**ABOUT, "identity": "counter", "details": {"names": ["Mme Martin"], "new_address": "6 rue du Voleur"}}
    assert (redirect.add("delivery_change.edited", swap, 90, by="customer").answer or {})["declined"] == "closed"
    redirect.code(DAY)
    assert (redirect.add("delivery_change.edited", swap, DAY + 9, by="customer").answer or {})["declined"] == "closed"
    redirect.wait(20 * DAY)
    assert redirect.states[-1] == "applied"
    assert "Voleur" not in str([each.data for each in redirect.everything])


def test_an_end_that_is_taken_back_or_corrected_is_the_newest_word_of_its_event(new_story: Any) -> None:
    story = new_story("delivery_change", ITEM)
    about = {"request_id": "DC-1", "item_id": "LL456789015FR"}
    asked = {**about, "kind": "neighbour", "on_sheet": True, "asked_by": "customer"}
    story.add("delivery_change.requested", asked, by="customer")
    story.add("timer.seen", about, 10, by="server")
    first, second = ({"id": UUID(int=number)} for number in (2, 3))
    end = {"event": "e-1", "what": "delivered", "where": "neighbour"}
    story.add("timer.ended", end, 20, by="server", **first)
    assert story.said("delivery_change.applied")
    story.add("timer.ended", {"event": "e-1", "withdrawn": True}, 20, by="server", **second)
    assert story.said("delivery_change.applied") == []
    assert story.body["now"]["requests"] == {"DC-1": "seen_by_carrier"}
    told = {"event": "e-1", "what": "delivered", "where": "mailbox"}
    story.add("timer.ended", told, 20, by="server", id=UUID(int=4))
    assert story.said("delivery_change.refused")[0]["instead"] == "delivered:mailbox"


def test_a_day_that_ends_without_the_door_says_so(new_story: Any) -> None:
    story = new_story("delivery_change", ITEM)
    asked = {"request_id": "DC-1", "item_id": "LL456789015FR", "kind": "neighbour", "on_sheet": True}
    asked["ends_at"] = "2026-11-21T23:00:00Z"
    decision = story.take(story.event("delivery_change.requested", asked, by="customer"))
    assert [each.due_at.hour for each in decision.timers if hasattr(each, "due_at")] == [23]
    story.add("timer.wake", {}, 15 * 60, by="server")
    assert story.said("delivery_change.too_late")[0]["reason"] == "unseen"


def test_of_honest_requests_at_most_two_in_a_hundred_are_sent_to_the_counter(note: Any) -> None:
    chance = random.Random(11)
    honest = [
        Signs(
            redirects_in_a_year=int(chance.random() < 0.03),
            changes_in_a_month=chance.choices((0, 1, 2, 3, 4), weights=(70, 20, 6, 3, 1))[0],
            others_to_target=int(chance.random() < 0.004),
            target=chance.choices(("2 rue B, 69001 Lyon", "2 rue B, 1000 Bruxelles, Belgique"), weights=(97, 3))[0],
            contacts_known=int(chance.random() < 0.4),
            contact_changed=chance.random() < 0.02,
            signed_items=int(chance.random() < 0.1),
            address_class="undeliverable" if chance.random() < 0.002 else None,
            days_ahead=chance.choices((14, 75), weights=(90, 10))[0],
            tried_often=chance.random() < 0.003,
        )
        for _ in range(20_000)
    ]
    share = sum(assess(each).level == "high" for each in honest) / len(honest)
    assert share <= 0.02
    note(f"redirection, 20,000 simulated honest requests (assumed shares of each sign): {share:.2%} judged high risk")


SUSPICIOUS = [
    Signs(others_to_target=1, contacts_known=1), Signs(target="Consigne 12, gare de Lyon"), Signs(redirects_in_a_year=1, signed_items=2),
    Signs(contact_changed=True, contacts_known=1, signed_items=1), Signs(address_class="vacant"), Signs(placed=False),
    Signs(target="5 Elm Street, Springfield, USA", tried_often=True),
]  # fmt: skip


@pytest.mark.parametrize("signs", SUSPICIOUS, ids=lambda signs: "+".join(assess(signs).reasons))
def test_what_thieves_do_is_judged_high(signs: Signs) -> None:
    assert assess(signs).level == "high"


def test_working_days_know_weekends_and_public_holidays() -> None:
    eve = datetime.fromisoformat("2026-12-24T10:00:00+00:00")  # Thursday; Friday is Christmas, New Year is a Friday too
    assert products.after_working_days(eve, 5).date().isoformat() == "2027-01-04"
