"""Batches, one after the other: the next ones are read and folded while the database takes the one before.

Two processes beside take turns: each folds a batch while the other writes the one before, so that no rows go from one
process to another.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from tracklog.ingester import sqlite
from tracklog.ingester.files import Files
from tracklog.ingester.sources import Portion
from tracklog.ingester.store import Store
from tracklog.ingester.worker import Folding, Worker

_DEPTH: Final = 2
"""How many processes there are, and batches ahead: one is folded, and one waits or is written."""

_COPIED_BYTES: Final = 16 << 20
"""After so many bytes of lines the WAL is copied: a few batches, whose pages are written over in it."""


class Batches:
    """What there is to read in some files, in batches of what one transaction holds."""

    def __init__(self, files: Files, store: Store) -> None:
        self._files = files
        self._store = store
        self._workers = [Worker(store.beside()) for _ in range(_DEPTH)]
        self._ahead: deque[tuple[list[Portion], Folding]] = deque()
        self._is_behind = False
        """Whether there was more to read after the last batch."""
        self._uncopied = 0
        """Bytes of lines that processes wrote since the WAL was last copied."""
        self._copying: asyncio.Future[None] | None = None

    async def next(self) -> tuple[list[Portion], Folding]:
        """Give the next batch, which is to be committed before the one after it; empty when nothing is left to read."""
        while True:
            if not self._ahead:
                self._look_ahead()  # A process may have come.
            if not self._ahead:
                self._ahead.append(self._take())
            taken, folding = self._ahead[0]
            tallies = await folding.tallies()
            self._ahead.popleft()
            if not all(portion.source.is_next(portion) for portion in taken):
                # A file was closed meanwhile, or a line was split where this begins.
                self.drop()
                continue
            portions = self._files.note(taken, tallies)
            if not (portions and folding.is_kept):  # Else it is told to write before it is asked to fold the next one.
                self._look_ahead()
            if portions or not self._ahead:
                return portions, folding

    async def commit(self, portions: Sequence[Portion], folding: Folding) -> None:
        """Commit a batch, here or by the process that keeps its rows; see `Store.commit`."""
        if not folding.is_kept or not await self._written(portions, folding):
            await self._store.commit(portions, await folding.rows())

    async def _written(self, portions: Sequence[Portion], folding: Folding) -> bool:
        """Have the rows of a batch committed where they are kept, while the next ones are read."""
        positions = self._store.positions(portions)
        writing = asyncio.create_task(folding.written(positions))
        try:
            await asyncio.sleep(0)  # Now it is told.
            self._look_ahead()
            if self._ahead:
                self._ahead[0][1].put_in(folding.executions)
        finally:
            is_written = await writing
        self._copy_wal(sum(len(portion.piece.data) for portion in portions))
        # Of one that gave no answer, and has ended by now, the database tells.
        return await self._store.holds(positions) if is_written is None else is_written

    def _copy_wal(self, written: int) -> None:
        """Have the WAL copied now and then while others write: they would wait for the disk."""
        self._uncopied += written
        path = self._store.file
        if path and self._uncopied >= _COPIED_BYTES and (self._copying is None or self._copying.done()):
            self._uncopied = 0
            self._copying = asyncio.get_running_loop().run_in_executor(None, sqlite.checkpoint, path)

    def _take(self) -> tuple[list[Portion], Folding]:
        taken, self._is_behind = self._files.take()
        if self._is_behind:  # What comes as it is written needs no process beside.
            for worker in self._workers:
                worker.start()
        return taken, self._workers[0].here([portion.piece for portion in taken])

    def _look_ahead(self) -> None:
        """Take what comes next, as far as there is a process to fold it meanwhile."""
        while self._is_behind and len(self._ahead) < _DEPTH:
            busy = {folding.worker for _, folding in self._ahead if folding.is_kept}
            free = next((worker for worker in self._workers if worker.is_ready and worker not in busy), None)
            if free is None:
                return
            taken, self._is_behind = self._files.take()
            if not taken:  # There may be more when what was taken is noted.
                return
            self._ahead.append((taken, free.begin([portion.piece for portion in taken])))

    def drop(self) -> None:
        """Forget what was read ahead: the files go back to where the last batch ended, or before."""
        self._ahead.clear()
        self._files.take_back()

    def rest(self) -> None:
        """Give back what a backlog needed, if it has been over for a while."""
        if not self._ahead:
            for worker in self._workers:
                worker.rest()

    def close(self) -> None:
        """End what goes on beside."""
        self._ahead.clear()
        for worker in self._workers:
            worker.close()
