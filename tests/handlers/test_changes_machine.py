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
from handlers.changes import Change
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
CARRIERS = st.sampled_from(("Camille", "Dominique"))
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
        alive = [each.id for each in self.read(subject) if each.state in (*changes.OPEN, "applied")]
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
        sent = self.make(ITEM, f"{changes.NAME}.requested", more, "device" if asked_by == "carrier" else "customer")
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
        self.say(POINT, f"{changes.NAME}.requested", more, by)

    @precondition(
        lambda self: (
            self.on_point and not any(each.known.redirects and each.holds_at(self.now) for each in self.known[POINT])
        )
    )
    @rule(
        identity=st.sampled_from(("none", "substantial", "counter", "counter", "counter")), risk=st.sampled_from(("low", "low", "high")),
        by=st.sampled_from(("adviser", "adviser", "adviser", "device")), proof=st.sampled_from(("code", "yes", "both")), carrier=CARRIERS,
        days=st.sampled_from((0, 1, 4, 6, 8, 10, 11)),
    )  # fmt: skip
    def move(self, identity: str, risk: str, by: str, proof: str, carrier: str, days: int) -> None:
        """Go a part of the way that a mover goes, so that what comes behind it is tried as well."""
        request = f"DC-P{self.count}"
        about, details = {"request_id": request}, {"names": ["Mme Martin"], "new_address": "2 rue B"}
        asked = {**about, "kind": "redirect_permanent", "risk": risk, "identity": identity, "details": details}
        self.say(POINT, f"{changes.NAME}.requested", {**asked, "carrier": "Camille"}, by)
        if proof != "yes":
            self.say(POINT, f"{changes.NAME}.code_sent", {**about, "code_hmac": f"code-{request}"}, "server")
            self.say(POINT, f"{changes.NAME}.verified", {**about, "code_hmac": f"code-{request}"}, "customer")
        if proof != "code":
            more = {**about, "answer": "confirms", "carrier": carrier}
            self.say(POINT, f"{changes.NAME}.door_checked", more, "device")
        self.wait(24.0 * days)

    @rule(data=st.data(), subject=st.sampled_from((ITEM, POINT)), identity=st.sampled_from(products.IDENTITIES),
          by=st.sampled_from(("counter", "adviser", "customer", "device", "supervisor")))  # fmt: skip
    def attest(self, data: st.DataObject, subject: str, identity: str, by: str) -> None:
        more = {"request_id": self.chosen(data, subject), "identity": identity}
        self.say(subject, f"{changes.NAME}.verified", more, by)

    @precondition(lambda self: self.on_point)
    @rule()
    def post_letters(self) -> None:
        for change in self.read(POINT):
            if change.wants_code:
                more = {"request_id": change.id, "code_hmac": f"code-{change.id}"}
                self.say(POINT, f"{changes.NAME}.code_sent", more, "server")

    @precondition(lambda self: self.on_point)
    @rule(data=st.data(), right=st.booleans())
    def type_code(self, data: st.DataObject, right: bool) -> None:
        request = self.chosen(data, POINT)
        typed = f"code-{request}" if right else f"code-{self.chosen(data, POINT)}"
        self.say(POINT, f"{changes.NAME}.verified", {"request_id": request, "code_hmac": typed}, "customer")

    @precondition(lambda self: self.on_point)
    @rule(data=st.data(), answer=st.sampled_from(("confirms", "confirms", "no", "nobody", "unknown_name")), carrier=CARRIERS,
          offline=st.booleans(), clock_h=st.sampled_from((0.0, 0.0, -24.0 * 9, 24.0 * 9)),
          by=st.sampled_from(("device", "device", "device", "supervisor")))  # fmt: skip
    def door(self, data: st.DataObject, answer: str, carrier: str, offline: bool, clock_h: float, by: str) -> None:
        more = {"request_id": self.chosen(data, POINT), "answer": answer, "carrier": carrier}
        sent = self.make(POINT, f"{changes.NAME}.door_checked", more, by, at=self.now + timedelta(hours=clock_h))
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
            more = {"request_id": self.chosen(data, ITEM)}
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
            f"{changes.NAME}.{what}",
            {"request_id": self.chosen(data, subject), "reason": "not_me"},
            "customer",
        )

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
    """Hold a redirection that goes on to what has to be there, and to what may not."""
    mine = [sent for sent in log if sent.data.get("request_id") == change.id]
    (asked,) = [sent for sent in mine if sent.kind.endswith(".requested")]
    seen = [sent.data["identity"] for sent in mine if sent.by in ("counter", "adviser") and sent.data.get("identity")]
    seen += [asked.data["identity"]] if asked.by != "device" else []
    high = asked.by == "device" or asked.data["risk"] == "high"
    assert any(each in (("counter",) if high else ("substantial", "counter")) for each in seen)
    letters = [sent.arrived for sent in mine if sent.kind.endswith(".code_sent")]
    codes = [
        sent.arrived for sent in mine if sent.data.get("code_hmac") == f"code-{change.id}" and sent.by == "customer"
    ]
    answers = [sent for sent in mine if sent.kind.endswith(".door_checked")]
    yes = [
        sent for sent in answers
        if sent.data["answer"] == "confirms" and sent.by == "device" and sent.data["carrier"] != asked.data.get("carrier")
    ]  # fmt: skip
    codes = [code for code in codes if letters and code is not None and code >= min(letters)]  # type: ignore[type-var]
    proofs = sorted([*codes, *(sent.arrived for sent in yes)])
    assert proofs
    if high:
        assert bool(codes) + len({sent.data["carrier"] for sent in yes}) >= 2
    accepted = change.came_to("accepted")
    assert accepted is not None
    assert now >= accepted >= products.after_working_days(proofs[0], 5)
    assert not [sent for sent in answers if sent.data["answer"] == "no"]


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
