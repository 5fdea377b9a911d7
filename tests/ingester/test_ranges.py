"""Sets of numbers as ranges."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tracklog.ingester.ranges import Ranges, add, count, gaps, union

NUMBERS = st.lists(st.integers(1, 60))


def ranges_of(numbers: list[int]) -> Ranges:
    ranges: Ranges = []
    for number in numbers:
        add(ranges, number)
    return ranges


def numbers_of(ranges: Ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(NUMBERS)
def test_holds_what_was_added(numbers: list[int]) -> None:
    """In whatever order numbers are added, the set is theirs, sorted, with no two ranges that touch."""
    ranges = ranges_of(numbers)
    assert set(numbers) == numbers_of(ranges)
    assert len(set(numbers)) == count(ranges)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(ranges))


@given(NUMBERS, NUMBERS)
def test_union_is_that_of_sets(one: list[int], other: list[int]) -> None:
    """The union of two sets is the set of all their numbers."""
    assert ranges_of(one + other) == union(ranges_of(one), ranges_of(other))


@given(NUMBERS)
def test_gaps_are_what_is_missing(numbers: list[int]) -> None:
    """The gaps and the numbers together are everything up to the last number."""
    ranges = ranges_of(numbers)
    missing = numbers_of(gaps(ranges))
    assert missing == set(range(1, max(numbers, default=0) + 1)) - set(numbers)
