"""Find the line of a file that starts at an offset, as editors count."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

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
