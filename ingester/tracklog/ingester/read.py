"""From a file and a position to whole lines, holding no more than a batch of them."""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import IO, Any, Final

from tracklog.ingester.identify import HEAD_BYTES, Compression, compression_of, read_at

MAX_LINE_BYTES: Final = 16 << 20
"""A longer line is passed over; twice what a writer of ours writes."""

_STEP_BYTES: Final = 1 << 18
"""How much is read at once in search of a newline."""

_MOST_ZEROS: Final = 1 << 28
"""So many zeros are looked through at once, and not taken for room that is going to be written over."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit, as far as it was seen."""

    offset: int
    length: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one read gave: whole lines, and where to go on."""

    start: int
    """The offset of the data."""
    data: bytes
    """Lines with their newlines; the last line of a compressed file may have none."""
    position: int
    """Just after the last newline; or, inside a line over the limit, after what was passed over."""
    skipping: bool
    """Whether the position is inside a line over the limit."""
    too_long: TooLong | None
    at_end: bool
    """Whether there is nothing more to read now but perhaps a line without its newline."""

    @property
    def lines(self) -> list[tuple[int, bytes]]:
        """Give the lines, see `split`."""
        return list(split(self.start, self.data))


def split(start: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    r"""Split data that begins at an offset into (offset, line without its newline), but for lines without any byte.

    >>> list(split(10, b"one\n\n\x00two\n"))
    [(10, b'one'), (16, b'two')]
    """
    for line in io.BytesIO(data):  # It leaps to the newlines, where `split` looks at each byte.
        text = line.rstrip(b"\n")
        if text[:1] > b"\x00":
            yield start, text
        elif rest := text.lstrip(b"\x00"):
            yield start + len(text) - len(rest), rest
        start += len(line)


Fetch = Callable[[int, int], bytes]
"""(offset, length) -> at most that many bytes from there; b"" at the end."""


def read_lines(fetch: Fetch, position: int, limit: int, *, skipping: bool = False) -> Chunk:
    """Read whole lines from `position` on until about `limit` bytes are held.

    >>> data = b"one\\ntwo\\nthr"
    >>> chunk = read_lines(lambda offset, length: data[offset:offset + length], 0, 100)
    >>> chunk.lines, chunk.position, chunk.at_end
    ([(0, b'one'), (4, b'two')], 8, True)
    """
    if skipping:
        return _skip(fetch, position)
    pieces: list[bytes] = []
    held = zeros = 0
    newline = -1
    at_end = False
    while True:
        piece = fetch(position + zeros + held, _STEP_BYTES)
        if not piece:
            at_end = True
            break
        if not pieces:
            # A file that was truncated below its writer begins with a hole, of any size.
            text = piece.lstrip(b"\x00")
            zeros += len(piece) - len(text)
            if not text:
                if zeros > _MOST_ZEROS:
                    return Chunk(position, b"", position + zeros, False, None, False)
                continue
            piece = text
        place = piece.rfind(b"\n")
        if place >= 0:
            newline = held + place
        pieces.append(piece)
        held += len(piece)
        if held >= limit and newline >= 0:
            break
        if newline < 0 and held > MAX_LINE_BYTES:
            position += zeros
            return Chunk(position, b"", position + held, True, TooLong(position, held, pieces[0]), False)
    if pieces:  # Zeros at the end may yet be written over.
        position += zeros
    data = b"".join(pieces)
    return Chunk(position, data[: newline + 1], position + newline + 1, False, None, at_end)


def _skip(fetch: Fetch, position: int) -> Chunk:
    """Pass over what is left of a line over the limit, a bounded stretch at a time."""
    passed = 0
    while passed < MAX_LINE_BYTES:
        piece = fetch(position + passed, _STEP_BYTES)
        if not piece:
            return Chunk(position, b"", position + passed, True, None, True)
        place = piece.find(b"\n")
        if place >= 0:
            return Chunk(position, b"", position + passed + place + 1, False, None, False)
        passed += len(piece)
    return Chunk(position, b"", position + passed, True, None, False)


def open_file(path: str) -> int:
    """Open a file to read it; what was replaced by a link since it was found is refused, and a pipe does not block."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)


def plain(descriptor: int) -> Fetch:
    """Read a file as it is."""
    return lambda offset, length: read_at(descriptor, offset, length)


class Decompressed:
    """Read a compressed file by decompressed offsets, onward; going back starts again from its beginning."""

    def __init__(self, descriptor: int, compression: Compression) -> None:
        self._descriptor = descriptor
        self._compression = compression
        self._file: IO[bytes] | None = None
        self._stream: Any = None
        self._offset = 0
        self._ahead = b""
        self._size = 0
        self._at_end = False
        self.is_broken = False
        """Whether the stream has no end, or something that is none of it: it is being written, or was damaged."""

    def __call__(self, offset: int, length: int) -> bytes:
        """Give up to `length` decompressed bytes; b"" at the end, or where the file is not written to its end yet."""
        grown = self._at_end and os.fstat(self._descriptor).st_size != self._size
        if self._stream is None or offset < self._offset or grown:
            self._open()
        self._forward(offset)
        data = self._ahead[:length] if self._ahead else self._read(length)
        self._ahead = data  # What was read and not taken is asked for again.
        return data

    def with_last_line(self, chunk: Chunk) -> Chunk:
        """Take what follows the last newline for a line, where the stream has come to its own end."""
        start, rest = chunk.position, b""
        while not chunk.skipping and (piece := self(start + len(rest), _STEP_BYTES)):
            text = piece if rest else piece.lstrip(b"\x00")
            start += len(piece) - len(text)
            rest += text
        if self.is_broken:
            return chunk
        if not chunk.data:
            return replace(chunk, start=start, data=rest, position=start + len(rest))
        if start > chunk.position:  # Zeros between: the line is read by itself.
            return replace(chunk, at_end=not rest, position=chunk.position if rest else start)
        return replace(chunk, data=chunk.data + rest, position=start + len(rest))

    def _open(self) -> None:
        self.close()
        self.is_broken = False
        self._size = os.fstat(self._descriptor).st_size
        file = self._file = os.fdopen(os.dup(self._descriptor), "rb")
        file.seek(0)
        if self._compression is Compression.GZIP:
            self._stream = gzip.GzipFile(fileobj=file, mode="rb")
        else:
            import zstandard  # It takes long to import, and few files need it.

            decompressor = zstandard.ZstdDecompressor()
            self._stream = decompressor.stream_reader(file, read_across_frames=True)
        self._offset = 0
        self._ahead = b""

    def _forward(self, offset: int) -> None:
        while self._offset < offset:
            if not self._ahead:
                self._ahead = self._read(min(offset - self._offset, _STEP_BYTES))
                if not self._ahead:
                    return
            taken = min(offset - self._offset, len(self._ahead))
            self._offset += taken
            self._ahead = self._ahead[taken:]

    def _read(self, length: int) -> bytes:
        try:
            # read1 gives what there is before it tells that the rest is missing; read would lose it.
            data = bytes(self._stream.read1(length))
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return self._break()
        except Exception as error:
            if self._compression is not Compression.ZSTD or not _is_of_zstd(error):
                raise
            return self._break()
        self._at_end = not data
        if self._at_end and self._compression is Compression.ZSTD and not is_whole_zstd(self._descriptor):
            return self._break()  # Of which zstandard tells nothing.
        return data

    def _break(self) -> bytes:
        self.is_broken = True
        self.close()  # What came before it was read, the rest may come.
        return b""

    def close(self) -> None:
        """Let go of the decompressor."""
        for file in (self._stream, self._file):
            if file is not None:
                file.close()
        self._stream = self._file = None
        self._ahead = b""
        self._offset = 0
        self._at_end = False


def _is_of_zstd(error: Exception) -> bool:
    import zstandard

    return isinstance(error, zstandard.ZstdError)


def is_whole_zstd(descriptor: int) -> bool:
    """Tell whether a file ends where a zstd frame does, see RFC 8878, 3.1."""
    import zstandard

    place, size = 0, os.fstat(descriptor).st_size
    while place < size:
        header = read_at(descriptor, place, _ZSTD_HEADER_BYTES)
        if header[1:4] == b"\x2a\x4d\x18" and header[0] >> 4 == 5 and len(header) >= 8:
            place += 8 + int.from_bytes(header[4:8], "little")  # A frame to be skipped.
            continue
        try:
            place += zstandard.frame_header_size(header)
        except zstandard.ZstdError:
            return False
        last = False
        while not last:
            block = int.from_bytes(read_at(descriptor, place, 3).ljust(3, b"\x00"), "little")
            last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
            place += 3 + (1 if kind == _REPEATED_BYTE else length)
            if place > size:
                return False
        place += 4 if header[4] & _HAS_CHECKSUM else 0
    return place == size


_ZSTD_HEADER_BYTES: Final = 18
_REPEATED_BYTE: Final = 1
_HAS_CHECKSUM: Final = 4


@contextlib.contextmanager
def reading(path: str) -> Iterator[Fetch]:
    """Open a file to read from it at any place.

    :raises OSError: The file cannot be read.
    """
    descriptor = open_file(path)
    try:
        compression = compression_of(read_at(descriptor, 0, HEAD_BYTES))
        if compression is None:
            yield plain(descriptor)
        else:
            with contextlib.closing(Decompressed(descriptor, compression)) as decompressed:
                yield decompressed
    finally:
        os.close(descriptor)
