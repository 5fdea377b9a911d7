"""The loop: scan, read, fold, commit; and between, verdicts, rollups and presence."""

import asyncio
import contextlib
import datetime as dt
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Self, TypeVar

from sqlalchemy import func, select

from tracklog.ingester import migrate, poison, presence, retention, rollup, schema, sqlite, verdicts
from tracklog.ingester.ahead import Batches
from tracklog.ingester.database import DEFAULT_URL, ENVIRONMENT_VARIABLE
from tracklog.ingester.discover import absence, watch
from tracklog.ingester.errors import (
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    RowsRefusedError,
    SchemaError,
    TransactionConflictError,
)
from tracklog.ingester.files import Files
from tracklog.ingester.fold import Rows
from tracklog.ingester.sources import Portion, Source
from tracklog.ingester.store import Store, folded

T = TypeVar("T")

_log = logging.getLogger("tracklog.ingester")

_LONGEST_SCAN_SHARE: Final = 20
"""A scan takes at most one in so many parts of the time, whatever the number of files."""

_TICK: Final = 0.2
"""Seconds between scans without any hint of the watcher; those that take long are rarer."""

_HOUSEKEEPING_EVERY: Final = 1.0
"""Seconds between asking the writers whether they live, and noting presence."""

_STALE_EVERY: Final = 15.0
_BACKOFF: Final = (0.2, 10.0)
"""Shortest and longest wait, in seconds, for a database that is away."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What an ingester has done so far."""

    files: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    """Of the files to be read: read already, and not yet."""
    lines: int = 0
    passed: int = 0
    """Lines that belong to no execution."""
    quarantined: int = 0
    executions: int = 0
    """Executions that were not in the database before; counted at the end."""
    crashed: int = 0
    timed_out: int = 0
    unreadable: int = 0
    """Files and directories that could not be looked into."""
    unended: int = 0
    """Files that end within a line, or within their compressed stream; what is there of it waits for the rest."""
    seconds: float = 0.0


Progress = Callable[[Summary], None]
"""Called after each batch."""


class Ingester:
    """Tail log files into a database.

    >>> import asyncio
    >>> async def main():
    ...     async with Ingester(["logs"], "sqlite:///tracklog.db") as ingester:
    ...         print(await ingester.run_once())
    >>> asyncio.run(main())  # doctest: +SKIP

    :param paths: Files, and directories in which all logs are read.
    :param database: An SQLAlchemy URL or the path of an SQLite file; by default `TRACKLOG_DATABASE_URL`, else
        `sqlite:///tracklog.db`.
    :param host: The name under which this machine's files are known, by default `TRACKLOG_HOST`, else its own; give a
        container that is replaced by another on the same files a name that stays.
    :param stale_after: After so much silence an execution whose writer cannot be asked is taken for timed out.
    :param remove_after: Delete segments that their writers closed so long ago and that are in the database; by default
        nothing is ever deleted.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        database: str | None = None,
        *,
        host: str | None = None,
        stale_after: dt.timedelta = dt.timedelta(hours=1),
        remove_after: dt.timedelta | None = None,
    ) -> None:
        if isinstance(paths, (str, os.PathLike)):
            raise TypeError("paths is a list of paths")
        self.stale_after = stale_after
        self.remove_after = remove_after
        host = presence.host_name(host)
        self._store = Store(database or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_URL, host, patient=False)
        self._judge = verdicts.Judge()
        self._files = Files(
            host, [os.fspath(path) for path in paths], keep=self._judge.holds, database=self._store.file
        )
        self._batches = Batches(self._files, self._store)
        self._convicting = False
        self._summary = Summary()
        self._started_at = dt.datetime.now(dt.UTC)
        self._has_succeeded = False
        self._next_scan = self._next_housekeeping = self._next_stale = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of files and connections; what is committed is committed, the rest is read again."""
        self._batches.close()
        self._files.close()
        await self._store.close()

    @property
    def summary(self) -> Summary:
        """Give what was done so far."""
        seconds = (dt.datetime.now(dt.UTC) - self._started_at).total_seconds()
        return replace(
            self._summary,
            files=self._files.found,
            unreadable=len(self._files.unreadable),
            unended=self._files.unended(),
            bytes_total=self._summary.bytes_read + self._files.bytes_behind(),
            seconds=seconds,
        )

    async def run_once(self, progress: Progress | None = None) -> Summary:
        """Read what is there to its end, judge what is unfinished, and return.

        :raises SourceNotFoundError: One of the paths does not exist.
        :raises DatabaseUnreachableError: The database is away.
        """
        self._files.require()
        await self._store.prepare()
        await self._reload()
        before = await self._count_executions()
        persist = partial(self._persist, once=True)
        await persist(lambda: self._drain(progress))
        if self._judge.ask():
            await persist(lambda: self._drain(progress))
            await persist(self._convict)
        await persist(self._time_out)
        await self._remove_old()
        while await persist(lambda: rollup.roll_up(self._store)):
            pass
        await persist(lambda: self._note_presence(stopped=True))
        return replace(self.summary, executions=await self._count_executions() - before)

    async def run(self, stop: asyncio.Event, progress: Progress | None = None) -> Summary:
        """Follow the files until `stop` is set; a database that is away is waited for.

        :raises DatabaseRefusedError: The database's server lets nobody in by this URL.
        :raises SchemaError: The database's schema is not the one this version works on.
        """
        changed = asyncio.Event()
        ended = asyncio.Event()
        watcher = asyncio.create_task(watch(self._files.paths, changed, ended))
        try:
            await self._outwait(self._prepare, stop, at_first=True)
            while not stop.is_set():
                await self._outwait(lambda: self._pass(changed, progress), stop)
                await _any_of((changed, stop), _TICK)
            with contextlib.suppress(DatabaseError):
                await self._note_presence(stopped=True)
        finally:
            ended.set()
            await watcher
        return self.summary

    async def _prepare(self) -> None:
        await self._store.prepare()
        await self._reload()
        for path in self._files.missing():
            _log.warning("%s; waiting for one", absence(path))

    async def _outwait(
        self, work: Callable[[], Awaitable[object]], stop: asyncio.Event, *, at_first: bool = False
    ) -> None:
        """Do it until it is done or `stop` is set, however long the database is away, or refuses.

        :param at_first: There may be no tables yet, and what was refused from the beginning is not going to be taken
            later.
        """
        wait, longest = _BACKOFF
        away = False
        while not stop.is_set():
            try:
                if away and not at_first:
                    # A commit that failed may have happened: only the positions tell.
                    await self._reload()
                await self._persist(work)
            except DatabaseError as error:
                if isinstance(error, SchemaError) or (at_first and not _may_come_back(error)):
                    raise
                if not isinstance(error, DatabaseUnreachableError):
                    await self._check_schema()
                if not away:
                    _log.warning("%s; waiting for it, the log files keep the lines", error)
                away = True
                self._batches.close()  # Their connections may be the ones that it has no room for.
                await _any_of((stop,), wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, longest)
            else:
                if away:
                    _log.warning("the database is back")
                return

    async def _check_schema(self) -> None:
        """Find out whether the database refuses because somebody has upgraded it: then it always will.

        :raises SchemaError: So it is; what is started anew may be a newer version.
        """
        try:
            await migrate.check_again(self._store.engine)
        except SchemaError:
            raise
        except DatabaseError:
            pass  # It refuses this too, and is waited for.

    async def _persist(self, work: Callable[[], Awaitable[T]], *, once: bool = False) -> T:
        """Do it again, from what the database holds, for as long as other transactions are in the way.

        :param once: Nobody waits for a database that is away; but it may have been the connection alone that died, of
            one who has others write a backlog for long.
        """
        while True:
            try:
                return await work()
            except TransactionConflictError:
                await self._reload()
            except DatabaseUnreachableError:
                if not once:
                    raise
                once = False
                await self._reload()

    async def _reload(self) -> None:
        """Take the positions from the database, and go on from there."""
        self._batches.drop()
        self._files.rewind(await self._store.checkpoints(self._files.inodes()))
        for source in self._files:
            # A header may be in the database by a commit whose reply did not come.
            writer = source.checkpoint.writer
            if writer is not None and not self._judge.knows(writer):
                self._note_header(source)

    async def _pass(self, changed: asyncio.Event, progress: Progress | None) -> None:
        """Look once, and commit what there is; called again a tick later, or at once when something changes."""
        self._store.require_file()
        now = time.monotonic()
        if changed.is_set() or now >= self._next_scan:
            changed.clear()
            self._scan()
            took = time.monotonic() - now
            self._next_scan = time.monotonic() + max(_TICK, _LONGEST_SCAN_SHARE * took)
        while await self._batch(progress) and time.monotonic() < self._next_housekeeping:
            pass
        if self._files.left:
            self._next_scan = 0.0
        if time.monotonic() >= self._next_housekeeping:
            await self._keep_house()
            self._next_housekeeping = time.monotonic() + _HOUSEKEEPING_EVERY

    async def _drain(self, progress: Progress | None) -> None:
        """Scan, and read until nothing is left; where too many files would be open, some after the others."""
        left = -1
        while self._files.left != left:
            left = self._files.left
            self._scan()
            while await self._batch(progress):
                left = -1
            if not self._files.left:
                return

    async def _keep_house(self) -> None:
        if self._convicting and not self._files.left:
            await self._convict()
        elif self._judge.ask():
            # They are convicted after a scan and a look at all files from here on.
            self._convicting = True
            self._next_scan = 0.0
        if time.monotonic() >= self._next_stale:
            await self._time_out()
            await self._remove_old()
            if self._store.file is not None:
                await asyncio.to_thread(sqlite.shorten_wal, self._store.file)
            self._next_stale = time.monotonic() + _STALE_EVERY
        await rollup.roll_up(self._store, before=dt.datetime.now(dt.UTC) - rollup.SETTLING)
        await self._note_presence()
        self._files.close_quiet()
        self._batches.rest()

    async def _convict(self) -> None:
        convicted = self._judge.convict(self._files)
        self._convicting = False
        if not convicted:
            return
        torn = [
            portion
            for source in self._files
            if source.checkpoint.writer in convicted and (portion := self._files.read_torn(source)) is not None
        ]
        if torn:
            await self._store.commit(torn, Rows())
            self._committed(torn)
        crashed = await verdicts.crash(self._store, self._judge.gone, convicted)
        self._summary = replace(self._summary, crashed=self._summary.crashed + crashed)

    async def _time_out(self) -> None:
        timed_out = await verdicts.time_out(self._store, self.stale_after, self._judge)
        self._summary = replace(self._summary, timed_out=self._summary.timed_out + timed_out)

    async def _remove_old(self) -> None:
        if self.remove_after is None:
            return
        self._store.require_file()
        now = dt.datetime.now(dt.UTC)
        forgotten = False
        for source in self._files.older_than(self.remove_after):
            with contextlib.suppress(OSError):
                if not retention.is_done(source, self.remove_after, now):
                    continue
                # As the database has it now: from a backup that was restored, lines are missing that were in it once.
                known = await self._store.checkpoints([source.checkpoint.identity.inode])
                if retention.is_kept(source, known):
                    if retention.remove(source):
                        _log.info("removed %s, which is in the database", source.path)
                else:
                    forgotten = True
        if forgotten:
            await self._reload()

    async def _note_presence(self, *, stopped: bool = False) -> None:
        files = self._files
        noted = presence.Presence(
            files.paths, files.found, files.found_bytes, files.bytes_behind(), self._started_at, stopped
        )
        if not self._has_succeeded:
            await presence.succeed(self._store, noted)
            self._has_succeeded = True
        await presence.note(self._store, noted)

    def _scan(self) -> None:
        for source in self._files.scan():
            self._note_header(source)

    def _note_header(self, source: Source) -> None:
        if (header := self._files.header(source)) is not None:
            self._judge.note(header, source)

    async def _batch(self, progress: Progress | None) -> bool:
        """Read a batch from the files that have something to read, and commit it; False when there was nothing."""
        portions, folding = await self._batches.next()
        if not portions:
            return False
        try:
            await self._batches.commit(portions, folding)
        except RowsRefusedError:
            self._batches.drop()
            if not await poison.take_out(self._store, portions):
                raise
            await self._store.commit(portions, folded(portions))
        self._committed(portions)
        if progress is not None:
            progress(self.summary)
        return True

    def _committed(self, portions: Sequence[Portion]) -> None:
        for portion in portions:
            self._files.committed(portion)
            for header in portion.opened:
                self._judge.note(header, portion.source)
            self._count(portion)

    def _count(self, portion: Portion) -> None:
        summary, before, after = self._summary, portion.before, portion.after
        if portion.rejected and not (before and before.lines_quarantined):
            first = portion.rejected[0]
            _log.warning("%s, byte %d: %s; the line is in quarantine", after.path, first.offset, first.reason)
        self._summary = replace(
            summary,
            bytes_read=summary.bytes_read + portion.bytes_read,
            lines=summary.lines + after.lines - (before.lines if before else 0),
            passed=summary.passed + after.lines_passed - (before.lines_passed if before else 0),
            quarantined=summary.quarantined + after.lines_quarantined - (before.lines_quarantined if before else 0),
        )

    async def _count_executions(self) -> int:
        async with self._store.reading() as connection:
            return int(await connection.scalar(select(func.count()).select_from(schema.agent_executions)) or 0)


def _may_come_back(error: DatabaseError) -> bool:
    return isinstance(error, DatabaseUnreachableError) and not isinstance(error, DatabaseRefusedError)


async def _any_of(events: Iterable[asyncio.Event], seconds: float) -> None:
    """Wait until one of the events is set, or so long."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
