"""Delivery changes under anything that customers, carriers, sheets, late uploads, thieves and clocks may do, in any order.

What may never happen is said here once more, from the log of what arrived and without the walk that is tested.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handlers import changes, products
from handlers.change_states import NAME, OPEN, Change
from handlers.delivery_change import HANDLER
from handlers.story import Actor, DropTimer, Event, Fact, SetTimer
from tests.handlers.conftest import Story

START = datetime(2026, 12, 18, 8, 0, tzinfo=UTC)  # a Friday, with Christmas and New Year ahead
SPACE = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")
ITEM, POINT = "item/LL1", "delivery_point/dp-1"
REDIRECTS = ("redirect_temporary", "redirect_permanent")
ITEM_KINDS = tuple(name for name, kind in products.KINDS.items() if "item" in kind.subjects)
BEHIND = tuple(name for name in ITEM_KINDS if products.KINDS[name].cutoff == products.LOADED)
ACTIVE = ("accepted", "on_sheet", "seen_by_carrier", "applied")
NAMED = "Lucie Martin"  # a carrier who bears the name that mail is redirected for
CARRIERS = st.sampled_from(("Camille", "Dominique", NAMED))
HOURS = st.sampled_from((0.1, 1.0, 5.0, 14.0, 26.0, 24.0 * 4, 24.0 * 8, 24.0 * 15))


@dataclass(frozen=True)
class Sent:
    """One event as it will arrive, with when it arrived once it has."""

    subject: str
    kind: str
    at: datetime
    data: Mapping[str, Any]
    by: str
    number: int
    arrived: datetime | None = None

    def event(self) -> Event:
        assert self.arrived is not None
        late_s = (self.arrived - self.at).total_seconds()
        name = uuid5(SPACE, f"{self.number}")
        return Event(name, self.kind, self.subject, self.at, self.data, Actor(self.by), late_s=late_s)


class Requests(RuleBasedStateMachine):
    """A place with its item: whoever asks, proves, denies, loads, delivers, sees; phones may be late, and clocks move on."""

    @initialize(focus=st.sampled_from(("item", "point", "point", "both")))
    def begin(self, focus: str) -> None:
        self.on_item, self.on_point = focus != "point", focus != "item"
        self.now = START
        self.stories = {subject: Story(HANDLER, subject) for subject in (ITEM, POINT)}
        self.due: dict[str, datetime] = {}
        self.log: list[Sent] = []
        self.offline: list[Sent] = []
        self.count = 0
        self.known: dict[str, list[Change]] = {ITEM: [], POINT: []}

    def make(self, subject: str, kind: str, data: Mapping[str, Any], by: str, at: datetime | None = None) -> Sent:
        self.count += 1
        self.now += timedelta(seconds=1)  # no two things happen at once: which came first is then never a matter of ids
        about = {"item_id": "LL1"} if subject == ITEM else {"delivery_point_id": "dp-1"}
        return Sent(subject, kind, at or self.now, {**about, **data}, by, self.count)

    def arrive(self, sent: Sent) -> None:
        """Let an event arrive now."""
        sent = Sent(sent.subject, sent.kind, sent.at, sent.data, sent.by, sent.number, self.now)
        self.log.append(sent)
        decision = self.stories[sent.subject].take(sent.event(), self.now)
        for timer in decision.timers:
            if isinstance(timer, SetTimer):
                self.due[sent.subject] = timer.due_at
            elif isinstance(timer, DropTimer):
                self.due.pop(sent.subject, None)
        body = self.stories[sent.subject].body or {}
        self.known[sent.subject] = changes.read([Fact(*row) for row in body["facts"]])

    def say(self, subject: str, kind: str, data: Mapping[str, Any], by: str) -> None:
        self.arrive(self.make(subject, kind, data, by))

    def read(self, subject: str) -> list[Change]:
        return self.known[subject]

    def chosen(self, data: st.DataObject, subject: str) -> str:
        """Choose a request: one that may still change where there is one, else any, or one that there is not."""
        alive = [each.id for each in self.read(subject) if each.state in (*OPEN, "applied")]
        return data.draw(st.sampled_from(alive or [*(each.id for each in self.read(subject)), "DC-NONE"]))

    @rule(hours=HOURS)
    def wait(self, hours: float) -> None:
        until = self.now + timedelta(hours=hours)
        while self.due and min(self.due.values()) <= until:
            subject, due = min(self.due.items(), key=lambda pair: (pair[1], pair[0]))
            del self.due[subject]
            self.now = max(self.now, due)
            self.arrive(self.make(subject, "timer.wake", {}, "server", at=due))
        self.now = until

    @precondition(lambda self: self.on_item)
    @rule(
        kind=st.sampled_from(ITEM_KINDS), identity=st.sampled_from(products.IDENTITIES), stops=st.sampled_from((None, 2, 5, 6, 30)),
        product=st.sampled_from(("ordinary", "signed", "registered")), asked_by=st.sampled_from(("customer", "counter", "carrier")),
        offline=st.booleans(),
    )  # fmt: skip
    def ask_for_item(
        self, kind: str, identity: str, stops: int | None, product: str, asked_by: str, offline: bool
    ) -> None:
        request = f"DC-I{self.count}"
        more: dict[str, Any] = {"kind": kind, "asked_by": asked_by, "product": product, "on_sheet": True}
        more |= {"identity": identity, "stops_away": stops, "cutoff_stops": 5, "request_id": request}
        more["ends_at"] = (self.now + timedelta(hours=14)).isoformat().replace("+00:00", "Z")
        sent = self.make(ITEM, f"{NAME}.requested", more, "device" if asked_by == "carrier" else "customer")
        if offline and asked_by == "carrier":
            self.offline.append(sent)
        else:
            self.arrive(sent)

    @precondition(lambda self: self.on_point and len(self.known[POINT]) < 6)
    @rule(
        kind=st.sampled_from((*REDIRECTS, "hold")), identity=st.sampled_from(("none", "account", "substantial", "counter")),
        risk=st.sampled_from(("low", "low", "high")), by=st.sampled_from(("customer", "adviser", "device")),
        carrier=CARRIERS, starts_in=st.sampled_from((0, 3, 12)),
    )  # fmt: skip
    def ask_for_point(self, kind: str, identity: str, risk: str, by: str, carrier: str, starts_in: int) -> None:
        more: dict[str, Any] = {"request_id": f"DC-P{self.count}", "kind": kind, "risk": risk, "identity": identity}
        more |= {"carrier": carrier} if by == "device" else {}
        more["starts_at"] = (self.now + timedelta(days=starts_in)).isoformat().replace("+00:00", "Z")
        more["details"] = {"names": ["Mme Martin"], "new_address": "2 rue B"}
        self.say(POINT, f"{NAME}.requested", more, by)

    @precondition(
        lambda self: (
            self.on_point and not any(each.known.redirects and each.holds_at(self.now) for each in self.known[POINT])
        )
    )
    @rule(
        identity=st.sampled_from(("none", "substantial", "counter", "counter", "counter")), risk=st.sampled_from(("low", "low", "high")),
        by=st.sampled_from(("adviser", "adviser", "adviser", "device")), proof=st.sampled_from(("code", "yes", "both")), carrier=CARRIERS,
        days=st.sampled_from((0, 1, 4, 6, 8, 10, 11)), wrong=st.sampled_from((0, 0, 0, 4, 5)), read_after=st.sampled_from((0, 0, 0, 13, 15)),
    )  # fmt: skip
    def move(
        self, identity: str, risk: str, by: str, proof: str, carrier: str, days: int, wrong: int, read_after: int
    ) -> None:
        """Go a part of the way that a mover goes, so that what comes behind it is tried as well."""
        request = f"DC-P{self.count}"
        about, details = {"request_id": request}, {"names": ["Mme Martin"], "new_address": "2 rue B"}
        asked = {**about, "kind": "redirect_permanent", "risk": risk, "identity": identity, "details": details}
        self.say(POINT, f"{NAME}.requested", {**asked, "carrier": "Camille"}, by)
        if proof != "yes":
            self.say(POINT, f"{NAME}.code_sent", {**about, "code_hmac": f"code-{request}"}, "server")
            self.wait(24.0 * read_after)
            for typed in (*("guess",) * wrong, f"code-{request}"):
                self.say(POINT, f"{NAME}.verified", {**about, "code_hmac": typed}, "customer")
        if proof != "code":
            more = {**about, "answer": "confirms", "carrier": carrier}
            self.say(POINT, f"{NAME}.door_checked", more, "device")
        self.wait(24.0 * days)

    @rule(data=st.data(), subject=st.sampled_from((ITEM, POINT)), identity=st.sampled_from(products.IDENTITIES),
          by=st.sampled_from(("counter", "adviser", "customer", "device", "supervisor")))  # fmt: skip
    def attest(self, data: st.DataObject, subject: str, identity: str, by: str) -> None:
        more = {"request_id": self.chosen(data, subject), "identity": identity}
        self.say(subject, f"{NAME}.verified", more, by)

    @precondition(lambda self: self.on_point)
    @rule()
    def post_letters(self) -> None:
        for change in self.read(POINT):
            if change.wants_code:
                more = {"request_id": change.id, "code_hmac": f"code-{change.id}"}
                self.say(POINT, f"{NAME}.code_sent", more, "server")

    @precondition(lambda self: self.on_point)
    @rule(data=st.data(), right=st.booleans())
    def type_code(self, data: st.DataObject, right: bool) -> None:
        request = self.chosen(data, POINT)
        typed = f"code-{request}" if right else f"code-{self.chosen(data, POINT)}"
        self.say(POINT, f"{NAME}.verified", {"request_id": request, "code_hmac": typed}, "customer")

    @precondition(lambda self: self.on_point)
    @rule(data=st.data(), answer=st.sampled_from(("confirms", "confirms", "no", "nobody", "unknown_name")), carrier=CARRIERS,
          offline=st.booleans(), clock_h=st.sampled_from((0.0, 0.0, -24.0 * 9, 24.0 * 9)),
          by=st.sampled_from(("device", "device", "device", "supervisor")))  # fmt: skip
    def door(self, data: st.DataObject, answer: str, carrier: str, offline: bool, clock_h: float, by: str) -> None:
        more = {"request_id": self.chosen(data, POINT), "answer": answer, "carrier": carrier}
        sent = self.make(POINT, f"{NAME}.door_checked", more, by, at=self.now + timedelta(hours=clock_h))
        if offline:
            self.offline.append(sent)
        else:
            self.arrive(sent)

    @precondition(lambda self: self.on_item)
    @rule(kind=st.sampled_from(("loaded", "ended", "ended", "seen")), offline=st.booleans(), data=st.data(),
          ended=st.sampled_from(("delivered:mailbox", "delivered:neighbour", "delivered:addressee", "held",
                                 "delivery_attempted:represent", "delivery_attempted:office_hold", "collected")))  # fmt: skip
    def item(self, kind: str, offline: bool, data: st.DataObject, ended: str) -> None:
        what, _, where = ended.partition(":")
        more: dict[str, Any] = {"what": what, **({"where": where} if where else {})} if kind == "ended" else {}
        if kind == "seen":
            more = {"request_id": self.chosen(data, ITEM), "edits": data.draw(st.sampled_from((0, 0, 1, 2)))}
        sent = self.make(ITEM, f"timer.{kind}", more, "server")
        if offline:
            self.offline.append(sent)
        else:
            self.arrive(sent)

    @precondition(lambda self: self.offline)
    @rule(data=st.data())
    def upload(self, data: st.DataObject) -> None:
        self.arrive(self.offline.pop(data.draw(st.integers(0, len(self.offline) - 1))))

    @rule(
        data=st.data(),
        subject=st.sampled_from((ITEM, POINT)),
        what=st.sampled_from(("cancelled", "frozen", "reversed")),
    )
    def stop(self, data: st.DataObject, subject: str, what: str) -> None:
        self.say(
            subject,
            f"{NAME}.{what}",
            {"request_id": self.chosen(data, subject), "reason": "not_me"},
            "customer",
        )

    @rule(data=st.data(), subject=st.sampled_from((ITEM, ITEM, POINT)), stops=st.sampled_from((None, 2, 5, 6, 30)),
          identity=st.sampled_from(products.IDENTITIES))  # fmt: skip
    def edit(self, data: st.DataObject, subject: str, stops: int | None, identity: str) -> None:
        more = {"request_id": self.chosen(data, subject), "identity": identity, "on_sheet": True, "stops_away": stops}
        more["details"] = {"neighbour": f"M. {self.count}", "names": ["M. Voleur"], "new_address": "6 rue du Voleur"}
        self.say(subject, f"{NAME}.edited", {name: each for name, each in more.items() if each is not None}, "customer")

    @invariant()
    def what_holds_for_all_the_mail_of_a_place_is_never_edited(self) -> None:
        for change in self.read(POINT) if hasattr(self, "log") else ():
            assert not change.edits
            assert "Voleur" not in str(change.asked.data)

    @invariant()
    def nothing_is_edited_after_its_cut_off_or_stays_seen(self) -> None:
        for change in self.read(ITEM) if hasattr(self, "log") else ():
            taken = [
                sent for sent in self.log if sent.kind == f"{NAME}.edited" and sent.data["request_id"] == change.id
            ]
            edited = {step.fact.at for step in change.steps if step.name == "edited"}
            for sent in taken if change.kind not in BEHIND else ():
                at = sent.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                verified = change.came_to("verified")
                waited = change.state == "requested" or verified is None or verified >= sent.at
                assert at not in edited or waited or (sent.data.get("stops_away") or 6) > 5
            if edited and change.state == "seen_by_carrier":
                seen = [sent for sent in self.log if sent.kind == "timer.seen" and sent.data["request_id"] == change.id]
                assert any(sent.data.get("edits", 0) == change.edits for sent in seen)

    @invariant()
    def no_redirection_without_every_safeguard(self) -> None:
        for change in self.read(POINT) if hasattr(self, "log") else ():
            if change.known.redirects and change.state in ("accepted", "applied"):
                _check_safeguards(change, self.log, self.now)

    @invariant()
    def nothing_is_accepted_after_its_cut_off(self) -> None:
        for change in self.read(ITEM) if hasattr(self, "log") else ():
            accepted = change.came_to("accepted")
            if accepted is not None:
                _check_cut_off(change, self.log, accepted)

    @invariant()
    def no_two_requests_that_contradict_each_other_hold(self) -> None:
        for subject in (ITEM, POINT) if hasattr(self, "log") else ():
            holding = [each for each in self.read(subject) if each.state in ACTIVE and each.holds_at(self.now)]
            groups = [each.known.group for each in holding]
            assert len(groups) == len(set(groups)), [(each.id, each.kind, each.state) for each in holding]

    def teardown(self) -> None:
        """Whatever arrived when, it comes out the same, in the state and in what subscribers hold to be true."""
        if not hasattr(self, "log"):
            return
        for subject, story in self.stories.items():
            mine = [sent for sent in self.log if sent.subject == subject]
            random.Random(len(mine)).shuffle(mine)
            other = Story(HANDLER, subject)
            for sent in mine:
                other.take(sent.event(), self.now)
            assert (story.body or {}).get("facts") == (other.body or {}).get("facts")
            assert (story.body or {}).get("now") == (other.body or {}).get("now")
            assert story.contents() == other.contents()


def _check_safeguards(change: Change, log: list[Sent], now: datetime) -> None:
    """Hold a redirection that goes on to what had to be there before its five days began, and to what may never be."""
    mine = [sent for sent in log if sent.data.get("request_id") == change.id]
    (asked,) = [sent for sent in mine if sent.kind.endswith(".requested")]
    verified, accepted = change.came_to("verified"), change.came_to("accepted")
    assert verified is not None
    assert accepted is not None
    assert now >= accepted >= products.after_working_days(verified, 5)
    before = [sent for sent in mine if sent.arrived is not None and sent.arrived <= verified]
    answers = [sent for sent in before if sent.kind.endswith(".door_checked") and sent.by == "device"]
    seen = [sent.data["identity"] for sent in before if sent.by in ("counter", "adviser") and sent.data.get("identity")]
    seen += [asked.data["identity"]] if asked.by != "device" else []
    doubted = any(sent.data["answer"] == "unknown_name" for sent in answers)
    high = asked.by == "device" or asked.data["risk"] == "high" or doubted
    assert any(each in (("counter",) if high else ("substantial", "counter")) for each in seen)
    yes = {sent.data["carrier"] for sent in answers if sent.data["answer"] == "confirms"}
    proofs = len(yes - {asked.data.get("carrier"), NAMED}) + _gave_the_code(change.id, before)
    assert proofs >= (2 if high else 1)
    stopped = {"no", *(f"{NAME}.{what}" for what in ("cancelled", "frozen"))}
    assert not [sent for sent in mine if {sent.kind, sent.data.get("answer")} & stopped]


def _gave_the_code(request: str, before: list[Sent]) -> bool:
    """Tell whether the code of the letter was given: after it, within fourteen days, and before five wrong ones."""
    letters = [sent.at for sent in before if sent.kind.endswith(".code_sent")]
    typed = [sent for sent in before if letters and sent.data.get("code_hmac") and sent.by == "customer"]
    typed = [sent for sent in typed if letters[0] <= sent.at < letters[0] + timedelta(days=14)]
    right = [sent.data["code_hmac"] == f"code-{request}" for sent in typed]
    return True in right and right.index(True) < 5


def _check_cut_off(change: Change, log: list[Sent], accepted: datetime) -> None:
    """Hold an accepted change to what had happened to its item by then, as far as it is known now."""
    facts = sorted(
        (sent for sent in log if sent.subject == ITEM and sent.kind in ("timer.loaded", "timer.ended")),
        key=lambda sent: (sent.at, str(uuid5(SPACE, str(sent.number)))),
    )
    before = [sent for sent in facts if sent.at < accepted]
    fates = ["out" if sent.kind == "timer.loaded" else sent.data["what"] for sent in before]
    lasting = [fate for fate in fates if fate != "delivery_attempted"]
    assert not lasting or lasting[-1] not in ("delivered", "collected")
    if change.kind in BEHIND:
        held = max((sent.at for sent in before if sent.data.get("what") == "held"), default=START - timedelta(days=1))
        loads = [sent.at for sent in before if sent.kind == "timer.loaded" and sent.at > held]
        assert all(accepted - load >= timedelta(hours=18) for load in loads)
    elif change.asked.data["asked_by"] != "carrier":
        stops = change.asked.data["stops_away"]
        assert stops is None or stops > 5


TestRequests = Requests.TestCase
