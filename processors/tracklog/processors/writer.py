"""The writer of a process: it stamps lines and puts them, whole, where they are kept."""

import atexit
import contextlib
import os
import platform
import re
import socket
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, Final, Literal

import orjson

from tracklog.processors.ids import short_id
from tracklog.processors.line import FORMAT_VERSION, Kind
from tracklog.processors.segment import Segment, Stream, Target

Durability = Literal["flush", "fsync"]
"""`flush`: a line survives its process. `fsync`: it survives a power cut, at the price of the disk's time."""

_SECOND: Final = 1_000_000_000
_LARGE_STEP_NS: Final = 60 * _SECOND
"""A clock that goes back by more begins a new writer; by less, time stands still until it has caught up."""


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
    missing, which is the proof of its loss.
    """

    def __init__(self, place: Path | IO[Any], settings: Settings) -> None:
        self._place = place
        self._settings = settings
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        """Be a new writer: at first, in a forked child, after a large step of the clock."""
        self.id = short_id()
        self._lock = threading.RLock()
        self._target: Target | None = None
        self._held: list[Target] = []
        """Segments that are not written any more, and whose lock says that this process lives."""
        self._stamp = f'","writer":"{self.id}","seq":'.encode()
        self._seq = 0
        self._segment = 0
        self._written_lines = 0
        self._dropped_lines = 0
        self._size = 0
        self._full = self._settings.max_bytes
        self._renew_ns = 0
        self._last_ns = 0
        self._check_ns = 0
        self._second = -1
        self._second_text = b""
        self._torn = False
        self._failing = False
        self._closes_with_process = False

    def write(self, body: bytes) -> None:
        """Write one line: `body` is its JSON object without the stamp, and not empty."""
        with self._lock:
            try:
                now = self._now()
                if now >= self._check_ns or self._size >= self._full:
                    self._look(now)
                self._put(body, now)
            except Exception as error:  # noqa: BLE001
                self._complain(error)

    def drop(self, error: Exception) -> None:
        """Count a line that could not be encoded: it has a number, and is missing."""
        with self._lock:
            self._seq += 1
            self._dropped_lines += 1
            self._complain(error)

    def close(self, reason: str = "closed") -> None:
        """Write the last line and let go; a further line begins a new segment."""
        with self._lock:
            try:
                if self._target is not None:
                    self._end_segment(self._target, reason, self._now())
                    self._target = None
                self._check_ns = 0
            except Exception as error:  # noqa: BLE001
                self._complain(error)

    def _now(self) -> int:
        """Give the time, which for one writer never goes back."""
        now = time.time_ns()
        if now < self._last_ns:
            if self._last_ns - now < _LARGE_STEP_NS:
                return self._last_ns
            self._begin_anew(now)
        self._last_ns = now
        return now

    def _begin_anew(self, now: int) -> None:
        lock, target, held = self._lock, self._target, self._held
        if target is not None:
            self._end_segment(target, "clock", self._last_ns, keep=True)
            held = [*held, target]
        self._begin()
        # The lock is being held, and the process goes on: executions that the old writer began are not orphans.
        self._lock, self._held = lock, held

    def _put(self, body: bytes, now: int) -> None:
        """Stamp a line and write it."""
        # Numbered first: whatever happens from here on, a line that is not there leaves a gap.
        self._seq += 1
        second, rest = divmod(now, _SECOND)
        if second != self._second:
            self._second = second
            moment = time.gmtime(second)
            self._second_text = (
                f'{{"timestamp":"{moment[0]:04d}-{moment[1]:02d}-{moment[2]:02d}'
                f"T{moment[3]:02d}:{moment[4]:02d}:{moment[5]:02d}."
            ).encode()
        line = b"%s%06dZ%s%d,%s\n" % (self._second_text, rest // 1000, self._stamp, self._seq, body[1:])
        target = self._target
        if target is None:
            self._dropped_lines += 1
            return
        if self._torn:
            # The line before it has no end: a newline here costs that one, not this one.
            line = b"\n" + line
        written = 0
        try:
            while written < len(line):
                written += target.write(line[written:] if written else line)
                # A signal's handler may log between two parts of a line.
                self._torn = written < len(line)
        except OSError:
            self._dropped_lines += 1
            raise
        finally:
            self._size += written
        self._written_lines += 1
        self._failing = False
        if self._settings.durability == "fsync":
            target.sync()

    def _look(self, now: int) -> None:
        """Open what is not open, and once a second see whether it is still what it was."""
        self._check_ns = now + _SECOND
        target = self._target
        try:
            if target is None:
                self._target = self._open()
                self._header(now)
            elif isinstance(target, Segment):
                if (harm := target.harm(self._size)) is not None:
                    self._rotate(harm, now)
                elif self._size >= self._full or now >= self._renew_ns:
                    self._rotate("rotated", now)
        except OSError as error:
            # Tried again in a second; until then the lines go where the last one went.
            self._full = sys.maxsize
            self._complain(error)
        else:
            self._full = self._settings.max_bytes

    def _open(self) -> Target:
        if not isinstance(self._place, Path):
            return Stream(self._place)
        start = datetime.fromtimestamp(self._last_ns / _SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{self._settings.service}.{start}.{self.id}.{self._segment + 1:04d}.jsonl"
        return Segment.create(self._place / name)

    def _rotate(self, reason: str, now: int) -> None:
        """Go on in a new segment, which is locked before the old one is let go."""
        old = self._target
        if not isinstance(old, Segment):
            return
        new = self._open()
        self._end_segment(old, reason, now)
        self._target = new
        self._header(now)

    def _header(self, now: int) -> None:
        self._segment += 1
        self._size = 0
        self._renew_ns = now + int(self._settings.max_age * _SECOND)
        self._torn = False
        assert self._target is not None
        header = {
            "level": "info",
            "event": "writer opened",
            "kind": Kind.WRITER_OPENED,
            "format": FORMAT_VERSION,
            "segment": self._segment,
            "service": self._settings.service,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "boot_id": _boot_id(),
            **self._target.describe(),
            "versions": _versions(),
        }
        self._put(orjson.dumps(header), now)
        if not self._closes_with_process:
            self._closes_with_process = True
            _close_with_process(self)

    def _end_segment(self, target: Target, reason: str, now: int, *, keep: bool = False) -> None:
        try:
            # In a file without a name nobody would find the line, and its number would be missing.
            if not (isinstance(target, Segment) and target.is_unlinked()):
                footer = {
                    "level": "info",
                    "event": "writer closed",
                    "kind": Kind.WRITER_CLOSED,
                    "reason": reason,
                    "segment": self._segment,
                    "lines_written": self._written_lines,
                    "lines_dropped": self._dropped_lines,
                }
                self._put(orjson.dumps(footer), now)
        except OSError as error:
            self._complain(error)
        finally:
            if not keep:
                target.close()

    def _complain(self, error: Exception) -> None:
        """Say once, not for each line, that lines are being lost."""
        if self._failing:
            return
        self._failing = True
        with contextlib.suppress(Exception):
            place = self._place if isinstance(self._place, Path) else "the stream"
            sys.stderr.write(f"tracklog: cannot log to {place}: {error}; lines are being lost until this is mended\n")

    def leave_to_parent(self) -> None:
        """In a forked child, close what is the parent's, whose lock it would keep, and be a writer of its own."""
        # Not unlocked: that would unlock it for the parent too.
        for target in (self._target, *self._held):
            if target is not None:
                with contextlib.suppress(OSError):
                    target.close()
        self._begin()


_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()
_by_place: dict[str, Writer] = {}
_registering = threading.Lock()


def writer_for(place: str | os.PathLike[str] | IO[Any], settings: Settings) -> Writer:
    """Give this process's writer for a directory or a stream: one, whoever asks; the first one's settings hold."""
    if isinstance(place, (str, os.PathLike)):
        target: Path | IO[Any] = Path(os.path.realpath(os.fspath(place)))
        key = str(target)
    else:
        target, key = place, f"stream {id(place)}"
    with _registering:
        writer = _by_place.get(key)
        if writer is None:
            writer = _by_place[key] = Writer(target, settings)
        return writer


def service_name() -> str:
    """Name the program, for its files: TRACKLOG_SERVICE, else the script's name.

    >>> import re
    >>> bool(re.fullmatch("[A-Za-z0-9_-]+", service_name()))
    True
    """
    name = os.environ.get("TRACKLOG_SERVICE") or Path(sys.argv[0] if sys.argv else "").stem
    if name == "__main__":  # python -m package
        name = Path(sys.argv[0]).parent.name
    return safe_name(name or "python")


def safe_name(name: str) -> str:
    """Keep of a service's name what is good in a file's name, where a dot would separate."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:64] or "python"


def _boot_id() -> str | None:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("tracklog", "structlog", "orjson"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _close_all() -> None:
    for writer in list(_writers):
        writer.close("exit")


def _close_with_process(writer: Writer) -> None:
    """Have a child of multiprocessing close its writer: it ends without running what atexit knows."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(writer, _close_weakly, args=(weakref.ref(writer),), exitpriority=0)


def _close_weakly(reference: "weakref.ref[Writer]") -> None:
    if (writer := reference()) is not None:
        writer.close("exit")


def _after_fork() -> None:
    global _registering
    _registering = threading.Lock()
    for writer in list(_writers):
        writer.leave_to_parent()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
