"""Read log files in blocks of whole lines, plain and compressed, and give the lines that are asked for."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tracklog.analytics.search.pattern import Block, Span
from tracklog.ingester.identify import HEAD_BYTES, Compression, compression_of, read_at
from tracklog.ingester.read import MAX_LINE_BYTES, Decompressed, open_file

_STEP_BYTES: Final = 1 << 20
"""A block fits into the cache of a processor's core, so that it is searched at the speed of that cache."""

_LONGEST: Final = 2 * MAX_LINE_BYTES
"""What is longer and has no newline is searched in pieces: memory is bounded whatever the file."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file."""

    path: str
    offset: int
    """Where it starts, in (decompressed) bytes."""
    number: int
    """From 1, as editors count."""
    text: bytes
    """Without its newline."""


def found_in(path: str, spans: Callable[[Block, int], Iterator[Span]], *, start: int = 0) -> Iterator[Line]:
    """Give the lines of a file that are asked for, with their numbers.

    :param start: A byte to begin at, of a plain file, where a line starts.
    :raises OSError: The file cannot be read.
    """
    descriptor = open_file(path)
    try:
        compression = compression_of(read_at(descriptor, 0, HEAD_BYTES))
        counter = _Counter(descriptor, plain=compression is None)
        for offset, block, length in _blocks(descriptor, compression, start):
            for begin, end in spans(block, length):
                number = counter.number(offset, block, begin)
                yield Line(path, offset + begin, number, bytes(block[begin:end]).removesuffix(b"\r"))
            counter.passed(offset, block, length)
    finally:
        os.close(descriptor)


def count_in(path: str, spans: Callable[[Block, int], Iterator[Span]]) -> int:
    """Count the lines of a file that are asked for.

    :raises OSError: The file cannot be read.
    """
    descriptor = open_file(path)
    try:
        compression = compression_of(read_at(descriptor, 0, HEAD_BYTES))
        return sum(sum(1 for _ in spans(block, length)) for _, block, length in _blocks(descriptor, compression, 0))
    finally:
        os.close(descriptor)


def _blocks(descriptor: int, compression: Compression | None, start: int) -> Iterator[tuple[int, bytearray, int]]:
    """Give blocks, each with its offset and how much of it counts; the next one is written over it."""
    if compression is None:
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(start)
            yield from _cut(lambda _offset, view: file.readinto(view) or 0, start)
        return
    stream = Decompressed(descriptor, compression)

    def fill(offset: int, view: memoryview) -> int:
        data = stream(offset, len(view))
        view[: len(data)] = data
        return len(data)

    try:
        yield from _cut(fill, 0)
    finally:
        stream.close()


def _cut(fill: Callable[[int, memoryview], int], offset: int) -> Iterator[tuple[int, bytearray, int]]:
    buffer = bytearray(_STEP_BYTES)
    held = 0
    while True:
        if held == len(buffer):
            buffer = buffer + bytearray(held)  # A line that is longer than a block.
        added = fill(offset + held, memoryview(buffer)[held:])
        if not added:
            break
        end = buffer.rfind(b"\n", held, held + added) + 1
        held += added
        if not end:
            if held < _LONGEST:
                continue
            end = held
        yield offset, buffer, end
        buffer[: held - end] = buffer[end:held]
        offset += end
        held -= end
    if held:
        yield offset, buffer, held


class _Counter:
    """Count lines, of a plain file only as far as something was found in it."""

    def __init__(self, descriptor: int, *, plain: bool) -> None:
        self._descriptor = descriptor
        self._plain = plain
        self._counted = 0
        self._number = 1

    def number(self, offset: int, block: Block, begin: int) -> int:
        """Give the number of the line that begins at `begin` of the block at `offset`."""
        while self._counted < offset:
            piece = read_at(self._descriptor, self._counted, min(_STEP_BYTES, offset - self._counted))
            if not piece:
                break  # It was cut meanwhile.
            self._add(piece, 0, len(piece))
        self._add(block, max(0, self._counted - offset), begin)
        return self._number

    def passed(self, offset: int, block: Block, length: int) -> None:
        """Note a block that was looked through."""
        if not self._plain:  # What was decompressed is not read again to count it.
            self._add(block, max(0, self._counted - offset), length)

    def _add(self, block: Block, begin: int, end: int) -> None:
        self._number += block.count(b"\n", begin, end)
        self._counted += end - begin
