"""How delivery changes go on: the walk of a subject's facts through the table of their states (`change_states.py`).

A change is judged by what happened first, whatever arrived when. Time passes only by facts: the deadlines that a fact leaves
behind come due before it, and a timer is nothing but such a fact. What a phone says of a redirection counts from when it
arrived here, so that no wrong clock shortens a waiting time; everything else counts from when it happened.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from handlers import products
from handlers.change_states import (
    CODE_TRIES,
    COOLING_DAYS,
    MESSAGE,
    NAME,
    OPEN,
    TABLE,
    WISH,
    Change,
    Deadline,
    Step,
    read_moment,
)
from handlers.fields import format_time, name_words
from handlers.item_ends import FINAL, IN_PERSON, is_done, standing, written
from handlers.story import Fact

_OUT_FOR = timedelta(hours=18)  # what was taken out in the morning is back, or gone, the next day


def moment_of(fact: Fact) -> datetime:
    """Return when a fact counts: when it happened; what a phone says of a redirection, when it arrived. In milliseconds."""
    at = read_moment(fact.at)
    if not fact.late_s:
        return at
    arrived = at + timedelta(milliseconds=round(fact.late_s * 1000))
    kind = products.KINDS.get(fact.data.get("kind", ""))
    if fact.type == f"{NAME}.door_checked" or (fact.by == "device" and kind is not None and kind.redirects):
        return arrived
    return min(at, arrived)


def read(facts: Sequence[Fact]) -> list[Change]:
    """Walk the facts of one subject, and return its changes in the order in which they were asked."""
    walk = _Walk()
    moments = ((moment_of(each), each.id, each) for each in standing(facts))
    for now, _, fact in sorted(moments, key=lambda each: each[:2]):
        walk.pass_time(now)
        walk.take(fact, now)
        walk.pass_time(now)
    return list(walk.changes.values())


def unanswered(facts: Sequence[Fact], request_id: str) -> list[Fact]:
    """Return the messages of who asked that came after the office's last answer, oldest first."""
    waiting: list[Fact] = []
    for fact in facts:
        if fact.type == MESSAGE and fact.data.get("request_id") == request_id:
            waiting = [] if fact.data["by"] == "office" else [*waiting, fact]
    return waiting


def next_due(changes: Sequence[Change]) -> datetime | None:
    """Return when something happens next by itself."""
    dues = [deadline[0] for each in changes if (deadline := each.deadline())]
    return min([*dues, *(due for each in changes if (due := each.next_reminder()))], default=None)


class _Walk:
    """What is known while walking: the changes, and the item's own fate."""

    def __init__(self) -> None:
        self.changes: dict[str, Change] = {}
        self._next: datetime | None = None  # nothing happens by itself before
        self._loaded_at: datetime | None = None
        self._ended: str | None = None

    def pass_time(self, now: datetime) -> None:
        """Let what is due by now happen, in order."""
        while self._next is not None and self._next <= now:
            dues = [(due, each) for each in self.changes.values() if (due := each.deadline()) and due[0] <= now]
            if dues:
                self._come_due(*min(dues, key=lambda pair: pair[0][0]))
            for change in self.changes.values():
                while (remind_at := change.next_reminder()) is not None and remind_at <= now:
                    change.reminded += 1
            self._next = next_due(list(self.changes.values()))

    def _come_due(self, deadline: Deadline, change: Change) -> None:
        due, what, why = deadline
        fact = replace(change.asked, at=format_time(due), late_s=None)
        if what == "accept":
            self._accept(change, fact, due)
        else:
            self._step(change, what, fact, reason=why)

    def take(self, fact: Fact, now: datetime) -> None:
        """Take one fact."""
        change = self.changes.get(fact.data.get("request_id", ""))
        if fact.type == f"{NAME}.requested":
            self._ask(fact, now)
        elif fact.type == "timer.loaded":
            self._loaded_at, self._ended = now, None
            return
        elif fact.type == "timer.ended":
            self._end(fact)
        elif change is not None:
            self._about(change, fact, now)
        else:
            return
        self._next = next_due(list(self.changes.values()))

    def _about(self, change: Change, fact: Fact, now: datetime) -> None:
        match fact.type.partition(".")[2]:
            case "verified":
                self._prove(change, fact, now)
            case "code_sent" if change.state == "requested" and fact.by == "server":
                change.code, change.code_at = fact.data["code_hmac"], change.code_at or now
            case "door_checked":
                self._hear(change, fact, now)
            case "cancelled":
                done = change.state == "applied"
                self._step(
                    change, "reverse" if done and change.lasts else "cancel", fact, reason=fact.data.get("reason")
                )
            case "frozen":
                self._step(change, "freeze" if change.lasts else "cancel", fact, reason=fact.data.get("reason"))
            case "reversed":
                self._step(change, "reverse", fact, reason=fact.data.get("reason"))
            case "edited":
                self._edit(change, fact, now)
            case "seen" if fact.data.get("edits", 0) == change.edits:  # who saw it before it was edited saw another one
                self._step(change, "see", fact)
            case "moved" if change.kind == "other_date":
                self._step(change, "apply", fact)

    def _ask(self, fact: Fact, now: datetime) -> None:
        data, trusted = fact.data, fact.by != "device"
        if data["request_id"] in self.changes:
            return
        subject = f"item/{data['item_id']}" if data.get("item_id") else f"delivery_point/{data['delivery_point_id']}"
        identity = data.get("identity", "none") if trusted else "door"
        change = Change(data["request_id"], data["kind"], subject, fact, identity, data.get("risk") == "high", [])
        change.steps.append(Step("requested", fact, data))
        if trusted:
            change.stops_away = data.get("stops_away")
            self._loaded_at = self._loaded_at or change.moment("loaded_at")
            self._ended = self._ended or data.get("ended")
        else:
            change.high_risk = change.known.redirects
        self.changes[change.id] = change
        self._advance(change, fact, now)

    def _advance(self, change: Change, fact: Fact, now: datetime) -> None:
        """Take the steps that follow by themselves from a request, and from every proof of it."""
        if change.state != "requested":
            return
        rule = products.refusal(change.kind, change.subject, change.asked.data.get("product", "ordinary"))
        rival = self._rival(change, now)
        if rule or rival:
            self._step(change, "refuse", fact, reason=rule.name if rule else "conflict", other=rival)
        elif change.is_sure and (not change.known.redirects or _is_proven(change)):
            self._step(change, "verify", fact)
            if change.known.redirects:
                change.cooled_at = products.after_working_days(now, COOLING_DAYS)
            else:
                self._accept(change, fact, now)

    def _rival(self, change: Change, now: datetime) -> str | None:
        others = (each for each in self.changes.values() if each is not change and each.holds_at(now))
        return next(
            (each.id for each in others if products.rivals(change.kind, each.kind) and _meet(change, each)), None
        )

    def _accept(self, change: Change, fact: Fact, now: datetime) -> None:
        late = None if change.lasts else self._cut_off(change, now)
        if late:
            self._step(change, "miss", fact, reason=late, instead=self._ended if late == "already_ended" else None)
            return
        self._step(change, "accept", fact)
        asked_at_the_door = change.asked.data.get("asked_by") == "carrier"
        if not change.lasts and (change.asked.data.get("on_sheet") or asked_at_the_door):
            self._step(change, "send", fact)
        if not change.lasts and asked_at_the_door:
            self._step(change, "see", fact)

    def _cut_off(self, change: Change, now: datetime) -> str | None:
        """Return why it comes too late; None if it is in time."""
        if self._ended and self._ended.partition(":")[0] in FINAL:
            return "already_ended"
        if change.known.cutoff == products.LOADED:
            out = self._loaded_at is not None and now - self._loaded_at < _OUT_FOR
            return "already_loaded" if out else None
        limit = change.asked.data.get("cutoff_stops", 5)
        near = change.stops_away is not None and change.stops_away <= limit
        return "carrier_is_near" if near and change.asked.data.get("asked_by") != "carrier" else None

    def _edit(self, change: Change, fact: Fact, now: datetime) -> None:
        """Ask for a change of one item anew, of the same kind and under the same reference; if that is too late, it stays as it was."""
        asked = change.asked.data
        sent = {name: fact.data[name] for name in WISH if name in fact.data}
        if own := (asked.get("details") or {}).get("contact"):
            sent["details"] = {**(sent.get("details") or {}), "contact": own}  # who is told stays who was told
        if change.lasts or change.state not in TABLE["edit"][0] or asked.get("asked_by") == "carrier":
            change.declined[fact.id] = "closed"
            return
        if all(asked.get(name) == sent[name] for name in ("from", "to", "details") if name in sent):
            return
        anew = replace(change, asked=replace(change.asked, data={**asked, **sent}))
        anew.stops_away, anew.identity = fact.data.get("stops_away"), fact.data.get("identity", "none")
        waits = change.state == "requested"
        late = None if waits else self._cut_off(anew, now)
        if late or not (waits or anew.is_sure):
            change.declined[fact.id] = late or "not_sure"
            return
        change.asked, change.stops_away = anew.asked, anew.stops_away
        self._step(change, "edit", fact)
        self._advance(change, fact, now)

    def _prove(self, change: Change, fact: Fact, now: datetime) -> None:
        """Take a code that was typed, or an identity that somebody of the counter saw."""
        if change.state != "requested":
            return
        said = fact.data.get("identity")
        if said and fact.by in ("counter", "adviser", "server") and products.is_sure(said, change.identity):
            change.identity = said
        if "stops_away" in fact.data:
            change.stops_away = fact.data["stops_away"]
        typed = fact.data.get("code_hmac")
        if typed and change.code_at is not None:
            change.code_ok = change.code_ok or typed == change.code
            change.tries += typed != change.code
        if change.tries >= CODE_TRIES:
            self._step(change, "expire", fact, reason="too_many_tries")
        self._advance(change, fact, now)

    def _hear(self, change: Change, fact: Fact, now: datetime) -> None:
        """Take what a carrier heard at the door of the old address: a no stops it, now and afterwards."""
        answer, carrier = fact.data["answer"], fact.data.get("carrier") or ""
        if answer == "no":
            self._step(change, "freeze", fact, reason="denied_at_the_door")
            return
        if change.state != "requested" or fact.by != "device":
            return
        if answer == "unknown_name":
            change.high_risk = True
        named = (change.asked.data.get("details") or {}).get("names") or ()
        mine = set[str]().union(*(name_words(name) for name in (*named, change.asked.data.get("carrier") or "")))
        if answer == "confirms" and carrier and not mine & name_words(carrier):
            change.confirmed_by.add(carrier)
            self._advance(change, fact, now)

    def _end(self, fact: Fact) -> None:
        """Take what became of the item at the door, at the office, or back with the sender."""
        what, where = fact.data["what"], fact.data.get("where")
        over = self._ended is not None and self._ended.partition(":")[0] in FINAL
        if what != "delivery_attempted" or not over:
            self._ended = written(what, where)
        if what == "held":
            self._loaded_at = None
        for change in self.changes.values():
            if change.lasts or change.state not in OPEN:
                continue
            waits = change.state in ("requested", "verified")
            if not waits and is_done(change.kind, what, where):
                self._step(change, "apply", fact)
            elif what != "held" and (not waits or what in FINAL):
                self._come_to_nothing(change, fact, what, where)

    def _come_to_nothing(self, change: Change, fact: Fact, what: str, where: str | None) -> None:
        instead = written(what, where)
        if change.state != "seen_by_carrier":
            self._step(change, "miss", fact, reason="unseen", instead=instead)
        elif what == "delivered" and where in IN_PERSON:
            self._step(change, "expire", fact, reason="not_needed", instead=instead)
        else:
            self._step(change, "refuse", fact, reason="not_done", instead=instead)

    def _step(self, change: Change, what: str, fact: Fact, **why: Any) -> None:
        """Go where the table leads; nowhere if it does not count in this state."""
        states, to = TABLE[what]
        if change.state in states:
            at = format_time(moment_of(fact))
            fact = fact if fact.at == at else replace(fact, at=at, late_s=None)
            change.steps.append(Step(to, fact, change.asked.data, **why))


def _is_proven(change: Change) -> bool:
    """Tell whether the old address agrees: by the code of the letter or a yes at the door; if in doubt, by two of them."""
    return change.code_ok + len(change.confirmed_by) >= (2 if change.high_risk else 1)


def _meet(one: Change, other: Change) -> bool:
    """Tell whether two changes hold at the same time: those of one item always do."""
    if not one.lasts:
        return True
    first, second = (each.moment("starts_at") or each.asked.occurred_at for each in (one, other))
    one_ends, other_ends = one.moment("ends_at"), other.moment("ends_at")
    return (other_ends is None or first < other_ends) and (one_ends is None or second < one_ends)
