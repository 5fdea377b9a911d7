"""Batches, one after the other: the next ones are read and folded while the database takes the one before."""

from collections import deque
from typing import Final

from tracklog.ingester.files import Files
from tracklog.ingester.fold import Rows
from tracklog.ingester.sources import Portion
from tracklog.ingester.worker import Folding, Worker

_DEPTH: Final = 2
"""How many batches are ahead: one is folded, and one waits, so that neither side waits for the other."""


class Batches:
    """What there is to read in some files, in batches of what one transaction holds."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._worker = Worker()
        self._ahead: deque[tuple[list[Portion], Folding]] = deque()
        self._is_behind = False
        """Whether there was more to read after the last batch."""

    async def next(self) -> tuple[list[Portion], Rows]:
        """Give the next batch, which is to be committed before the one after it; empty when nothing is left to read."""
        while True:
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
            self._look_ahead()
            if portions or not self._ahead:
                return portions, await folding.rows()

    def _take(self) -> tuple[list[Portion], Folding]:
        taken, self._is_behind = self._files.take()
        if self._is_behind:  # What comes as it is written needs no process beside.
            self._worker.start()
        return taken, self._worker.here([portion.piece for portion in taken])

    def _look_ahead(self) -> None:
        while self._is_behind and self._worker.is_ready and len(self._ahead) < _DEPTH:
            taken, self._is_behind = self._files.take()
            if not taken:  # There may be more when what was taken is noted.
                return
            self._ahead.append((taken, self._worker.begin([portion.piece for portion in taken])))

    def drop(self) -> None:
        """Forget what was read ahead: the files go back to where the last batch ended, or before."""
        self._ahead.clear()
        self._files.take_back()

    def rest(self) -> None:
        """Give back what a backlog needed, if it has been over for a while."""
        if not self._ahead:
            self._worker.rest()

    def close(self) -> None:
        """End what goes on beside."""
        self._ahead.clear()
        self._worker.close()
