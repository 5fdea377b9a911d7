"""Batches, one after the other: the next one is read and folded while the database takes the one before."""

import asyncio

from tracklog.ingester.files import Files
from tracklog.ingester.fold import Rows
from tracklog.ingester.sources import Portion
from tracklog.ingester.worker import Folding, Worker


class Batches:
    """What there is to read in some files, in batches of what one transaction holds."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._worker = Worker()
        self._ahead: tuple[list[Portion], bool, Folding] | None = None

    async def next(self) -> tuple[list[Portion], Rows]:
        """Give the next batch, which is to be committed before the one after it; empty when nothing is left to read."""
        if self._ahead is None:
            taken, is_behind = self._files.take()
            if is_behind:  # What comes as it is written needs no process beside.
                self._worker.start()
            folding = self._worker.here([portion.piece for portion in taken])
        else:
            (taken, is_behind, folding), self._ahead = self._ahead, None
        portions = self._files.note(taken, await folding.tallies())
        if is_behind:
            more, is_behind = self._files.take()
            self._ahead = more, is_behind, self._worker.begin([portion.piece for portion in more])
            await asyncio.sleep(0)  # It is handed over before anything else is done.
        return portions, await folding.rows()

    def drop(self) -> None:
        """Forget what was read ahead: the files go back to where the last batch ended, or before."""
        self._ahead = None

    def rest(self) -> None:
        """Give back what a backlog needed, if it has been over for a while."""
        if self._ahead is None:
            self._worker.rest()

    def close(self) -> None:
        """End what goes on beside."""
        self._ahead = None
        self._worker.close()
