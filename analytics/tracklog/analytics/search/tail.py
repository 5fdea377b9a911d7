"""Read the last lines of log files, and the lines that come to them."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tracklog.analytics.search.files import found_in
from tracklog.analytics.search.pattern import every_line
from tracklog.ingester.discover import Found
from tracklog.ingester.identify import HEAD_BYTES, compression_of, read_at
from tracklog.ingester.read import MAX_LINE_BYTES
from tracklog.ingester.sources import open_file

_STEP_BYTES: Final = 1 << 16

_MOST: Final = 10_000
"""Lines of a compressed file that are held, which cannot be read from its end."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file, up to where a whole line ends."""

    path: str
    end: int
    written_at: float
    """When the file was last written to, in seconds since the epoch."""


def backwards(part: Part) -> Iterator[bytes]:
    """Give the lines of a file from the last one on, without their newlines.

    A plain file is read backwards, no more of it than is asked for; of a compressed one the last 10,000 lines are
    given.

    :raises OSError: The file cannot be read.
    """
    descriptor = open_file(part.path)
    try:
        if compression_of(read_at(descriptor, 0, HEAD_BYTES)) is None:
            yield from _backwards(descriptor, part.end)
        else:
            last = deque((line.text for line in found_in(part.path, every_line)), maxlen=_MOST)
            yield from reversed(last)
    finally:
        os.close(descriptor)


def _backwards(descriptor: int, place: int) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    while place > 0:
        step = min(place, _STEP_BYTES)
        place -= step
        begun, *lines = read_at(descriptor, place, step).split(b"\n")
        if lines:
            lines[-1] += b"".join(reversed(held))
            yield from (text for line in reversed(lines) if (text := line.strip(b"\x00\r")))
            held, size = [], 0
        held.append(begun)
        size += len(begun)
        if size > MAX_LINE_BYTES:
            return  # No log line; and memory is bounded.
    if text := b"".join(reversed(held)).strip(b"\x00\r"):
        yield text


@dataclass(slots=True)
class Follower:
    """Give what is appended to plain log files, also to new ones, through rotation and truncation."""

    scan: Callable[[], Iterator[Found]]
    on_error: Callable[[str, OSError], None]
    _read: dict[tuple[int, int], int] = field(default_factory=dict)
    """How far each file was read, by device and inode."""
    _dismissed: set[tuple[int, int]] = field(default_factory=set)
    """Files that are compressed, and so were written before."""

    def start(self) -> list[Part]:
        """Begin at the present end of each file; gives what is in front of it, the file last written to first."""
        parts = []
        for found in self.scan():
            end = self._last_end(found)
            self._read[found.status.st_dev, found.status.st_ino] = end
            parts.append(Part(found.path, end, found.status.st_mtime))
        return sorted(parts, key=lambda part: -part.written_at)

    def new_lines(self) -> Iterator[tuple[str, bytes]]:
        """Give the lines that have come since, each with its file's path."""
        here = set()
        for found in self.scan():
            file = found.status.st_dev, found.status.st_ino
            here.add(file)
            read = self._read.setdefault(file, 0)
            if found.status.st_size < read:
                read = self._read[file] = 0  # It was cut, and begins anew.
            if found.status.st_size > read and file not in self._dismissed:
                try:
                    for line in self._grown(found, file, read):
                        yield found.path, line
                except OSError as error:
                    self.on_error(found.path, error)
        for gone in self._read.keys() - here:
            del self._read[gone]
            self._dismissed.discard(gone)

    def _grown(self, found: Found, file: tuple[int, int], read: int) -> Iterator[bytes]:
        descriptor = open_file(found.path)
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != file:
                return  # It was renamed since; the next scan finds it.
            if read == 0 and compression_of(read_at(descriptor, 0, HEAD_BYTES)) is not None:
                self._dismissed.add(file)
                return
            held = b""
            while piece := read_at(descriptor, read + len(held), _STEP_BYTES):
                *lines, held = (held + piece).split(b"\n")
                read += sum(len(line) + 1 for line in lines)
                if len(held) > MAX_LINE_BYTES:
                    read, held = read + len(held), b""
                self._read[file] = read
                yield from (text for line in lines if (text := line.strip(b"\x00\r")))
        finally:
            os.close(descriptor)

    def _last_end(self, found: Found) -> int:
        """Give where the last whole line of a file ends."""
        try:
            descriptor = open_file(found.path)
        except OSError as error:
            self.on_error(found.path, error)
            return found.status.st_size
        try:
            if compression_of(read_at(descriptor, 0, HEAD_BYTES)) is not None:
                self._dismissed.add((found.status.st_dev, found.status.st_ino))
            place = os.fstat(descriptor).st_size
            while place > 0:
                step = min(place, _STEP_BYTES)
                newline = read_at(descriptor, place - step, step).rfind(b"\n")
                if newline >= 0:
                    return place - step + newline + 1
                place -= step
            return 0
        finally:
            os.close(descriptor)
