"""What became of executions whose end no line tells: their writer is gone, or cannot be asked and is long silent."""

import datetime as dt
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk
from tracklog.ingester.decode import Event, ordinal_of
from tracklog.ingester.identify import identity_of
from tracklog.ingester.presence import PRESENT
from tracklog.ingester.sources import Source
from tracklog.ingester.store import Store, clock, limit_waiting, mark_windows
from tracklog.processors.program import boot_id

_UNFINISHED: Final = "line_status NOT IN ('success', 'skipped', 'failed', 'timeout')"


def is_free(source: Source) -> bool:
    """Tell whether no process holds a file's lock; the kernel lets go of it however its holder died."""
    try:
        import fcntl  # Not on Windows, where there is no daemon.
    except ImportError:
        return False
    was_open = source.is_open
    try:
        descriptor = source.fileno()
        # Opened by its path, it may be another file by now.
        if identity_of(descriptor, os.fstat(descriptor)).locator != source.checkpoint.identity.locator:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return False
    finally:
        if not was_open:
            source.close()
    return True


@dataclass(slots=True)
class _Writer:
    """A writer that can be asked: by the lock of its newest segment."""

    segment: int
    source: Source


@dataclass(slots=True)
class Judge:
    """Find the writers that are gone: first their lock, then to the end of their files, then the verdict."""

    boot: str | None = field(default_factory=boot_id)
    _living: dict[str, _Writer] = field(default_factory=dict)
    _suspected: dict[str, int] = field(default_factory=dict)
    _gone: list[str] = field(default_factory=list)

    def note(self, header: Event, source: Source) -> None:
        """Note a segment's header; only that of the very file it names proves anything."""
        fields, identity = header.fields, source.checkpoint.identity
        segment = ordinal_of(fields.get("segment"))
        if (
            self.boot is None
            or fields.get("boot_id") != self.boot
            or fields.get("locked") is not True
            or segment is None
            or (fields.get("device"), fields.get("inode")) != (identity.device, identity.inode)
        ):
            return
        known = self._living.get(header.writer)
        if known is None or segment >= known.segment:
            self._living[header.writer] = _Writer(segment, source)

    def holds(self, source: Source) -> bool:
        """Tell whether a source is needed to ask its writer."""
        writer = self._living.get(source.checkpoint.writer or "")
        return writer is not None and writer.source is source

    def ask(self) -> bool:
        """Ask all writers; True if some are suspected to be gone. Then scan, and read all their files to the end."""
        for name, writer in self._living.items():
            if name not in self._suspected and is_free(writer.source):
                self._suspected[name] = writer.segment
        return bool(self._suspected)

    def convict(self, sources: Iterable[Source]) -> list[str]:
        """Give the suspected writers whose files are all read to the end and that have opened no further segment.

        The others are acquitted, or stay suspected until their files are read.
        """
        # Also one that was read to its end and has grown: while much is behind, its turn may not have come again.
        unread = {source.checkpoint.writer for source in sources if not source.at_end or source.bytes_behind()}
        convicted = []
        for name, segment in list(self._suspected.items()):
            if self._living[name].segment != segment:
                del self._suspected[name]
            elif name not in unread:
                del self._suspected[name]
                del self._living[name]
                convicted.append(name)
        self._gone = (self._gone + convicted)[-_REMEMBERED:]
        return convicted

    def knows(self, writer: str) -> bool:
        """Tell whether a writer is known, or was convicted lately."""
        return writer in self._living or writer in self._gone

    def can_ask(self, writer: str) -> bool:
        """Tell whether a writer's file is where it was found."""
        known = self._living.get(writer)
        return known is not None and os.path.exists(known.source.path)

    @property
    def gone(self) -> Sequence[str]:
        """Give the writers that were convicted lately: a late line of a child must not bring their executions back."""
        return self._gone


_REMEMBERED: Final = 1000


async def crash(store: Store, writers: Sequence[str], convicted: Sequence[str]) -> int:
    """Give the unfinished executions of writers that are gone the verdict `crashed`.

    :returns: How many there were.
    """
    now = dt.datetime.now(dt.UTC)
    async with store.transaction() as connection:
        await limit_waiting(connection)
        await bulk.fetch(
            connection, "UPDATE tracklog_writers SET gone_at = $2 WHERE writer IN ({keys})", sorted(convicted), now
        )
        return await _judge(
            connection,
            store.host,
            "crashed",
            f"writer IN ({{keys}}) AND {_UNFINISHED}"
            " AND (verdict_key IS NULL OR verdict_key < last_key OR verdict <> 'crashed')",
            sorted({*writers, *convicted}),
        )


def _is_there(path: str, device: int, inode: int) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (device, inode)


async def time_out(store: Store, stale_after: dt.timedelta, judge: Judge) -> int:
    """Give executions that no lock speaks for, and that are silent for long, the verdict `timeout`.

    :returns: How many there were.
    """
    now = dt.datetime.now(dt.UTC)
    cutoff = (now - stale_after).strftime("%Y-%m-%dT%H:%M:%S")
    async with store.transaction() as connection:
        await limit_waiting(connection)
        present = await clock(connection) - PRESENT
        return await _judge(
            connection,
            store.host,
            "timeout",
            f"{_UNFINISHED} AND line_status <> 'pending'"
            " AND (verdict_key IS NULL OR verdict_key < last_key) AND (last_key < $2 AND last_key >= '0' OR"
            # Lines without a time are as old as the last reading of their file.
            "   last_key < '0' AND NOT EXISTS (SELECT 1 FROM agent_execution_logs AS l"
            "     LEFT JOIN tracklog_sources AS s ON s.source_id = l.source_id"
            "     WHERE l.execution_id = agent_executions.execution_id AND s.read_at >= $6))"
            " AND (writer IS NULL OR writer NOT IN ("
            "   SELECT w.writer FROM tracklog_writers AS w WHERE w.locked AND w.gone_at IS NULL"
            "     AND (w.boot_id = $3 AND w.writer NOT IN ({keys})"
            # Of other hosts, whose ingesters ask their own. Agents may know their host by another name than those do,
            # as in a container: then it is told by who reads their file, and this host does not.
            f"       OR w.host IN ({_PRESENT_ELSEWHERE})"
            f"       OR EXISTS ({_READ} AND s.host IN ({_PRESENT_ELSEWHERE}))"
            f"         AND NOT EXISTS ({_READ} AND s.host = $5))))",
            await _lost(connection, judge, store.host, present),
            cutoff,
            judge.boot,
            present,
            store.host,
            now - stale_after,
        )


_PRESENT_ELSEWHERE: Final = "SELECT host FROM tracklog_ingesters WHERE looked_at > $4 AND host <> $5"
_READ: Final = "SELECT 1 FROM tracklog_sources AS s WHERE s.inode = w.inode AND s.writer = w.writer"


async def _lost(connection: AsyncConnection, judge: Judge, host: str, present: dt.datetime) -> list[str]:
    """Give the writers of this kernel, of unfinished executions, whose own file nobody can ask: it is gone, or never
    was where it was looked for, but for copies of it.
    """
    found = await bulk.fetch(connection, _OWN_FILES, [judge.boot] if judge.boot else [], host, present)
    askable = {
        writer
        for writer, where, *file in found
        if judge.can_ask(writer) or (where is not None and (where != host or _is_there(*file)))
    }
    return sorted({writer for writer, *_ in found} - askable)


# As this host's ingesters have seen them, and those of other hosts that look after them now: perhaps by another path.
_OWN_FILES: Final = f"""
SELECT w.writer, s.host, s.path, s.device, s.inode FROM tracklog_writers AS w
LEFT JOIN tracklog_sources AS s ON s.inode = w.inode AND s.writer = w.writer AND s.host IN (
    SELECT host FROM tracklog_ingesters WHERE looked_at > $3 UNION SELECT CAST($2 AS text)
)
WHERE w.locked AND w.gone_at IS NULL AND w.boot_id IN ({{keys}})
    AND w.writer IN (SELECT writer FROM agent_executions WHERE {_UNFINISHED})
"""


async def _judge(
    connection: AsyncConnection, host: str, verdict: str, condition: str, keys: Sequence[str], *values: Any
) -> int:
    """Give the executions of a condition a verdict, and tell how many there were.

    They are locked in the order of their ids, as batches lock them, so that neither waits for the other for ever. On
    SQLite, where rows have no locks, that order would have it walk through all executions, and not the unfinished ones.
    """
    now = dt.datetime.now(dt.UTC)
    lock = "" if bulk.is_sqlite(connection) else " ORDER BY execution_id FOR UPDATE"
    found = await bulk.fetch(
        connection,
        f"SELECT execution_id FROM agent_executions WHERE {condition}{lock}",
        keys,
        *values,
    )
    ids = [execution_id for (execution_id,) in found]
    if ids:
        await bulk.fetch(
            connection,
            f"UPDATE agent_executions SET verdict = '{verdict}', verdict_key = last_key, verdict_at = $2"
            " WHERE execution_id IN ({keys})",
            ids,
            now,
        )
        await mark_windows(connection, ids, host, now)
    return len(ids)
