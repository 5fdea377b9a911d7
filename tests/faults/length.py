"""How long the fault tests are: short by default, as long as `TRACKLOG_FAULTS` says otherwise."""

import os
from typing import Final, TypeVar

T = TypeVar("T")

LENGTH: Final = int(os.environ.get("TRACKLOG_FAULTS", "0"))
"""Sequences of the state machine on each database, and kills in each random run; 0 for a short run."""


def long_or_short(long: T, short: T) -> T:
    """Choose by the length of the run."""
    return long if LENGTH else short
