"""Deltas of sheets: an old sheet and what differs from it make the new one, whatever changed and however often."""

import copy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fieldsvc.work.sheet_delta import delta_of, digests_of

KEPT = 8
IDS = [f"st-{number}" for number in range(12)]
MEMBERS = ("tasks_without_stop", "hazards", "mandates", "requests", "instructions", "forms", "state", "line")
VALUES = st.one_of(st.none(), st.integers(0, 3), st.text(max_size=4), st.lists(st.integers(0, 2), max_size=2))


def applied(sheet: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """Do what a phone does with a delta."""
    fresh = {stop["stop_id"]: stop for stop in delta["stops"]}
    stops = [fresh.pop(stop["stop_id"], stop) for stop in sheet["stops"] if stop["stop_id"] not in delta["removed"]]
    by_id = {stop["stop_id"]: stop for stop in [*stops, *fresh.values()]}
    ordered = [by_id[stop_id] for stop_id in delta.get("order", list(by_id))]
    members = {name: value for name, value in delta.items() if name not in ("delta", "since", "removed", "order")}
    return {**sheet, **members, "stops": ordered}


def stop(stop_id: str, value: Any = 0) -> dict[str, Any]:
    return {"stop_id": stop_id, "sequence": 1, "tasks": [value], "notebook": []}


class Phone(RuleBasedStateMachine):
    """A sheet that changes, and a phone that asks now and then."""

    @initialize(ids=st.lists(st.sampled_from(IDS), unique=True, max_size=8))
    def begin(self, ids: list[str]) -> None:
        head = {"run_id": "run-2026-11-21-T07", "version": 1, "stops": [stop(each) for each in ids]}
        self.sheet: dict[str, Any] = {**head, **{name: [] for name in MEMBERS}}
        self.kept = {1: digests_of(self.sheet)}
        self.phone, self.deltas = copy.deepcopy(self.sheet), 0

    def _changed(self) -> None:
        self.sheet["version"] += 1

    @rule(name=st.sampled_from(MEMBERS), value=VALUES)
    def a_member_changes(self, name: str, value: Any) -> None:
        self.sheet[name] = value
        self._changed()

    @rule(at=st.integers(0, 20), value=VALUES)
    def a_stop_changes(self, at: int, value: Any) -> None:
        if self.sheet["stops"]:
            number = at % len(self.sheet["stops"])
            self.sheet["stops"][number] = stop(self.sheet["stops"][number]["stop_id"], value)
            self._changed()

    @rule(at=st.integers(0, 20), stop_id=st.sampled_from(IDS))
    def a_stop_comes_or_goes(self, at: int, stop_id: str) -> None:
        left = [each for each in self.sheet["stops"] if each["stop_id"] != stop_id]
        if len(left) == len(self.sheet["stops"]):
            left.insert(at % (len(left) + 1), stop(stop_id))
        self.sheet["stops"] = left
        self._changed()

    @rule(data=st.data())
    def the_order_changes(self, data: st.DataObject) -> None:
        self.sheet["stops"] = data.draw(st.permutations(self.sheet["stops"]))
        self._changed()

    @rule()
    def another_phone_asks(self) -> None:
        self.kept[self.sheet["version"]] = digests_of(self.sheet)

    @rule()
    def the_phone_asks(self) -> None:
        since = self.phone["version"]
        if since == self.sheet["version"]:
            return
        known = {version: self.kept[version] for version in sorted(self.kept)[-KEPT:]}
        delta = delta_of(self.sheet, since, known[since]) if since in known else None
        self.phone = copy.deepcopy(self.sheet) if delta is None else applied(self.phone, copy.deepcopy(delta))
        self.kept[self.sheet["version"]] = digests_of(self.sheet)
        self.deltas += delta is not None

    @invariant()
    def the_same_version_is_the_same_sheet(self) -> None:
        if self.phone["version"] == self.sheet["version"]:
            assert self.phone == self.sheet


TestPhone = Phone.TestCase


def test_a_delta_holds_what_changed_and_nothing_else() -> None:
    sheet = {"run_id": "r", "version": 1, "stops": [stop("a"), stop("b"), stop("c")], "hazards": [], "state": "planned"}
    kept = digests_of(sheet)
    now = {**sheet, "version": 2, "stops": [stop("a"), stop("b", 7)], "state": "started"}
    delta = delta_of(now, 1, kept)
    assert delta is not None
    assert delta == {
        "delta": True,
        "run_id": "r",
        "since": 1,
        "version": 2,
        "state": "started",
        "stops": [stop("b", 7)],
        "removed": ["c"],
        "order": ["a", "b"],
    }
    assert applied(sheet, delta) == now


def test_two_stops_of_one_name_make_no_delta() -> None:
    sheet = {"run_id": "r", "version": 1, "stops": [stop("a"), stop("a", 7)]}
    assert delta_of({**sheet, "version": 2}, 1, digests_of(sheet)) is None
