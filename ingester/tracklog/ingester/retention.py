"""Delete log files, when somebody asked for it: only segments of ours that are closed, ingested and old."""

import datetime as dt
import os
from collections.abc import Mapping
from typing import Final

from tracklog.ingester.decode import Event, decode
from tracklog.ingester.identify import read_at
from tracklog.ingester.sources import Checkpoint, Source
from tracklog.ingester.verdicts import is_free
from tracklog.processors.line import Kind

_LAST_LINE_BYTES: Final = 4096
"""The last line of a segment is a few hundred bytes."""


def is_done(source: Source, age: dt.timedelta, now: dt.datetime) -> bool:
    """Tell whether nobody needs a file any more: all of it is committed, its writer closed it, and it is old.

    :raises OSError: The file cannot be read.
    """
    checkpoint = source.stored
    if checkpoint is None or checkpoint.writer is None or checkpoint.compression is not None:
        return False
    descriptor = source.fileno()
    status = os.fstat(descriptor)
    if checkpoint.position != status.st_size or now.timestamp() - status.st_mtime < age.total_seconds():
        return False
    return is_free(source) and _is_closed(descriptor, status.st_size)


def is_kept(source: Source, known: Mapping[tuple[int, int], Checkpoint]) -> bool:
    """Tell whether the database still has of a file what was committed of it.

    :param known: The latest checkpoints that it has, by locator.
    """
    ours, theirs = source.stored, known.get(source.checkpoint.identity.locator)
    if ours is None or theirs is None:
        return False
    return (ours.source_id, ours.position, ours.tail_hash) == (theirs.source_id, theirs.position, theirs.tail_hash)


def _is_closed(descriptor: int, size: int) -> bool:
    start = max(0, size - _LAST_LINE_BYTES)
    end = read_at(descriptor, start, size - start)
    last = decode(end.removesuffix(b"\n").rpartition(b"\n")[2], start)
    return end.endswith(b"\n") and isinstance(last, Event) and last.kind is Kind.WRITER_CLOSED


def remove(source: Source) -> bool:
    """Delete a file, if the one of that name is still the one that was looked at."""
    try:
        there, looked_at = os.stat(source.path, follow_symlinks=False), os.fstat(source.fileno())
        if (there.st_dev, there.st_ino) != (looked_at.st_dev, looked_at.st_ino):
            return False
        os.unlink(source.path)
    except OSError:
        return False
    return True
