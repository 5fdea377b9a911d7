"""Sets of whole numbers as sorted ranges: what was seen of a writer's seq, and what was not."""

from bisect import bisect_right
from collections.abc import Iterable

Ranges = list[list[int]]
"""Sorted, disjoint and not adjacent [first, last], both inclusive."""


def add(ranges: Ranges, number: int) -> None:
    """Add a number, in place; in order, that is constant work.

    >>> seen = []
    >>> for number in (1, 2, 5, 3, 4): add(seen, number)
    >>> seen
    [[1, 5]]
    """
    if ranges:
        last = ranges[-1]
        if number == last[1] + 1:
            last[1] = number
            return
        if last[0] <= number <= last[1]:
            return
        if number < last[0]:
            _insert(ranges, number)
            return
    ranges.append([number, number])


def _insert(ranges: Ranges, number: int) -> None:
    place = bisect_right(ranges, number, key=lambda one: one[0])
    before = ranges[place - 1] if place else None
    after = ranges[place]
    if before is not None and number <= before[1]:
        return
    touches_before = before is not None and number == before[1] + 1
    touches_after = number == after[0] - 1
    if before is not None and touches_before and touches_after:
        before[1] = after[1]
        del ranges[place]
    elif before is not None and touches_before:
        before[1] = number
    elif touches_after:
        after[0] = number
    else:
        ranges.insert(place, [number, number])


def contains(ranges: Ranges, number: int) -> bool:
    """Tell whether a number is in a set.

    >>> [contains([[1, 3], [7, 9]], number) for number in (0, 3, 5, 9)]
    [False, True, False, True]
    """
    place = bisect_right(ranges, number, key=lambda one: one[0])
    return place > 0 and number <= ranges[place - 1][1]


def union(one: Ranges, other: Ranges) -> Ranges:
    """Give the union of two sets.

    >>> union([[1, 3], [7, 9]], [[4, 5], [9, 12]])
    [[1, 5], [7, 12]]
    """
    merged: Ranges = []
    for first, last in sorted([*one, *other]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged


def gaps(ranges: Ranges) -> Ranges:
    """Give what is missing between 1 and the last number.

    >>> gaps([[3, 4], [7, 9]])
    [[1, 2], [5, 6]]
    """
    missing, expected = [], 1
    for first, last in ranges:
        if first > expected:
            missing.append([expected, first - 1])
        expected = last + 1
    return missing


def count(ranges: Iterable[Iterable[int]]) -> int:
    """Count the numbers of a set.

    >>> count([[1, 2], [5, 5]])
    3
    """
    return sum(last - first + 1 for first, last in ranges)
