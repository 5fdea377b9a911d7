"""Say of which time one asks: so many hours back, or from one moment to another."""

import datetime as dt
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from tracklog.analytics.commands import units
from tracklog.analytics.commands.moment import Moment


@dataclass(frozen=True, slots=True)
class Period:
    """The time that is asked of: so many hours back from `until`, or from `since` on."""

    hours: float | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def __bool__(self) -> bool:
        return self != Period()

    def __str__(self) -> str:
        """Say it in words that end a sentence."""
        words = []
        if self.since is not None:
            words.append(f"since {units.moment(self.since)}")
        elif self.hours is not None:
            words.append(f"in the {'last ' if self.until is None else ''}{units.hours(self.hours)}")
        if self.until is not None:
            words.append(f"before {units.moment(self.until)}")
        return " ".join(words)

    @property
    def asked(self) -> dict[str, Any]:
        """Give what the questions take."""
        return {"hours": self.hours, "since": self.since, "until": self.until}


class _Hours(click.FloatRange):
    """A number of hours; what is no number is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number of hours.", param, ctx)
        return number


def option_period(default: float | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command --hours, --since and --until; it is called with a `Period` as `period`.

    :param default: So many hours back, where neither --hours nor --since says otherwise.
    """
    unless = f"  [default: {default:g}]" if default is not None else ""

    def give(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--hours", type=_Hours(min=0), metavar="N", help=f"Look only so many hours back.{unless}")
        @click.option("--since", type=Moment(), metavar="TIME", help="Look from then on: 2h, yesterday, 10:00.")
        @click.option("--until", type=Moment(), metavar="TIME", help="Look only at what began before then.")
        @functools.wraps(command)
        def run(
            *args: Any, hours: float | None, since: dt.datetime | None, until: dt.datetime | None, **options: Any
        ) -> Any:
            if hours is not None and since is not None:
                raise click.UsageError("choose one of --hours and --since")
            back = hours if hours is not None else (default if since is None else None)
            return command(*args, period=Period(back, since, until), **options)

        return run

    return give
