"""Fold on another core: what was read is given to a process, which tells what became of it, and writes what it says.

It holds no file, and of a database only what it is told to commit: where it dies, the same is done here, and nothing is
lost by that.
"""

import asyncio
import contextlib
import logging
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from tracklog.ingester import beside
from tracklog.ingester.batch import Piece, Tally, fold_pieces
from tracklog.ingester.commit import Database, Positions
from tracklog.ingester.fold import Rows, executions_of

_log = logging.getLogger("tracklog.ingester")

_IDLE_SECONDS: Final = 10.0
"""After so long without work the process ends, and gives its memory back."""

_ANSWER_SECONDS: Final = 60.0
"""A process that was stopped, or has no core for so long, is done without."""

_WRITE_SECONDS: Final = 150.0
"""One that writes waits for locks and for a server that hangs, as who asks it would: for a minute, perhaps twice."""

_WITHOUT_SECONDS: Final = 600.0
"""After so long another process is tried in the place of one that gave no answer."""

_PIPE_BYTES: Final = 1 << 20
"""What a pipe holds where that can be set: a reply waits in it while the database works."""


class Worker:
    """Folds beside the one who asks, as long as its process works; without it, in the process of who asks."""

    def __init__(self, database: Database | None) -> None:
        self._database = database
        """What the process is to write to; without it there is none."""
        self._process: subprocess.Popen[bytes] | None = None
        self._without_until = 0.0 if database is not None and _is_worth_it() else math.inf
        self._used_at = 0.0
        self._greeted: Future[bytes] = Future()
        self._threads()

    def _threads(self) -> None:
        """Have a thread that gives and one that takes: what was given and is not wanted any more is answered first."""
        self._giver = ThreadPoolExecutor(1, "tracklog-given")
        self._taker = ThreadPoolExecutor(1, "tracklog-taken")

    @property
    def is_ready(self) -> bool:
        """Tell whether there is a process, and it has started."""
        return self._process is not None and self._greeted.done()

    def is_process(self, process: "subprocess.Popen[bytes]") -> bool:
        """Tell whether it is still this process."""
        return self._process is process

    def start(self) -> None:
        """Start the process, if there is none yet; meanwhile some batches are folded here."""
        if self._process is None and self._database is not None and time.monotonic() >= self._without_until:
            try:
                self._process = _start()
                _give(self._process, self._database, ())
                self._greeted = self._taker.submit(_greeting, self._process)
            except (OSError, RuntimeError):  # No process can be made, or no thread.
                self.give_up()
            self._used_at = time.monotonic()

    def here(self, pieces: Sequence[Piece]) -> "Folding":
        """Have pieces folded in this process, when it is asked for."""
        return Folding(self, pieces)

    def begin(self, pieces: Sequence[Piece]) -> "Folding":
        """Have pieces folded while something else is done; of what is kept there only the last is."""
        asked = beside.Fold([(piece.source_id, piece.offset, len(piece.data)) for piece in pieces])
        return Folding(self, pieces, self._asked(asked, pieces), self._process)

    def put_in(self, apart: Set[str]) -> None:
        """Have as much as can be of what is kept put in before its turn."""
        if self._process is not None:
            with contextlib.suppress(RuntimeError):  # No thread can be made; then it is in its turn.
                _unheard(self._given(self._process, beside.Begin(apart)))

    def write(self, positions: Positions) -> "asyncio.Future[bytes] | None":
        """Have what is kept there committed; see `_asked`."""
        return self._asked(beside.Write(positions))

    def _asked(self, asked: beside.Fold | beside.Write, pieces: Sequence[Piece] = ()) -> "asyncio.Future[bytes] | None":
        """Ask the process something, and give what will be its answer; None, where it cannot be asked."""
        if self._process is None:
            return None
        self._used_at = time.monotonic()
        try:
            given = self._given(self._process, asked, pieces)
            reply = asyncio.get_running_loop().run_in_executor(self._taker, _answer, self._process)
        except RuntimeError:  # No thread can be made.
            self.give_up()
            return None
        _unheard(given)
        _unheard(reply)
        return reply

    def _given(
        self,
        process: "subprocess.Popen[bytes]",
        asked: beside.Fold | beside.Begin | beside.Write,
        pieces: Sequence[Piece] = (),
    ) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().run_in_executor(self._giver, _give, process, asked, pieces)

    def rest(self) -> None:
        """End the process if there was nothing to do for a while; it starts again when there is."""
        patience = _IDLE_SECONDS if self.is_ready else _ANSWER_SECONDS
        if self._process is not None and time.monotonic() - self._used_at > patience:
            self.close()

    def give_up(self) -> None:
        """Do without the process for some time."""
        self._without_until = time.monotonic() + _WITHOUT_SECONDS
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for thread in (self._giver, self._taker):
            thread.shutdown()  # Whoever waits for an answer has been told by now that none comes.
        self._greeted = Future()
        self._threads()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Folding:
    """Pieces that are being folded."""

    def __init__(
        self,
        worker: Worker,
        pieces: Sequence[Piece],
        folded: "asyncio.Future[bytes] | None" = None,
        keeper: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        self.worker = worker
        self._pieces = pieces
        self.executions: Set[str] = frozenset()
        """The executions that they are about, after the tallies."""
        self._folded = folded
        self._rows: asyncio.Future[bytes] | None = None
        """Both pickled, as far as they were asked for; None if they are to be made here."""
        self._keeper = keeper
        """The process that keeps the rows, to write them."""
        self._here: tuple[beside.Folded, Rows] | None = None

    @property
    def is_kept(self) -> bool:
        """Tell whether the rows are not here, but may be written where they are."""
        return self._here is None and self._keeper is not None and self.worker.is_process(self._keeper)

    async def tallies(self) -> list[Tally]:
        """Wait for what became of the lines of each piece."""
        folded: beside.Folded = await self._part(0, self._folded)
        self.executions = folded.executions
        return folded.tallies

    async def rows(self) -> Rows:
        """Give what all lines together add to the database, where it is not written by who keeps it."""
        rows: Rows = await self._part(1, self._rows)
        return rows

    def put_in(self, apart: Set[str]) -> None:
        """Have the rows that are kept put in before their turn, but of some executions; see `Worker.put_in`."""
        if self.is_kept:
            self.worker.put_in(apart)

    async def written(self, positions: Positions) -> bool | None:
        """Have the rows that are kept committed with some positions; where they are not, they are here afterwards.

        :returns: Whether they were; None, where the process ended before it said so.
        """
        self._keeper = None
        if (reply := self.worker.write(positions)) is None:
            return None  # It may have been told, and then given up, before a thread was to wait for its answer.
        try:
            if await self._answer(reply, _WRITE_SECONDS) is None:
                return True
        except _NoAnswerError:
            return None
        self._rows = reply
        return False

    async def _part(self, place: int, reply: "asyncio.Future[bytes] | None") -> Any:
        if self._here is None and reply is not None:
            with contextlib.suppress(_NoAnswerError):
                return await self._answer(reply, _ANSWER_SECONDS)
        if self._here is None:
            tallies, rows = fold_pieces(self._pieces)
            self._here = beside.Folded(tallies, executions_of(rows)), rows
        return self._here[place]

    async def _answer(self, reply: "asyncio.Future[bytes]", seconds: float) -> Any:
        try:
            if not (await asyncio.wait((reply,), timeout=seconds))[0]:
                raise TimeoutError
            return pickle.loads(reply.result())  # noqa: S301  # Of our own process.
        except (OSError, EOFError, ValueError, pickle.UnpicklingError, TimeoutError) as error:
            if self.worker.is_ready:
                _log.warning("the process that reads ahead does not answer; going on without it, at half the speed")
                self.worker.give_up()
            raise _NoAnswerError from error


class _NoAnswerError(Exception):
    """The process beside gives none; what it was asked for is done here."""


def _unheard(part: "asyncio.Future[Any]") -> None:
    """Let a part of the work end as it does, whether or not it is waited for."""
    part.add_done_callback(lambda done: done.cancelled() or done.exception())


def _is_worth_it() -> bool:
    """Tell whether there is another core, and an interpreter to be started; some programs only hold one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > 1 and os.path.basename(sys.executable or "").startswith("python")


def _start() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", f"from {beside.__name__} import main; main()", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # What goes wrong there goes wrong here again, and is told.
    )
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _give(
    process: "subprocess.Popen[bytes]",
    asked: Database | beside.Fold | beside.Begin | beside.Write,
    pieces: Sequence[Piece],
) -> None:
    assert process.stdin is not None
    beside.ask(process.stdin, asked, pieces)


def _greeting(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return beside.read(process.stdout, len(beside.GREETING))


def _answer(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return beside.read(process.stdout)
