"""Test knowing which lines were seen."""

from hypothesis import given
from hypothesis import strategies as st

from ingester.lines import dumps, stamped
from tracklog.analytics.search.entry import Entry, entry_of
from tracklog.analytics.search.seen import Seen


def entry(number: int) -> Entry:
    """Give a writer's line of a number."""
    return entry_of(dumps(stamped("w", number, event="x")))


@given(st.lists(st.integers(1, 12), max_size=30))
def test_each_line_is_new_once(numbers: list[int]) -> None:
    """A line is new once, in whatever order lines come."""
    seen = Seen()
    assert list(dict.fromkeys(numbers)) == [number for number in numbers if seen.is_new(entry(number))]


def test_what_was_written_before() -> None:
    """What a writer wrote before a line is as old as the line."""
    seen = Seen()
    seen.begin_behind(entry(5))
    seen.begin_behind(entry(3))
    assert [False, False, True] == [seen.is_new(entry(number)) for number in (1, 5, 6)]


def test_lines_without_a_stamp() -> None:
    """Of lines without a stamp none is the copy of another."""
    seen = Seen()
    foreign = entry_of(b'{"event":"x"}')
    assert [True, True] == [seen.is_new(foreign), seen.is_new(foreign)]
