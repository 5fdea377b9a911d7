"""Test reading moments."""

import datetime as dt

import click
import pytest

from tracklog.analytics.commands.moment import Moment

MIDNIGHT = dt.datetime.combine(dt.datetime.now().astimezone().date(), dt.time())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("today", MIDNIGHT),
        ("yesterday", MIDNIGHT - dt.timedelta(days=1)),
        ("9:05", MIDNIGHT.replace(hour=9, minute=5)),
        ("2026-11-22", dt.datetime(2026, 11, 22)),  # noqa: DTZ001 -- the clock on the wall
        ("2026-11-22T10:00", dt.datetime(2026, 11, 22, 10)),  # noqa: DTZ001
        ("2026-11-22 10:00:01.5", dt.datetime(2026, 11, 22, 10, 0, 1, 500_000)),  # noqa: DTZ001
        ("2026-11-22T10:00Z", dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC)),
        ("2026-11-22T10:00+02:00", dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)),
    ],
)
def test_moments(text: str, moment: dt.datetime) -> None:
    """Days and times are those of the reader's zone, unless they name another."""
    read = Moment().convert(text, None, None)
    assert (moment.astimezone(dt.UTC), dt.timedelta(0)) == (read, read.utcoffset())


@pytest.mark.parametrize(("text", "span"), [("2h", 7200), ("30min ago", 1800), ("1.5d", 129600), ("now", 0)])
def test_spans_are_ago(text: str, span: float) -> None:
    """A duration is the moment before now by so much."""
    read = Moment().convert(text, None, None)
    assert abs((dt.datetime.now(dt.UTC) - read).total_seconds() - span) < 5


@pytest.mark.parametrize("text", ["soon", "", "2026-13-01", "25:00", "3 parsecs", "10000000d"])
def test_what_is_no_moment(text: str) -> None:
    """It is a usage error."""
    with pytest.raises(click.BadParameter):
        Moment().convert(text, None, None)
