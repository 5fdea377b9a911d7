"""Which files there are: a scan of the given paths, and a watch on them that only says when to look again."""

import asyncio
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Final

from tracklog.ingester.errors import SourceNotFoundError
from tracklog.ingester.identify import HEAD_BYTES, compression_of, read_at
from tracklog.ingester.read import Decompressed

_LOG_NAME: Final = re.compile(r"\.(?:jsonl|ndjson|log)(?:$|[.\-_])", re.IGNORECASE)
"""Names of logs, also rotated and compressed: `a.log`, `a.log.1`, `a.jsonl-20261123.gz`."""

_BEGINNING: Final = b'{"'

_DATABASE_NAME: Final = re.compile(r"\.(?:db|sqlite3?)(?:-(?:wal|shm|journal))?$", re.IGNORECASE)
"""Names of databases, into which nobody looks but who works on them."""

_DATABASE_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")

_DEBOUNCE_MS: Final = 50
_STEP_MS: Final = 10
"""Measured with 500 busy files: half of the changes are told within 40 ms; the defaults take 600."""

_QUIET_MS: Final = 1000
"""How often the watcher wakes without any event, to notice that it was stopped."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was found."""

    path: str
    status: os.stat_result


@dataclass(slots=True)
class Discovery:
    """Scan paths: a file that is named is taken, a directory gives the logs below it.

    In a directory a log is told by its name, or by beginning with a JSON object. A link in a directory is followed to
    where one of the paths leads, and nowhere else: whoever may write there must not choose what is read.
    """

    paths: Sequence[str]
    on_error: Callable[[str, OSError], None]
    """Told of what could not be looked at."""
    database: str | None = None
    """The SQLite file that this process writes. It must not be opened here: closing it again would let go of all the
    locks that SQLite holds on it (see "How To Corrupt An SQLite Database File", 2.2)."""
    _sniffed: dict[tuple[str, int], bool] = field(default_factory=dict)
    _sniffed_before: dict[tuple[str, int], bool] = field(default_factory=dict)
    """By the scan before this one; what neither has seen is forgotten."""
    _untouched: set[tuple[int, int]] = field(default_factory=set)
    _roots: tuple[str, ...] = ()

    def scan(self) -> Iterator[Found]:
        """Give every file once, whatever the number of its names."""
        # Before anything is opened: the database stays it under a log's name, and where it is named directly.
        self._untouched = self._inodes_of_database()
        self._sniffed_before, self._sniffed = self._sniffed, {}
        self._roots = tuple(os.path.realpath(path) for path in self.paths)
        seen = set(self._untouched)
        for path in self.paths:
            for found in self._walk(path):
                inode = found.status.st_dev, found.status.st_ino
                if inode not in seen:
                    seen.add(inode)
                    yield found

    def _inodes_of_database(self) -> set[tuple[int, int]]:
        inodes = set()
        for suffix in _DATABASE_SUFFIXES if self.database is not None else ():
            try:
                status = os.stat(f"{self.database}{suffix}")
            except OSError:
                continue
            inodes.add((status.st_dev, status.st_ino))
        return inodes

    def missing(self) -> list[str]:
        """Give the paths that do not exist, or are neither a file nor a directory."""
        return [path for path in self.paths if not self._may_be_read(path)]

    def require(self) -> None:
        """Check that there is something to be read at every path.

        :raises SourceNotFoundError: There is not.
        """
        if missing := self.missing():
            raise SourceNotFoundError(f"{absence(missing[0])}; name the one that agents log to")

    @staticmethod
    def _may_be_read(path: str) -> bool:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # It is there, or may be; the scan says what is in the way.
        return _is_regular(status) or stat.S_ISDIR(status.st_mode)

    def _walk(self, path: str) -> Iterator[Found]:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self.on_error(path, error)
            return
        if _is_regular(status):
            yield Found(os.path.realpath(path) if os.path.islink(path) else path, status)
        elif os.path.isdir(path):
            yield from self._directory(path, frozenset({(status.st_dev, status.st_ino)}))

    def _directory(self, path: str, above: frozenset[tuple[int, int]]) -> Iterator[Found]:
        """Walk a directory; `above` are the directories on the way to it, so that a circle of links ends."""
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            self.on_error(path, error)
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                status = entry.stat()
                if (status.st_dev, status.st_ino) in self._untouched:
                    continue
                target = entry.path
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if not self._is_inside(target):
                        if stat.S_ISDIR(status.st_mode) or (_is_regular(status) and _LOG_NAME.search(entry.name)):
                            self.on_error(entry.path, OSError(f"it leads out to {target}; name that to have it read"))
                        continue
                if stat.S_ISDIR(status.st_mode):
                    place = status.st_dev, status.st_ino
                    if place not in above:
                        yield from self._directory(target, above | {place})
                elif _is_regular(status) and self._is_log(entry, status):
                    yield Found(target, status)
            except FileNotFoundError:
                continue  # It went between the listing and the look, or is a link to nothing.
            except OSError as error:
                self.on_error(entry.path, error)

    def _is_inside(self, path: str) -> bool:
        return any(path == root or path.startswith(os.path.join(root, "")) for root in self._roots)

    def _is_log(self, entry: os.DirEntry[str], status: os.stat_result) -> bool:
        if _LOG_NAME.search(entry.name):
            return True
        if status.st_size == 0 or _DATABASE_NAME.search(entry.name):
            return False
        key = entry.path, status.st_ino
        known = self._sniffed_before.get(key)
        if known is None:
            try:
                with open(entry.path, "rb") as file:
                    known = _begins_like_a_log(file.fileno())
            except OSError as error:
                self.on_error(entry.path, error)
                return False
        if known is not None:
            self._sniffed[key] = known
        return known is True


def absence(path: str) -> str:
    """Say in a sentence why nothing can be read at a path that is missing."""
    if os.path.exists(path):
        return f"{path} is neither a file nor a directory"
    return f"there is no file or directory {path}"


def _begins_like_a_log(descriptor: int) -> bool | None:
    """Tell whether a file begins with a JSON object; None if there is too little of it to tell."""
    head = read_at(descriptor, 0, HEAD_BYTES)
    if (compression := compression_of(head)) is not None:
        # A log that has no log's name was rotated and compressed.
        stream = Decompressed(descriptor, compression)
        head = stream(0, len(_BEGINNING))
        stream.close()
    return head.startswith(_BEGINNING) if len(head) >= len(_BEGINNING) else None


def _is_regular(status: os.stat_result) -> bool:
    # A pipe would block whoever opens it, a device might never end.
    return stat.S_ISREG(status.st_mode)


async def watch(paths: Iterable[str], changed: asyncio.Event, stop: asyncio.Event) -> None:
    """Set `changed` whenever something happens below `paths`, until `stop`; what it misses, the next scan finds.

    Directories are watched, never files: a watch on a file ends with its first rotation. A path that does not exist yet
    is watched when it does.
    """
    # Of a file that was named only its own directory is of interest, not all that may lie below it.
    await asyncio.gather(*(_watch(paths, changed, stop, deep=deep) for deep in (True, False)))


async def _watch(paths: Iterable[str], changed: asyncio.Event, stop: asyncio.Event, *, deep: bool) -> None:
    """Watch the directories among `paths`, and all below them; or those in which the files among them lie."""
    from watchfiles import awatch

    while not stop.is_set():
        directories = _directories(paths, deep=deep)
        if directories:
            try:
                watching = awatch(
                    *directories,
                    watch_filter=None,
                    debounce=_DEBOUNCE_MS,
                    step=_STEP_MS,
                    stop_event=stop,
                    rust_timeout=_QUIET_MS,
                    yield_on_timeout=True,
                    recursive=deep,
                    ignore_permission_denied=True,
                )
                async with aclosing(watching):
                    async for events in watching:
                        moved = _directories(paths, deep=deep) != directories
                        if events or moved:
                            changed.set()
                        if moved:
                            break
            except Exception:  # noqa: BLE001
                # Too few watches, a strange name, a directory that went: scans go on without it, and it is tried anew.
                changed.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _QUIET_MS / 1000)


def _directories(paths: Iterable[str], *, deep: bool) -> dict[str, int]:
    """Give what is to be watched, with its inode: a directory that was made anew is another one."""
    directories = {}
    for path in paths:
        try:
            if os.path.isdir(path) == deep and os.path.exists(path):
                directory = path if deep else os.path.dirname(path) or "."
                directories[directory] = os.stat(directory).st_ino
        except OSError:
            continue
    return directories
