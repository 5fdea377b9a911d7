"""Durations as they are typed."""

import re
from typing import Any, Final

import click

_MILLISECONDS: Final = {
    "": 1.0,
    "ms": 1.0,
    "s": 1000.0,
    "m": 60_000.0,
    "min": 60_000.0,
    "h": 3_600_000.0,
    "d": 86_400_000.0,
}

_LONGEST: Final = 100 * 365 * 86_400_000.0
"""A hundred years, in milliseconds; what is longer is a slip of the finger."""


class Duration(click.ParamType[float]):
    """A duration such as 500ms, 5s, 2min, 1h or 7d; a plain number is milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Give milliseconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        unit = _MILLISECONDS.get(match[2]) if match is not None else None
        if match is None or unit is None or float(match[1]) * unit > _LONGEST:
            self.fail(f"{value!r} is no duration; write a number and a unit: 500ms, 5s, 2min, 1h or 7d", param, ctx)
        return float(match[1]) * unit
