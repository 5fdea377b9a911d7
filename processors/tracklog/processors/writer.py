"""The writer of a process: it stamps lines and puts them, whole, where they are kept."""

import contextlib
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import orjson

from tracklog.processors import program
from tracklog.processors.ids import short_id
from tracklog.processors.line import FORMAT_VERSION, Kind
from tracklog.processors.records import WrittenRecords
from tracklog.processors.segment import Segment, Stream, Target

Durability = Literal["flush", "fsync"]
"""`flush`: a line survives its process. `fsync`: it survives a power cut, at the price of the disk's time."""

_SECOND: Final = 1_000_000_000
_LARGE_STEP_NS: Final = 60 * _SECOND
"""A clock that goes back by more begins a new writer; by less, time stands still until it has caught up."""

_NEVER_S: Final = 1e9
"""No process lives so long, in seconds: what is older than it may be."""

_MOST_LEFT: Final = 100
"""Files that were begun and left, as an exception of a signal's handler came: so many are passed over."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a writer keeps its lines."""

    service: str
    max_bytes: int = 64 << 20
    """A segment of this size is followed by the next: large enough to be few, small enough to be moved about."""
    max_age: float = 24 * 3600
    """In seconds."""
    durability: Durability = "flush"


class Writer:
    """Write the lines of one process to one directory, or to one stream.

    Nothing that goes wrong here is raised: a line that cannot be written is counted, and its number in the sequence is
    missing, which is the proof of its loss. A signal's handler may log while a line is being written: Python runs
    handlers between calls, so steps that belong together have no call between them.
    """

    def __init__(self, place: Path | IO[Any], settings: Settings) -> None:
        self._place = place
        self._settings = settings
        self._syncs = settings.durability == "fsync"
        self.lock = threading.RLock()
        self.records = WrittenRecords()
        self._held: list[Target] = []
        """Segments that are not written any more, and whose lock says that this process lives."""
        program.describe()  # Found out now: a first line may come when Python itself is being taken down.
        self._begin()

    def _begin(self) -> None:
        """Be a new writer: at first, in a forked child, after a large step of the clock."""
        self.id = short_id()
        self._target: Target | None = None
        self._stamp = f'","writer":"{self.id}","seq":'.encode()
        self._seq = 0
        self._segment = 0
        self._written_lines = 0
        self._size = 0
        self._full = self._settings.max_bytes
        self._renew_ns = 0
        self._check_ns = 0
        self._last_ns = 0
        self._second = (-1, b"")
        """A second since the epoch, and the beginning of its lines: one value, as both change together."""
        self._torn = False
        self._failing = False
        self._stuck = False
        self._looking = False
        self._waiting: list[bytes] = []
        """Lines of a signal's handler that came while there was no file to write them to."""
        self._closes_with_process = False

    def use(self, settings: Settings) -> None:
        """Keep lines so from the next one on, in a new file if that is otherwise than before."""
        with self.lock:
            if settings != self._settings:
                self._settings = settings
                self._syncs = settings.durability == "fsync"
                self._renew_ns = self._check_ns = 0

    def write(self, body: bytes) -> None:
        """Write one line: `body` is its JSON object without the stamp, and not empty."""
        with self.lock:
            if self._looking:
                self._waiting.append(body)
                return
            try:
                if time.monotonic_ns() >= self._check_ns or self._size >= self._full:
                    self._look()
                self._put(body)
            except Exception as error:  # noqa: BLE001
                self._complain(error)

    def drop(self, error: Exception) -> None:
        """Count a line that could not be encoded: it has a number, and is missing."""
        with self.lock:
            self._seq += 1
            self._complain(error)

    def close(self, reason: str = "closed") -> None:
        """Write the last line and let go; a further line begins a new segment."""
        with self.lock:
            if self._looking:
                return
            target, self._target = self._target, None
            self._check_ns = 0
            if target is not None:
                self._end(target, reason, max(time.time_ns(), self._last_ns))

    def _put(self, body: bytes) -> None:
        """Give a line its time and number, and write it."""
        while True:
            seq, stamp = self._seq, self._stamp
            now = time.time_ns()
            if now < self._last_ns:
                now = self._now_after_step(now)
            # Unless a signal's handler has logged meanwhile: then that line has the number, and a later time.
            if seq == self._seq and stamp is self._stamp:
                break
        # Numbered first: whatever happens from here on, a line that is not there leaves a gap.
        self._seq = seq = seq + 1
        self._last_ns = now
        self._emit(self._target, body, seq, now)

    def _put_at(self, target: Target, body: bytes, now: int) -> None:
        """Write a line of the writer's own, at a time that is known; nothing comes in between."""
        self._seq += 1
        self._last_ns = now
        self._emit(target, body, self._seq, now)

    def _emit(self, target: Target | None, body: bytes, seq: int, now: int) -> None:
        second, rest = divmod(now, _SECOND)
        prefix = self._second
        if prefix[0] != second:
            moment = time.gmtime(second)
            text = '{"timestamp":"%04d-%02d-%02dT%02d:%02d:%02d.' % moment[:6]  # noqa: UP031
            self._second = prefix = (second, text.encode())
        line = b"%s%06dZ%s%d,%s\n" % (prefix[1], rest // 1000, self._stamp, seq, body[1:])
        if self._torn:
            # The line before it has no end: a newline here costs that one, not this one.
            line = b"\n" + line
        written = 0
        # As long as it is not whole, a line of a signal's handler begins with a newline too.
        torn, self._torn = self._torn, True
        try:
            if target is None:
                raise OSError("there is no file")
            while True:
                written += target.write(line[written:] if written else line)
                if written == len(line):
                    break
                if seq != self._seq:
                    raise OSError("a line was torn apart by another")
            self._torn = False
        except BaseException as error:
            if isinstance(error, Exception) and not written:
                self._torn = torn
            raise
        finally:
            self._size += written
        self._written_lines += 1
        self._failing = False
        if self._syncs:
            target.sync()

    def _now_after_step(self, now: int) -> int:
        """Give the time when the clock has been set back; after a large step as another writer."""
        if self._last_ns - now < _LARGE_STEP_NS:
            return self._last_ns
        target = self._target
        if target is not None:
            self._end(target, "clock", self._last_ns, keep=True)
            # The process goes on, and with it executions that the old writer began: they are no orphans.
            self._held.append(target)
        self._begin()
        self._look()
        return now

    def _look(self) -> None:
        """Open what is not open, and once a second see whether it is still what it was."""
        self._looking = True
        try:
            self._check_ns = time.monotonic_ns() + _SECOND
            # Where this fails it is tried again in a second; until then the lines go where the last one went.
            self._full = sys.maxsize
            target = self._target
            if target is None:
                self._start(self._open())
            elif isinstance(target, Segment) and (reason := self._reason_to_rotate(target)) is not None:
                self._rotate(target, reason)
            self._full = self._settings.max_bytes
            self._stuck = False
        except Exception as error:  # noqa: BLE001
            self._complain(error)
        except BaseException:
            self._check_ns = 0  # Of a signal's handler: what it broke off is done by the next line.
            raise
        finally:
            self._looking = False
            while self._waiting:
                self.write(self._waiting.pop(0))

    def _reason_to_rotate(self, target: Segment) -> str | None:
        harm = target.harm(self._size)
        if harm is None and (self._size >= self._settings.max_bytes or time.monotonic_ns() >= self._renew_ns):
            return "rotated"
        return harm

    def _open(self) -> Target:
        if not isinstance(self._place, Path):
            return Stream(self._place)
        start = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(time.time_ns(), self._last_ns) // _SECOND))
        for number in range(self._segment + 1, self._segment + _MOST_LEFT):
            name = f"{self._settings.service}.{start}.{self.id}.{number:04d}.jsonl"
            with contextlib.suppress(FileExistsError):
                segment = Segment.create(self._place / name)
                self._segment = number
                return segment
        raise FileExistsError(f"{name} and those before it exist")

    def _rotate(self, old: Segment, reason: str) -> None:
        """Go on in a new segment, which is locked before the old one is let go."""
        new = self._open()
        try:
            self._end(old, reason, max(time.time_ns(), self._last_ns), segment=self._segment - 1)
            self._target = None
            self._start(new)
        except BaseException:
            if isinstance(new, Segment) and self._target is not new:
                new.discard()
            raise

    def _start(self, target: Target) -> None:
        """Write the first line of a segment."""
        if isinstance(target, Segment):
            self._torn = False
        self._target = target
        self._size = 0
        self._renew_ns = time.monotonic_ns() + int(min(self._settings.max_age, _NEVER_S) * _SECOND)
        counts = self._seq, self._written_lines
        try:
            header = {
                "level": "info",
                "event": "writer opened",
                "kind": Kind.WRITER_OPENED,
                "format": FORMAT_VERSION,
                "segment": self._segment,
                "service": self._settings.service,
                **program.describe(),
                **target.describe(),
            }
            self._put_at(target, orjson.dumps(header), max(time.time_ns(), self._last_ns))
        except BaseException:
            self._target = None
            if isinstance(target, Segment):
                # With the file, the line is as if it had never been.
                self._seq, self._written_lines = counts
                self._segment -= 1
                target.discard()
            raise
        if not self._closes_with_process:
            self._closes_with_process = True
            _close_with_process(self)

    def _end(self, target: Target, reason: str, now: int, *, keep: bool = False, segment: int | None = None) -> None:
        """Write the last line of a segment and, unless its lock is to be kept, let go of it."""
        looking, self._looking = self._looking, True
        try:
            # In a file without a name nobody would find the line, and its number would be missing.
            if not (isinstance(target, Segment) and target.is_unlinked()):
                footer = {
                    "level": "info",
                    "event": "writer closed",
                    "kind": Kind.WRITER_CLOSED,
                    "reason": reason,
                    "segment": self._segment if segment is None else segment,
                    "lines_written": self._written_lines,
                    # Also of lines that an exception of a signal's handler broke off, wherever that was.
                    "lines_dropped": self._seq - self._written_lines,
                }
                self._put_at(target, orjson.dumps(footer), now)
        except Exception as error:  # noqa: BLE001
            self._complain(error)
        finally:
            self._looking = looking
            if not keep:
                with contextlib.suppress(OSError):
                    target.close()
            if not looking:
                while self._waiting:
                    self.write(self._waiting.pop(0))

    def _complain(self, error: Exception) -> None:
        """Say once, not for each line, that lines are being lost."""
        if self._stuck if self._target is not None and self._looking else self._failing:
            return
        place = self._place if isinstance(self._place, Path) else "the stream"
        if self._target is not None and self._looking:
            self._stuck = True
            message = f"cannot begin a new file in {place}: {error}; going on in the old one"
        else:
            self._failing = True
            message = f"cannot log to {place}: {error}; lines are being lost until this is mended"
        with contextlib.suppress(Exception):
            sys.stderr.write(f"tracklog: {message}\n")

    def leave_to_parent(self) -> None:
        """In a forked child, close what is the parent's, whose lock it would keep, and be a writer of its own."""
        # Not unlocked: that would unlock it for the parent too.
        for target in (self._target, *self._held):
            if target is not None:
                with contextlib.suppress(OSError):
                    target.close()
        self.lock = threading.RLock()
        self._held = []
        self._begin()


def _close_with_process(writer: Writer) -> None:
    """Have a child of multiprocessing close its writer: it ends without running what atexit knows."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize  # Only where it is loaded already.

        Finalize(None, writer.close, args=("exit",), exitpriority=0)
