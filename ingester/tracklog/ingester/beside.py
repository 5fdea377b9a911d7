"""The process that folds for another, and writes to SQLite for it; it loads little, to start quickly and be small."""

import contextlib
import functools
import gc
import io
import os
import pickle
import select
import signal
import sys
from collections.abc import Sequence
from typing import IO, Final, NamedTuple

from tracklog.ingester import sqlite
from tracklog.ingester.batch import Piece, Tally, fold_pieces
from tracklog.ingester.commit import Positions, commit
from tracklog.ingester.fold import Rows

_LOOK_SECONDS: Final = 1.0
"""How often a process without work looks whether who asks is still there."""

_LENGTH_BYTES: Final = 8

GREETING: Final = b"!"
"""What it says when it has started."""

_OBJECTS: Final = 100_000
"""After so many new objects, rather than 700, Python looks for cycles, of which rows are none."""


class Fold(NamedTuple):
    """Asks for pieces to be folded: what they say is answered by their tallies, and then by their rows."""

    pieces: Sequence[tuple[str, int, int]]
    """The source, offset and length of each; their data follow."""
    keeps: bool
    """Whether the rows are kept instead, until they are to be written."""


class Write(NamedTuple):
    """Asks for the rows that are kept to be committed; answered by None, or where that fails by the rows."""

    database: str
    patience: float
    """How long to wait for another writer, in seconds."""
    positions: Positions


def main() -> None:
    """Do what is asked, until nothing comes any more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # To a whole group: they are for who asks, and it ends this one.
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(_OBJECTS)
    # Nothing is read before it is asked for: what waits in a buffer here would not be seen from outside.
    given = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), buffer_size=1)
    taken, asker = sys.stdout.buffer, int(sys.argv[1])
    rows = Rows()
    with contextlib.suppress(EOFError, BrokenPipeError):
        taken.write(GREETING)
        taken.flush()
        while _is_asked(given, asker):
            asked = pickle.loads(read(given))  # noqa: S301  # From our own parent.
            if isinstance(asked, Fold):
                tallies, rows = _fold(given, asked)
                _answer(taken, pickle.dumps(tallies))
                if asked.keeps:
                    continue
                answer = _pickled(rows)
            else:
                answer = _pickled(None if _is_written(asked, rows) else rows)
            rows = Rows()
            _answer(taken, answer)


def ask(stream: IO[bytes], asked: Fold | Write, pieces: Sequence[Piece] = ()) -> None:
    """Ask such a process something; it answers in the order in which it was asked.

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


def _is_written(asked: Write, rows: Rows) -> bool:
    try:
        with sqlite.transaction(_connected(asked.database, asked.patience)) as transaction:
            sqlite.done(commit(transaction, asked.positions, rows))
    except Exception:  # noqa: BLE001 -- whoever asks finds out why, by doing the same.
        return False
    return True


_connected: Final = functools.cache(sqlite.connect)


def _answer(taken: IO[bytes], data: bytes) -> None:
    _write(taken, data)
    taken.flush()


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(data)


def _is_asked(given: IO[bytes], asker: int) -> bool:
    """Wait for work; False when who asks has died, of which the pipe tells nothing while a fork of it holds the end."""
    if sys.platform != "win32":
        while not select.select([given], [], [], _LOOK_SECONDS)[0]:
            if os.getppid() != asker:
                return False
    return True


def _pickled(rows: Rows | None) -> bytes:
    """Pickle rows without looking for what occurs twice: a third of the time, and hardly longer."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.fast = True
    pickler.dump(rows)
    return buffer.getvalue()
