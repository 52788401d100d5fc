"""`fieldsvc bench faults` in its short form, by a budget of seconds: a few faults, and the ledger adds up.

`fieldsvc bench faults --full --cycles 100` is the long one.
"""

from argparse import Namespace
from typing import Any

import pytest

from fieldsvc.bench import faults
from fieldsvc.bench.faults.oracle import Journalled, Phones, Told, judge
from fieldsvc.cli import bench_command
from fieldsvc.errors import UserMistake
from fieldsvc.settings import Settings

pytestmark = pytest.mark.fault
PLAYED, BUDGET_S = ("F01", "F02", "F05", "F06"), 45.0


async def test_nothing_is_lost_repeated_or_inverted_by_the_faults_that_are_played_in_turns() -> None:
    lines: list[dict[str, Any]] = []
    await faults.run(cycles=1, full=False, show=lines.append, limits=faults.Limits(PLAYED, BUDGET_S))
    left_out = lines[-1]["conditions"]["left_out"]  # what a slow machine has no time for
    assert [*(line["fault"] for line in lines[:-1]), *left_out] == list(PLAYED)
    for line in lines:
        assert (line["value"], line["out_of_order"], line["faults"], line["still_on_phones"]) == (0, 0, 0, 0), line
        assert line["sent"] == line["acknowledged"] == line["stored"] > 0, line
        assert line["recovery_max_s"] is not None
    assert "F02" in left_out or lines[1]["answers_503"] > 0
    assert lines[-1]["delivered"] == lines[-1]["delivered_to_the_moody"] == lines[-1]["published"] > 0
    assert lines[-1]["conditions"]["receipts_verified"] > 0


async def test_a_fault_that_does_not_exist_is_a_mistake_that_names_those_that_do() -> None:
    with pytest.raises(UserMistake, match="There is no fault F99: those that are played are F01, F02"):
        await faults.run(cycles=1, full=False, show=print, limits=faults.Limits(("F99",)))


async def test_its_options_belong_to_no_other_benchmark() -> None:
    asked = Namespace(what="eta", cycles=1, full=False, only="F01", seconds=None, seed=None)
    with pytest.raises(UserMistake, match="belong to `bench faults`"):
        await bench_command(asked, Settings())


def test_the_oracle_tells_what_was_lost_doubled_inverted_or_invented() -> None:
    told = [Told(f"evt_{number}", "a", number) for number in (1, 2, 3)]
    phones = Phones({"x", "y"}, {"x", "y"}, {"x": "accepted", "y": "duplicate"})
    assert judge(Journalled(["x", "y"], told), told, phones=phones).faults == []
    lost = judge(Journalled(["x"], told), told[:2], phones=phones)
    assert lost.lost == 2
    assert lost.faults == [
        "Acknowledged and not in the journal: y.",
        "1 published events were never received, evt_3 first.",
    ]
    assert judge(Journalled(["x", "y", "y"], told), told, phones=phones).faults == ["2 field rows of y."]
    assert judge(Journalled(["x", "y"], told), [told[0], told[2], told[1]], phones=phones).inversions == 1
    assert judge(Journalled(["x", "y"], told[:2]), told, phones=phones).faults == [
        "Received and not in the journal: evt_3."
    ]
    assert judge(Journalled(["x", "y"], told[1:]), told[1:], phones=phones).faults == ["The journal counts a as 2, 3."]
