import time

from fieldsvc.ids import uuid7


def test_ids_are_version_7_of_this_moment_and_sort_in_the_order_they_were_made() -> None:
    before = time.time_ns() // 1_000_000
    ids = [uuid7() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    assert all(before <= each.int >> 80 <= after for each in ids)
    assert len(set(ids)) == 1000
    assert sorted(ids) == ids
