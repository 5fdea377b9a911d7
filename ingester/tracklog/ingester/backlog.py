"""What lies on disk and is not in the database, file by file, without reading it in."""

import asyncio
import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tracklog.ingester.discover import Discovery
from tracklog.ingester.identify import read_at
from tracklog.ingester.sources import Checkpoint, Source, find
from tracklog.ingester.store import Store

_WINDOW: Final = 1 << 16
_POLL_SECONDS: Final = 0.1

_CUT: Final = "it ends within its compressed stream: it is being written, or was cut; what is there of it is read"


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that has whole lines which are not in the database."""

    path: str
    source_id: str
    inode: int
    bytes: int
    """How many are behind the position; of a compressed file, its size."""
    end: int | None
    """The position at which they are read; None for a compressed file, which is read when it has ended."""


@dataclass(slots=True)
class Backlog:
    """The files below some paths, compared with the positions in the database."""

    files: int = 0
    bytes_total: int = 0
    unread: list[Unread] = field(default_factory=list)
    unended: dict[str, int] = field(default_factory=dict)
    """Files that end within a line, which its writer may still end: by path, how many bytes."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Files that cannot be looked into: by path, why."""


async def backlog(store: Store, paths: Sequence[str]) -> Backlog:
    """Look at all files below some paths, and how far the database says they are read."""
    result = Backlog()

    def refuse(path: str, error: OSError) -> None:
        result.unreadable[path] = error.strerror or str(error)

    for path in (discovery := Discovery([os.path.abspath(path) for path in paths], refuse, store.file)).missing():
        there = os.path.exists(path)
        result.unreadable[path] = "neither a file nor a directory" if there else os.strerror(errno.ENOENT)
    files = list(discovery.scan())
    known = await store.checkpoints(file.status.st_ino for file in files)
    for file in files:
        result.files += 1
        result.bytes_total += file.status.st_size
        try:
            source = find(store.host, file.path, known)
        except FileNotFoundError:
            continue  # It went meanwhile.
        except OSError as error:
            refuse(file.path, error)
            continue
        try:
            _look(source, result)
        except OSError as error:
            refuse(file.path, error)
        finally:
            source.close()
    return result


async def wait(store: Store, backlog: Backlog, seconds: float) -> None:
    """Wait until what was there is read, however much is written meanwhile, or so long; what is read is taken out."""
    deadline = time.monotonic() + seconds
    while backlog.unread:
        known = await store.checkpoints(one.inode for one in backlog.unread)
        positions = {one.source_id: one for one in known.values()}
        backlog.unread = [one for one in backlog.unread if not _is_read(one, positions.get(one.source_id))]
        if not backlog.unread or time.monotonic() >= deadline:
            return
        await asyncio.sleep(_POLL_SECONDS)


def _is_read(one: Unread, checkpoint: Checkpoint | None) -> bool:
    if checkpoint is None:
        return False
    return checkpoint.ended if one.end is None else checkpoint.position >= one.end


def _look(source: Source, result: Backlog) -> None:
    behind = source.bytes_behind()
    checkpoint = source.checkpoint
    inode = checkpoint.identity.inode
    if behind == 0:
        return
    if checkpoint.compression is not None:
        if source.ends_early():
            result.unreadable[source.path] = _CUT
        else:
            result.unread.append(Unread(source.path, checkpoint.source_id, inode, behind, None))
        return
    end = checkpoint.position + behind
    tail = min(behind, _unended(source.fileno(), end, behind))
    if tail:
        result.unended[source.path] = tail
    if behind > tail:
        result.unread.append(Unread(source.path, checkpoint.source_id, inode, behind - tail, end - tail))


def _unended(descriptor: int, end: int, most: int) -> int:
    """Count the bytes behind the last newline, among the last `most`."""
    counted = 0
    while counted < most:
        length = min(_WINDOW, most - counted)
        piece = read_at(descriptor, end - counted - length, length)
        place = piece.rfind(b"\n")
        if place >= 0:
            return counted + len(piece) - place - 1
        counted += length
    return counted
