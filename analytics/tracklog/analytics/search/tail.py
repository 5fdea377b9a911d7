"""Read the last lines of log files, and the lines that come to them."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tracklog.analytics.search.files import found_in
from tracklog.analytics.search.pattern import every_line
from tracklog.ingester.discover import Found
from tracklog.ingester.identify import HEAD_BYTES, TAIL_BYTES, compression_of, digest, read_at
from tracklog.ingester.read import MAX_LINE_BYTES, open_file

_STEP_BYTES: Final = 1 << 16

_MOST: Final = 10_000
"""Lines of a compressed file that are held, which cannot be read from its end."""

_REMEMBERED: Final = 10_000
"""Files of which it is known how far they were read, after they were cut or are gone: some hundred bytes each."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file, up to where a whole line ends."""

    path: str
    end: int
    written_at: float
    """When the file was last written to, in seconds since the epoch."""
    is_compressed: bool = False


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
class _File:
    """What was read of a file."""

    read: int = 0
    """Up to where its lines were given."""
    marks: str = ""
    """What was there then; see `_marks`."""
    given: int = 0
    """Up to where its lines had been given before it was there: of a copy, those of the other file."""
    given_marks: str = ""
    is_compared: bool = False
    """Whether it is known to be a copy, or none."""
    size: int = 0
    looked: tuple[int, int] = (0, 0)
    """Its size and its time, in nanoseconds, when it was last looked into."""
    is_compressed: bool = False
    """It was written before."""
    is_unreadable: bool = False
    """It could not be read when it was last tried, which was told."""


@dataclass(slots=True)
class Follower:
    """Give what is appended to plain log files, also to new ones, through rotation and truncation."""

    scan: Callable[[], Iterator[Found]]
    on_error: Callable[[str, OSError], None]
    scan_seconds: float = 0.0
    """How long it took to look which files there are."""
    _files: dict[tuple[int, int], _File] = field(default_factory=dict)
    """By device and inode."""
    _contents: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What was read of files that begin so, and its marks: a copy of one brings nothing new as far as that."""

    def start(self) -> list[Part]:
        """Begin at the present end of each file; gives what is in front of it, the file last written to first."""
        parts = []
        for found in self.scan():
            file = self._files[found.status.st_dev, found.status.st_ino] = _File()
            try:
                self._pass(found, file)
            except OSError as error:
                self._tell(found, file, error)
                continue
            parts.append(Part(found.path, file.read, found.status.st_mtime, file.is_compressed))
        return sorted(parts, key=lambda part: -part.written_at)

    def new_lines(self) -> Iterator[tuple[str, bytes]]:
        """Give the lines that have come since, each with its file's path."""
        began = time.monotonic()
        here = {(found.status.st_dev, found.status.st_ino): found for found in self.scan()}
        self.scan_seconds = time.monotonic() - began
        for gone in self._files.keys() - here.keys():
            del self._files[gone]
        for inode, found in here.items():
            file = self._files.setdefault(inode, _File())
            looked = found.status.st_size, found.status.st_mtime_ns
            if looked == file.looked:
                continue
            try:
                for line in self._come(found, file):
                    yield found.path, line
                file.looked, file.is_unreadable = looked, False
            except OSError as error:
                self._tell(found, file, error)

    def _tell(self, found: Found, file: _File, error: OSError) -> None:
        """Tell once of a file that it cannot be read; it is tried again."""
        if not file.is_unreadable:
            self.on_error(found.path, error)
        file.is_unreadable = True

    def _pass(self, found: Found, file: _File) -> None:
        """Go to where the last whole line ends."""
        descriptor = open_file(found.path)
        try:
            size = os.fstat(descriptor).st_size
            file.is_compared = True
            file.is_compressed = compression_of(read_at(descriptor, 0, HEAD_BYTES)) is not None
            file.read = size if file.is_compressed else _last_end(descriptor, size)
            self._note(descriptor, file, size)
        finally:
            os.close(descriptor)

    def _come(self, found: Found, file: _File) -> Iterator[bytes]:
        descriptor = open_file(found.path)
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != (found.status.st_dev, found.status.st_ino):
                return  # It was renamed since; the next scan finds it.
            if status.st_size < file.size or (file.read and _marks(descriptor, file.read) != file.marks):
                # It was cut, or is another one of the same inode: it begins anew.
                file.read, file.given, file.is_compared = 0, 0, True
            elif not file.is_compared:
                self._compare(descriptor, file)
            if file.read == 0:
                file.is_compressed = compression_of(read_at(descriptor, 0, HEAD_BYTES)) is not None
            goes_on = not file.is_compressed and _is_past_what_was_given(descriptor, file, status.st_size)
            self._note(descriptor, file, status.st_size)
            for lines in _appended(descriptor, file, status.st_size) if goes_on else ():
                # Before they are given: whoever takes them takes time, in which the file may become another.
                self._note(descriptor, file, status.st_size)
                yield from lines
        finally:
            os.close(descriptor)

    def _compare(self, descriptor: int, file: _File) -> None:
        """Tell whether a new file is the copy of another, as copytruncate makes it."""
        head = read_at(descriptor, 0, HEAD_BYTES)
        if len(head) == HEAD_BYTES:
            file.is_compared = True
            file.given, file.given_marks = self._contents.get(digest(head), (0, ""))

    def _note(self, descriptor: int, file: _File, size: int) -> None:
        file.size, file.marks = size, _marks(descriptor, file.read)
        if file.read >= HEAD_BYTES and file.read >= file.given:
            self._contents[digest(read_at(descriptor, 0, HEAD_BYTES))] = file.read, file.marks
            if len(self._contents) > _REMEMBERED:
                del self._contents[next(iter(self._contents))]


def _is_past_what_was_given(descriptor: int, file: _File, size: int) -> bool:
    if file.read >= file.given:
        return True
    if size < file.given:
        file.read = size  # The copy is still being made, or is an older one.
        return False
    # Two files may begin alike and go on otherwise.
    file.read = file.given if _marks(descriptor, file.given) == file.given_marks else 0
    file.given = 0
    return True


def _appended(descriptor: int, file: _File, size: int) -> Iterator[list[bytes]]:
    """Give the whole lines behind those that were read, piece by piece, in what the file's size was."""
    held, place = b"", file.read
    while piece := read_at(descriptor, place, min(_STEP_BYTES, size - place)):
        place += len(piece)
        *lines, held = (held + piece).split(b"\n")
        if len(held) > MAX_LINE_BYTES:
            held = b""
        file.read = place - len(held)
        yield [text for line in lines if (text := line.strip(b"\x00\r"))]


def _marks(descriptor: int, place: int) -> str:
    """Hash a file's head and what is just before a place; other content of the same inode has others."""
    before = max(0, place - TAIL_BYTES)
    return digest(read_at(descriptor, 0, min(place, HEAD_BYTES)) + read_at(descriptor, before, place - before))


def _last_end(descriptor: int, place: int) -> int:
    """Give where the last whole line in front of a place ends."""
    while place > 0:
        step = min(place, _STEP_BYTES)
        newline = read_at(descriptor, place - step, step).rfind(b"\n")
        if newline >= 0:
            return place - step + newline + 1
        place -= step
    return 0
