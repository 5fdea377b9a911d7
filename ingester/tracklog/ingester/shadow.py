"""A second database, made of the files alone: `verify` compares with it, `rebuild` takes it over."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from tracklog.ingester.ahead import Batches
from tracklog.ingester.files import Files
from tracklog.ingester.fold import Rows
from tracklog.ingester.sources import Checkpoint, Portion
from tracklog.ingester.store import Store


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the files are read."""

    bytes_read: int
    bytes_total: int


Progress = Callable[[Reading], None]


@contextlib.asynccontextmanager
async def shadow(store: Store, paths: Sequence[str], progress: Progress | None = None) -> AsyncIterator[Store]:
    """Read all files below some paths from their beginning into a temporary SQLite database.

    What the database knows of each file decides only which content of it is meant. No verdicts are given. The temporary
    file is about as large as the database will be; TMPDIR says where it lies.

    :raises SourceNotFoundError: One of the paths does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="tracklog-") as directory:
        other = Store(os.path.join(directory, "shadow.db"), store.host)
        files = Files(store.host, paths, keep=lambda _source: False, database=store.file)
        try:
            files.require()
            await other.prepare()
            await _read(files, await store.checkpoints(), other, progress)
            yield other
        finally:
            files.close()
            await other.close()


async def _read(
    files: Files, known: Mapping[tuple[int, int], Checkpoint], other: Store, progress: Progress | None
) -> None:
    files.rewind(known)
    files.scan()
    files.begin_again()
    read = 0
    with contextlib.closing(Batches(files)) as batches:
        while True:
            portions, rows = await batches.next()
            if not portions:
                break
            await _commit(files, other, portions, rows)
            read += sum(portion.bytes_read for portion in portions)
            if progress is not None:
                progress(Reading(read, read + files.bytes_behind()))
    # A torn end was taken for one when its writer was found gone; that is not found out again.
    torn = []
    for source in files:
        before = known.get(source.checkpoint.identity.locator)
        if (
            before is not None
            and before.source_id == source.checkpoint.source_id
            and before.position > source.checkpoint.position
            and (portion := source.read_torn()) is not None
        ):
            torn.append(portion)
    if torn:
        await _commit(files, other, torn, Rows())


async def _commit(files: Files, other: Store, portions: Sequence[Portion], rows: Rows) -> None:
    await other.commit(portions, rows)
    for portion in portions:
        files.committed(portion)
