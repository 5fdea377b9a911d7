"""Find where the lines of log rows stand: the file, renamed since or not, and the line of it, as editors count."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracklog.analytics.record import Record

if TYPE_CHECKING:
    from tracklog.ingester.read import Fetch

_BLOCK: Final = 1 << 20
"""Bytes read at a time; newlines are counted in memory."""

_ROTATED: Final = re.compile(r"(?:[.\-_]\d+)*(?:\.gz|\.zst)?$")
"""What rotation adds to a name."""


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


def place_rows(logs: Iterable[Record]) -> None:
    """Give each log row its `line`, and as its `file` that in which it stands now, where these can be known.

    A file that was renamed or compressed since it was read is found beside its old name. What is not found keeps it.
    """
    by_source: dict[object, list[Record]] = {}
    for log in logs:
        log["line"] = None
        if log["file"]:
            by_source.setdefault(log["source_id"], []).append(log)
    for rows in by_source.values():
        name = rows[0]["file"]
        path = next((path for path in _names(name) if _holds(path, rows[0])), None)
        for row in rows if path is not None else ():
            row["file"] = path
        # A compressed file has its offsets in what it decompresses to, where no editor counts.
        if path is not None and not rows[0]["file_compression"]:
            numbers = line_numbers(Path(path), (row["line_offset"] for row in rows))
            for row in rows:
                row["line"] = numbers.get(row["line_offset"])


def _names(path: str) -> Iterator[str]:
    """Give a name, and those that rotation may have made of it."""
    yield path
    directory, name = os.path.split(path)
    stem = _ROTATED.sub("", name)
    try:
        beside = sorted(os.listdir(directory or "."), key=lambda other: (len(other), other))
    except OSError:
        return
    for other in beside:
        if other != name and other.startswith(stem) and _ROTATED.sub("", other) == stem:
            yield os.path.join(directory, other)


def _holds(path: str, row: Record) -> bool:
    from tracklog.ingester.read import reading

    try:
        with reading(path) as fetch:
            return text_of(fetch, row) is not None
    except OSError:
        return False


def text_of(fetch: "Fetch", row: Record) -> bytes | None:
    """Read the line of a log row; None where another one stands, or none.

    A line that a container's runtime wrapped is given as its program wrote it.

    :raises OSError: The file cannot be read.
    """
    from tracklog.ingester.decode import Event, decode
    from tracklog.ingester.unwrap import line_at

    line = line_at(fetch, row["line_offset"])
    event = decode(line.text, line.offset, time=line.time) if line is not None else None
    # Another file may stand under that name by now.
    if line is None or not isinstance(event, Event) or (event.writer, event.seq) != (row["writer"], row["seq"]):
        return None
    return line.text
