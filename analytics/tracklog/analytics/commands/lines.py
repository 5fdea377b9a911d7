"""Find the line of a file that starts at an offset, as editors count."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tracklog.analytics.record import Record

_BLOCK: Final = 1 << 20
"""Bytes read at a time; newlines are counted in memory."""


def line_numbers(path: Path, offsets: Iterable[int]) -> dict[int, int]:
    """Give the line numbers, from 1, of lines that start at byte `offsets`; none for a file that is not there.

    An offset at which no line starts, as in another file under the same name, is left out.
    """
    found: dict[int, int] = {}
    try:
        with path.open("rb") as file:
            counted, number, last = 0, 1, b"\n"
            for offset in sorted(set(offsets)):
                while counted < offset:
                    block = file.read(min(_BLOCK, offset - counted))
                    if not block:
                        return found
                    counted += len(block)
                    number += block.count(b"\n")
                    last = block[-1:]
                if last == b"\n":
                    found[offset] = number
    except OSError:
        return found
    return found


def number_rows(logs: Iterable[Record]) -> None:
    """Give each log row its `line` in its file, where that can be known."""
    plain = []
    for log in logs:
        log["line"] = None
        # A compressed file has its offsets in what it decompresses to, where no editor counts.
        if log["file"] and not log["file_compression"]:
            plain.append(log)
    by_file = itertools.groupby(sorted(plain, key=lambda log: str(log["file"])), key=lambda log: str(log["file"]))
    for path, members in by_file:
        rows = list(members)
        numbers = line_numbers(Path(path), (row["line_offset"] for row in rows))
        for row in rows:
            row["line"] = numbers.get(row["line_offset"])
