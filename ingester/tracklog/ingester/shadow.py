"""A second database, made of the files alone: `verify` compares with it, `rebuild` takes it over."""

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tracklog.ingester.ahead import Batches
from tracklog.ingester.files import Files
from tracklog.ingester.fold import Rows
from tracklog.ingester.sources import Checkpoint, Portion, Source
from tracklog.ingester.store import Store

_log = logging.getLogger("tracklog.ingester")

_REMOVE_SECONDS: Final = 5.0
"""What a thread was asked for last, a batch or a statement, ends within that."""

_AGAIN_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the files are read."""

    bytes_read: int
    bytes_total: int


Progress = Callable[[Reading], None]


class Shadow(NamedTuple):
    """A database of what the files say, and how far the other one had read them before."""

    store: Store
    positions: Mapping[str, int]
    """By source."""
    unreadable: frozenset[str]
    """Files and directories that could not be read, or not to their end."""


@contextlib.asynccontextmanager
async def shadow(store: Store, paths: Sequence[str], progress: Progress | None = None) -> AsyncIterator[Shadow]:
    """Read all files below some paths from their beginning into a temporary SQLite database.

    What the database knows of each file decides only which content of it is meant. No verdicts are given. The temporary
    file is about as large as the database will be; TMPDIR says where it lies.

    :raises SourceNotFoundError: One of the paths does not exist.
    """
    directory = tempfile.mkdtemp(prefix="tracklog-")
    try:
        async with _made(os.path.join(directory, "shadow.db"), store, paths, progress) as one:
            yield one
    finally:
        await _remove(directory)


@contextlib.asynccontextmanager
async def _made(path: str, store: Store, paths: Sequence[str], progress: Progress | None) -> AsyncIterator[Shadow]:
    other = Store(path, store.host)
    files = Files(store.host, paths, keep=lambda _source: False, database=store.file)
    try:
        files.require()
        await other.prepare()
        # Before the files are read: a line before these positions is in the database, whatever is logged meanwhile.
        known = await store.checkpoints(files.inodes())
        await _read(files, known, other, progress)
        unreadable = files.unreadable | files.broken()
        yield Shadow(other, {one.source_id: one.position for one in known.values()}, unreadable)
    finally:
        files.close()
        await other.close()


async def _remove(directory: str) -> None:
    """Remove a directory, into which a thread of the driver may still write what was asked of it and given up."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while os.path.exists(directory):
        try:
            shutil.rmtree(directory)
        except OSError as error:
            if time.monotonic() > deadline:
                _log.warning("cannot remove %s: %s", directory, error.strerror or error)
                return
            await asyncio.sleep(_AGAIN_SECONDS)


async def _read(
    files: Files, known: Mapping[tuple[int, int], Checkpoint], other: Store, progress: Progress | None
) -> None:
    files.begin_again(known)
    read, left = 0, -1
    with contextlib.closing(Batches(files, other)) as batches:
        while files.left != left:  # Where too many files would be open, some after the others.
            left = files.left
            files.scan()
            while (batch := await batches.next())[0]:
                portions, folding = batch
                await batches.commit(portions, folding)
                _committed(files, portions)
                left = -1
                read += sum(portion.bytes_read for portion in portions)
                if progress is not None:
                    progress(Reading(read, read + files.bytes_behind()))
            torn = [
                portion
                for source in files
                if _is_torn(source, known) and (portion := files.read_torn(source)) is not None
            ]
            if torn:
                await other.commit(torn, Rows())
                _committed(files, torn)
            if not files.left:
                return


def _is_torn(source: Source, known: Mapping[tuple[int, int], Checkpoint]) -> bool:
    """Tell whether the end of a file was taken for torn; that its writer is gone is not found out a second time."""
    before = known.get(source.checkpoint.identity.locator)
    return (
        before is not None
        and before.source_id == source.checkpoint.source_id
        and before.position > source.checkpoint.position
    )


def _committed(files: Files, portions: Sequence[Portion]) -> None:
    for portion in portions:
        files.committed(portion)
