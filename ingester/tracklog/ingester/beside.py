"""The process that folds for another; it loads little, so that it starts quickly and is small."""

import contextlib
import gc
import io
import os
import pickle
import select
import signal
import sys
from collections.abc import Sequence
from typing import IO, Final

from tracklog.ingester.batch import Piece, fold_pieces
from tracklog.ingester.fold import Rows

_LOOK_SECONDS: Final = 1.0
"""How often a process without work looks whether who asks is still there."""

_LENGTH_BYTES: Final = 8

GREETING: Final = b"!"
"""What it says when it has started."""

_OBJECTS: Final = 100_000
"""After so many new objects, rather than 700, Python looks for cycles, of which rows are none."""


def main() -> None:
    """Fold what comes in, until nothing comes any more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # To a whole group: they are for who asks, and it ends this one.
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(_OBJECTS)
    # Nothing is read before it is asked for: what waits in a buffer here would not be seen from outside.
    given = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), buffer_size=1)
    taken, asker = sys.stdout.buffer, int(sys.argv[1])
    with contextlib.suppress(EOFError, BrokenPipeError):
        taken.write(GREETING)
        taken.flush()
        while _is_asked(given, asker):
            asked = pickle.loads(read(given))  # noqa: S301  # From our own parent.
            # Each is read when its turn comes, while the ones behind it are still being handed over.
            pieces = (Piece(source_id, offset, read(given, length)) for source_id, offset, length in asked)
            tallies, rows = fold_pieces(pieces)
            _write(taken, pickle.dumps(tallies))
            taken.flush()
            _write(taken, _pickled(rows))
            taken.flush()


def ask(stream: IO[bytes], pieces: Sequence[Piece]) -> None:
    """Ask such a process what pieces say; it answers with their tallies, and then with their rows, each pickled.

    :raises OSError: It has ended.
    """
    _write(stream, pickle.dumps([(piece.source_id, piece.offset, len(piece.data)) for piece in pieces]))
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


def _pickled(rows: Rows) -> bytes:
    """Pickle rows without looking for what occurs twice: a third of the time, and hardly longer."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.fast = True
    pickler.dump(rows)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
