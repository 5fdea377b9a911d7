"""The process that folds for another, and writes what it folded; it loads little, to start quickly and be small."""

import contextlib
import gc
import io
import os
import pickle
import select
import signal
import sys
from collections.abc import Callable, Sequence, Set
from typing import IO, Any, Final, NamedTuple

from tracklog.ingester.batch import Piece, Tally, fold_pieces
from tracklog.ingester.commit import Database, Positions, begin, commit
from tracklog.ingester.fold import Rows, executions_of

_LOOK_SECONDS: Final = 1.0
"""How often a process without work looks whether who asks is still there; so long it keeps what it has begun."""

_LENGTH_BYTES: Final = 8

_IN_TURN: Final = 16
"""Where another ingester brings the same, or is waited for, so many batches are not begun before their turn."""

GREETING: Final = b"!"
"""What it says when it has started."""

_OBJECTS: Final = 100_000
"""After so many new objects, rather than 700, Python looks for cycles, of which rows are none."""


class Fold(NamedTuple):
    """Asks for pieces to be folded: answered by `Folded`, and the rows are kept until they are to be written."""

    pieces: Sequence[tuple[str, int, int]]
    """The source, offset and length of each; their data follow."""


class Folded(NamedTuple):
    """What became of the lines of each piece, and which executions they are about."""

    tallies: list[Tally]
    executions: frozenset[str]


class Begin(NamedTuple):
    """Asks for as much as can be to be put in before its turn, of the rows that are kept; not answered."""

    apart: Set[str]
    """The executions that the batch is about whose turn it is."""


class Write(NamedTuple):
    """Asks for the rows that are kept to be committed; answered by None, or where that fails by the rows."""

    positions: Positions


def main() -> None:
    """Do what is asked, until nothing comes any more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # To a whole group: they are for who asks, and it ends this one.
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(_OBJECTS)
    # Nothing is read before it is asked for: what waits in a buffer here would not be seen from outside.
    given = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), buffer_size=1)
    taken, asker = sys.stdout.buffer, int(sys.argv[1])
    with contextlib.suppress(EOFError, BrokenPipeError):
        if not _is_asked(given, asker):
            return
        writer, rows = Writer(_asked(given)), Rows()
        taken.write(GREETING)
        taken.flush()
        while _is_asked(given, asker, writer.take_back):
            asked = _asked(given)
            if isinstance(asked, Fold):
                writer.take_back()
                tallies, rows = _fold(given, asked)
                _answer(taken, pickle.dumps(Folded(tallies, executions_of(rows))))
            elif isinstance(asked, Begin):
                writer.begin(asked, rows)
            else:
                _answer(taken, _pickled(None if writer.is_written(asked, rows) else rows))
                rows = Rows()  # After the answer: somebody waits for that, and thousands of rows take a while to free.


def ask(stream: IO[bytes], asked: Database | Fold | Begin | Write, pieces: Sequence[Piece] = ()) -> None:
    """Ask such a process something; it answers in the order in which it was asked, and greets when it has a database.

    :raises OSError: It has ended.
    """
    _write(stream, pickle.dumps(asked))
    for piece in pieces:
        stream.write(piece.data)
    stream.flush()


def read(stream: IO[bytes], length: int | None = None) -> bytes:
    """Read so many bytes, or what the other side wrote as one.

    :raises EOFError: The other side has ended.
    """
    if length is None:
        length = int.from_bytes(read(stream, _LENGTH_BYTES), "big")
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the other side has ended")
    return data


def _fold(given: IO[bytes], asked: Fold) -> tuple[list[Tally], Rows]:
    # Each is read when its turn comes, while the ones behind it are still being handed over.
    return fold_pieces(Piece(source_id, offset, read(given, length)) for source_id, offset, length in asked.pieces)


class Writer:
    """Writes to a database, and remembers what that was like."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._repeating = False
        self._begun: set[str] = set()
        self._in_turn = 0
        """So many batches are not begun before their turn, as somebody was in the way."""

    def begin(self, asked: Begin, rows: Rows) -> None:
        """Put in what can be of some rows; what cannot, is in its turn."""
        if self._in_turn or self._repeating:  # Where lines repeat, most of it would be there.
            self._in_turn = max(0, self._in_turn - 1)
            return
        try:
            self._begun = self._database.begin(lambda transaction: begin(transaction, rows, asked.apart))
        except Exception:  # noqa: BLE001 -- in its turn it is tried again.
            self._in_turn = _IN_TURN

    def take_back(self) -> None:
        """Let go of what was begun: its turn did not come, or not for long."""
        if self._begun:
            self._begun, self._in_turn = set(), _IN_TURN
        self._database.take_back()

    def is_written(self, asked: Write, rows: Rows) -> bool:
        """Commit some rows, and tell whether they were."""
        begun, self._begun = self._begun, set()
        try:
            self._repeating = self._database.write(
                lambda transaction: commit(transaction, asked.positions, rows, repeating=self._repeating, begun=begun)
            )
        except Exception:  # noqa: BLE001 -- whoever asks finds out why, by doing the same.
            self._in_turn = _IN_TURN
            return False
        return True


def _asked(given: IO[bytes]) -> Any:
    return pickle.loads(read(given))  # noqa: S301  # From our own parent.


def _answer(taken: IO[bytes], data: bytes) -> None:
    _write(taken, data)
    taken.flush()


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(data)


def _is_asked(given: IO[bytes], asker: int, idle: Callable[[], None] = lambda: None) -> bool:
    """Wait for work; False when who asks has died, of which the pipe tells nothing while a fork of it holds the end."""
    if sys.platform != "win32":
        while not select.select([given], [], [], _LOOK_SECONDS)[0]:
            if os.getppid() != asker:
                return False
            idle()
    return True


def _pickled(rows: Rows | None) -> bytes:
    """Pickle rows without looking for what occurs twice: a third of the time, and hardly longer."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.fast = True
    pickler.dump(rows)
    return buffer.getvalue()
