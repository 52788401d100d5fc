"""Which test files take long: the processes of a run take them first, so that none of them works alone at the end.

Seconds of one of three processes on two cores, roughly; a file that is not here counts by its tests.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

A_TEST_S = {"bench": 10.0, "cli": 3.0, "faults": 8.0, "hostile": 30.0, "pages": 1.5}
LONG_S = {
    "tests/acceptance/test_hostile_matrix.py": 60,
    "tests/acceptance/test_rights_matrix.py": 60,
    "tests/bench/test_benches.py": 130,
    "tests/bench/test_which_round.py": 90,
    "tests/cli/test_commands.py": 100,
    "tests/geo/test_matching.py": 60,
    "tests/geo/test_matching_on_streets.py": 60,
    "tests/pages/test_account_pages.py": 90,
    "tests/pages/test_browser.py": 100,
    "tests/pages/test_household_pages.py": 90,
    "tests/pages/test_partner.py": 100,
    "tests/pages/test_portal.py": 120,
    "tests/pages/test_supervision.py": 120,
    "tests/pages/test_supervision_parts.py": 100,
    "tests/pages/test_supervision_stops.py": 80,
    "tests/publishing/test_ownership.py": 40,
    "tests/simulate/test_real_service.py": 130,
    "tests/simulation/test_simulation.py": 150,
    "tests/web/test_documents.py": 40,
}


def longest_first(items: Sequence[pytest.Item]) -> Callable[[pytest.Item], float]:
    """Return the key to sort by; the tests of a file stay together, in their order."""
    counts = Counter(_file(item) for item in items)

    def key(item: pytest.Item) -> float:
        name = _file(item)
        a_test_s = A_TEST_S.get(name.split("/")[1], 0.2)
        return -LONG_S.get(name, counts[name] * a_test_s)

    return key


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
