"""The files at hand: found by scans, opened and identified, read in turns, closed when they are quiet."""

import datetime as dt
import logging
import os
import time
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from tracklog.ingester.batch import Tally
from tracklog.ingester.decode import Event
from tracklog.ingester.discover import Discovery, Found
from tracklog.ingester.identify import inode_of
from tracklog.ingester.sources import Checkpoint, Portion, Source, find

_log = logging.getLogger("tracklog.ingester")

_TURN_BYTES: Final = 1 << 20
"""How much of one file is read before the next has its turn."""

_BATCH_BYTES: Final = 2 << 20
"""How much one transaction holds: some thousand lines, large enough that its fixed cost is small beside them, small
enough that a batch takes well under a second and a few tens of MB."""

_OPEN_FILES: Final = 256
"""How many quiet files are kept open, so that what is written before they are deleted is read."""

_MOST_OPEN: Final = 4096
"""How many files may be open; the others have their turn afterwards."""

_OTHER_DESCRIPTORS: Final = 48
"""What databases, watches and the interpreter need beside the log files, of what the process may have open."""

_LINGER_SECONDS: Final = 60
"""How long a deleted file is held after its last line: who writes it may not have noticed."""

_Inode = tuple[int, int]
"""Device and inode."""


class Files:
    """The files below some paths on this host.

    :param keep: Tells of a source that it must stay open though it is quiet.
    :param database: The SQLite file that this process writes, which is left alone wherever it lies.
    """

    def __init__(
        self, host: str, paths: Sequence[str], *, keep: Callable[[Source], bool], database: str | None = None
    ) -> None:
        self.host = host
        self.paths = [os.path.abspath(path) for path in paths]
        """What is followed, named as from everywhere, since the database is asked from anywhere."""
        self._seen: set[_Inode] | None = None
        """What the last scan found."""
        self.found = 0
        """How many files the last scan found."""
        self.found_bytes = 0
        self._keep = keep
        self._discovery = Discovery(self.paths, self._cannot_read, database)
        self._open: dict[_Inode, Source] = {}
        self._quiet: dict[_Inode, tuple[int, int]] = {}
        """Files that were read to the end and closed: their size and time of change then."""
        self._resting: dict[_Inode, Source] = {}
        """Of these, the ones that are needed to ask their writers: they are opened for that."""
        self.left = 0
        """How many files the last scan could not open yet, as too many were open or they had another name by then."""
        self._known: dict[tuple[int, int], Checkpoint] = {}
        """What the database holds, by locator."""
        self._former: dict[tuple[int, int], Checkpoint] = {}
        """What another database holds, which tells the contents of files apart, and not where to begin."""
        self._deleted: dict[_Inode, float] = {}
        """Since when deleted files are quiet, by the monotonic clock."""
        self._complained: set[str] = set()
        self._unreadable: set[str] = set()

    def __iter__(self) -> Iterator[Source]:
        """Give the open files."""
        return iter(list(self._open.values()))

    def missing(self) -> list[str]:
        """Give the paths that do not exist."""
        return self._discovery.missing()

    def require(self) -> None:
        """Check that there is something at every path.

        :raises SourceNotFoundError: One of them does not exist.
        """
        self._discovery.require()

    def inodes(self) -> set[int]:
        """Give the inodes of all files that are there, or still open."""
        if self._seen is None:
            self._seen = {(file.status.st_dev, file.status.st_ino) for file in self._discovery.scan()}
        return {inode for _, inode in self._seen | self._open.keys()}

    def scan(self) -> list[Source]:
        """Look for new files, renamed ones, and those that have changed since they were closed; give those opened."""
        self.found = self.found_bytes = self.left = 0
        self._unreadable.clear()
        limit = _most_open()
        seen: set[_Inode] = set()
        opened = []
        for file in self._discovery.scan():
            inode = file.status.st_dev, file.status.st_ino
            seen.add(inode)
            self.found += 1
            self.found_bytes += file.status.st_size
            source = self._open.get(inode) or self._resting.get(inode)
            if source is not None:
                source.path = file.path
            if inode in self._open or self._quiet.get(inode) == (file.status.st_size, file.status.st_mtime_ns):
                continue
            if len(self._open) >= limit and not self._make_room(limit // 2):
                self.left += 1
            elif (source := self._take(inode, file)) is not None:
                opened.append(source)
        self._let_go_of_deleted(seen)
        self._forget_all_but(seen)
        return opened

    def _forget_all_but(self, seen: set[_Inode]) -> None:
        """Forget what is known of files that are gone: over months there are many more of them than of others."""
        self._seen = seen
        for gone in [inode for inode in self._quiet if inode not in seen]:
            del self._quiet[gone]
            self._resting.pop(gone, None)
        if len(self._known) > 2 * len(seen) + _OPEN_FILES:
            inodes = self.inodes()
            self._known = {key: known for key, known in self._known.items() if known.identity.inode in inodes}

    def _let_go_of_deleted(self, seen: Collection[_Inode]) -> None:
        """Close files without a name that were read to the end and in which nobody has written for a while."""
        now = time.monotonic()
        for inode, source in list(self._open.items()):
            try:
                if inode in seen or source.is_due() or not source.is_unlinked():
                    self._deleted.pop(inode, None)
                elif now - self._deleted.setdefault(inode, now) > _LINGER_SECONDS:
                    del self._deleted[inode]
                    self._open.pop(inode).close()
            except OSError as error:
                self._cannot_read(source.path, error)
                self._open.pop(inode).close()

    def _take(self, inode: _Inode, file: Found) -> Source | None:
        try:
            source = find(self.host, file.path, ChainMap(self._known, self._former))
        except FileNotFoundError:
            return None  # It went since the scan.
        except OSError as error:
            self._cannot_read(file.path, error)
            return None
        if inode not in (inode_of(source.fileno()), inode_of(file.path)):
            # It was renamed since the scan, and another one has its name: each is found by the next scan.
            self.left += 1
            source.close()
            return None
        if source.checkpoint.identity.locator not in self._known:
            source.rewind(None)
        self._complained.discard(file.path)
        self._quiet.pop(inode, None)
        self._resting.pop(inode, None)
        self._open[inode] = source
        return source

    def take(self) -> tuple[list[Portion], bool]:
        """Read, in turns, as much as one transaction holds; what was taken is to be noted in its order.

        :returns: What was read, and whether there is more.
        """
        portions: list[Portion] = []
        held, left = 0, False
        # One that is read alone does not wait for others between its turns.
        limit = max(_TURN_BYTES, _BATCH_BYTES // max(1, len(self._open)))
        for inode, source in list(self._open.items()):
            try:
                if not source.is_due() or not source.has_more():
                    continue
                if source.waits():
                    left = True
                    continue
                if not source.is_same():
                    if source.is_ahead:  # What was read of the former content comes first.
                        left = True
                        continue
                    source.renew()
                portion = source.take(limit)
            except OSError as error:
                self._cannot_read(source.path, error)
                self._open.pop(inode).close()
                continue
            # Whose turn it was goes to the end of the line.
            self._open[inode] = self._open.pop(inode)
            portions.append(portion)
            held += len(portion.piece.data)
            if held >= _BATCH_BYTES:
                return portions, True
        return portions, left or not all(portion.chunk.at_end for portion in portions)

    def take_back(self) -> None:
        """Forget what was taken and not noted; it is read again."""
        for source in self._open.values():
            source.take_back()

    def note(self, portions: Sequence[Portion], tallies: Sequence[Tally]) -> list[Portion]:
        """Note what became of what was taken, go on behind it, and give the portions that change anything."""
        changed = []
        for portion, tally in zip(portions, tallies, strict=True):
            source = portion.source
            source.note(portion, tally)
            if portion.after != portion.before and portion.after.head_length:
                source.go_on(portion)
                changed.append(portion)
        return changed

    def older_than(self, age: dt.timedelta) -> Iterator[Source]:
        """Give every file that has not changed for so long, opened for as long as it is looked at."""
        latest = time.time() - age.total_seconds()
        for file in self._discovery.scan():
            if file.status.st_mtime > latest:
                continue
            source = self._open.get((file.status.st_dev, file.status.st_ino))
            if source is not None:
                yield source
                continue
            try:
                source = find(self.host, file.path, self._known)
            except OSError:
                continue  # Gone, or not ours to read: then it is not ours to remove.
            try:
                yield source
            finally:
                source.close()

    def committed(self, portion: Portion) -> None:
        """Note that a portion is in the database."""
        if portion.source.checkpoint.source_id == portion.after.source_id:  # Else it has another content by now.
            portion.source.go_on(portion)
        self._known[portion.after.identity.locator] = portion.after

    def begin_again(self, former: Mapping[tuple[int, int], Checkpoint]) -> None:
        """Read everything from its beginning, into a database that knows none of it, before anything is open.

        :param former: What the database holds that these files were read into before.
        """
        self._known, self._former = {}, dict(former)

    def rewind(self, known: Mapping[tuple[int, int], Checkpoint]) -> None:
        """Go back to what the database holds."""
        self._known = dict(known)
        for source in self._open.values():
            stored = self._known.get(source.checkpoint.identity.locator)
            # A later content is what another ingester has seen of the file; an earlier one is over.
            is_ours = stored is not None and stored.generation >= source.checkpoint.generation
            source.rewind(stored if is_ours else None)

    @property
    def unreadable(self) -> frozenset[str]:
        """The files and directories that could not be looked into."""
        return frozenset(self._unreadable)

    def unended(self) -> int:
        """Count the open files that end within a line, or within their compressed stream."""
        return sum(source.is_unended() for source in self)

    def broken(self) -> frozenset[str]:
        """Give the open files that are compressed, and that could not be read to their end."""
        return frozenset(source.path for source in self if source.is_broken())

    def bytes_behind(self) -> int:
        """Count the bytes that are on disk and not in the database."""
        return sum(source.bytes_behind() for source in self)

    def close_quiet(self) -> None:
        """Close files that were read to the end, the longest unchanged first, when many are open."""
        idle = sorted(self._idle())
        for needed, _, inode in idle[: max(0, len(idle) - _OPEN_FILES)]:
            if not needed:
                self._rest(inode)

    def _make_room(self, number: int) -> int:
        """Close so many files that were read to the end, or fewer; also those that are needed to ask their writers."""
        idle = sorted(self._idle())[:number]
        for _, _, inode in idle:
            self._rest(inode)
        return len(idle)

    def _idle(self) -> Iterator[tuple[bool, int, _Inode]]:
        """Give the open files that were read to the end, with whether they are needed, and when they last changed."""
        for inode, source in self._open.items():
            if source.at_end and inode not in self._deleted:
                yield self._keep(source) or source.is_unended(), source.seen_mtime_ns, inode

    def _rest(self, inode: _Inode) -> None:
        source = self._open.pop(inode)
        self._quiet[inode] = source.seen_size, source.seen_mtime_ns
        if self._keep(source):
            self._resting[inode] = source
        source.close()

    def header(self, source: Source) -> Event | None:
        """Read the header of an open file; None if it has none, or cannot be read."""
        try:
            return source.header()
        except OSError as error:
            self._give_up(source, error)
            return None

    def read_torn(self, source: Source) -> Portion | None:
        """Read what follows the last newline of an open file; None if there is nothing, or it cannot be read."""
        try:
            return source.read_torn()
        except OSError as error:
            self._give_up(source, error)
            return None

    def _give_up(self, source: Source, error: OSError) -> None:
        """Close a file that cannot be read; the next scan tries it again."""
        self._cannot_read(source.path, error)
        for inode, one in list(self._open.items()):
            if one is source:
                self._open.pop(inode).close()

    def close(self) -> None:
        """Close all."""
        for source in self._open.values():
            source.close()
        self._open.clear()

    def _cannot_read(self, path: str, error: OSError) -> None:
        if error.errno is not None:  # A link that leads out is none of them.
            self._unreadable.add(path)
        if path not in self._complained:
            self._complained.add(path)
            _log.warning("cannot read %s: %s; going on without it until that is mended", path, error.strerror or error)


def _most_open() -> int:
    try:
        import resource  # Not on Windows, where there is no daemon.
    except ImportError:
        return _OPEN_FILES
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_OPEN if allowed == resource.RLIM_INFINITY else max(8, min(_MOST_OPEN, allowed - _OTHER_DESCRIPTORS))
