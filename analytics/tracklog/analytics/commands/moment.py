"""Moments as they are typed."""

import datetime as dt
import re
from typing import Any, Final

import click

from tracklog.analytics.commands.duration import Duration

_CLOCK: Final = re.compile(r"\d\d?:\d\d(?::\d\d)?")


class Moment(click.ParamType[dt.datetime]):
    """A moment: 2h or 30min (ago), today, yesterday, 10:00, 2026-11-22 or 2026-11-22T10:00, in the reader's zone."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """Give an aware time in UTC."""
        if isinstance(value, dt.datetime):
            return value
        text = str(value).strip().lower().removesuffix(" ago")
        now = dt.datetime.now().astimezone()
        midnight = dt.datetime.combine(now.date(), dt.time())
        try:
            if text in ("now", "today", "yesterday"):
                days = {"today": midnight, "yesterday": midnight - dt.timedelta(days=1)}
                return days.get(text, now).astimezone(dt.UTC)
            if _CLOCK.fullmatch(text):
                return dt.datetime.combine(now.date(), dt.time.fromisoformat(text.zfill(5))).astimezone(dt.UTC)
            if re.fullmatch(r"\d+(?:\.\d+)?\s*[a-z]+", text):
                return now.astimezone(dt.UTC) - dt.timedelta(milliseconds=Duration().convert(text, param, ctx))
            # A time without a zone is one of the clock on the wall.
            return dt.datetime.fromisoformat(text.upper()).astimezone(dt.UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment; write 2h, yesterday, 10:00, 2026-11-22 or 2026-11-22T10:00", param, ctx)
