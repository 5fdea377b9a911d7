"""Fold on another core: what was read is given to a process, which gives back what it says.

It holds no file and no database: where it dies, the same is folded here, and nothing is lost by that.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from tracklog.ingester import beside
from tracklog.ingester.batch import Piece, Tally, fold_pieces
from tracklog.ingester.fold import Rows

_log = logging.getLogger("tracklog.ingester")

_IDLE_SECONDS: Final = 10.0
"""After so long without work the process ends, and gives its memory back."""

_ANSWER_SECONDS: Final = 60.0
"""A process that was stopped, or has no core for so long, is done without."""

_PIPE_BYTES: Final = 1 << 20
"""What a pipe holds where that can be set: a reply waits in it while the database works."""


class Worker:
    """Folds beside the one who asks, as long as its process works; without it, in the process of who asks."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._broken = not _is_worth_it()
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

    def start(self) -> None:
        """Start the process, if there is none yet; meanwhile some batches are folded here."""
        if self._process is None and not self._broken:
            try:
                self._process = _start()
                self._greeted = self._taker.submit(_greeting, self._process)
            except (OSError, RuntimeError):  # No process can be made, or no thread.
                self.give_up()
            self._used_at = time.monotonic()

    def here(self, pieces: Sequence[Piece]) -> "Folding":
        """Have pieces folded in this process, when it is asked for."""
        return Folding(self, pieces, None)

    def begin(self, pieces: Sequence[Piece]) -> "Folding":
        """Have pieces folded while something else is done."""
        if self._process is None:
            return self.here(pieces)
        self._used_at = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            given = loop.run_in_executor(self._giver, _give, self._process, pieces)
            # What becomes of the lines comes first: by it the next ones are read, while the rows are on their way.
            tallies, rows = (loop.run_in_executor(self._taker, _answer, self._process) for _ in range(2))
        except RuntimeError:  # No thread can be made.
            self.give_up()
            return self.here(pieces)
        for part in (given, tallies, rows):  # Whether or not it is waited for.
            part.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Folding(self, pieces, (tallies, rows))

    def rest(self) -> None:
        """End the process if there was nothing to do for a while; it starts again when there is."""
        patience = _IDLE_SECONDS if self.is_ready else _ANSWER_SECONDS
        if self._process is not None and time.monotonic() - self._used_at > patience:
            self.close()

    def give_up(self) -> None:
        """Do without the process from now on."""
        self._broken = True
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
        self, worker: Worker, pieces: Sequence[Piece], reply: "tuple[asyncio.Future[bytes], ...] | None"
    ) -> None:
        self._worker = worker
        self._pieces = pieces
        self._reply = reply
        """The tallies and the rows, pickled; None if they are to be made here."""
        self._here: tuple[list[Tally], Rows] | None = None

    async def tallies(self) -> list[Tally]:
        """Wait for what became of the lines of each piece."""
        tallies: list[Tally] = await self._part(0)
        return tallies

    async def rows(self) -> Rows:
        """Wait, after the tallies, for what all lines together add to the database."""
        rows: Rows = await self._part(1)
        return rows

    async def _part(self, place: int) -> Any:
        if self._reply is not None and self._here is None:
            try:
                reply = self._reply[place]
                if not (await asyncio.wait((reply,), timeout=_ANSWER_SECONDS))[0]:
                    raise TimeoutError
                return pickle.loads(reply.result())  # noqa: S301  # Of our own process.
            except (OSError, EOFError, ValueError, pickle.UnpicklingError, TimeoutError):
                if self._worker.is_ready:
                    _log.warning("the process that reads ahead does not answer; going on without it, at half the speed")
                    self._worker.give_up()
        if self._here is None:
            self._here = fold_pieces(self._pieces)
        return self._here[place]


def _is_worth_it() -> bool:
    """Tell whether there is another core, and an interpreter to be started; some programs only hold one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > 1 and os.path.basename(sys.executable or "").startswith("python")


def _start() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", beside.__name__, str(os.getpid())],
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


def _give(process: "subprocess.Popen[bytes]", pieces: Sequence[Piece]) -> None:
    assert process.stdin is not None
    beside.ask(process.stdin, pieces)


def _greeting(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return beside.read(process.stdout, len(beside.GREETING))


def _answer(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return beside.read(process.stdout)
