"""What is kept: a batch of lines becomes rows and positions, in one transaction, exactly once."""

import contextlib
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, migrate, schema
from tracklog.ingester.database import open_engine, transaction
from tracklog.ingester.decode import Event, integer_of, name_of, ordinal_of, text_of
from tracklog.ingester.errors import OvertakenError
from tracklog.ingester.fold import LOG_COLUMNS, Changes, LogRow, Rows, WriterSeen, json_of
from tracklog.ingester.identify import Compression, Identity
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS, Row, Rules, assignments
from tracklog.ingester.ranges import union
from tracklog.ingester.sources import Checkpoint, Portion
from tracklog.processors.errors import TracklogError

_TIMEOUTS: Final = (
    "SET LOCAL lock_timeout = '30s'",  # Longer than any batch; then the other side is stuck and the batch is repeated.
    "SET LOCAL idle_in_transaction_session_timeout = '60s'",  # An ingester that was stopped lets go of its locks.
)

_POSITION_COLUMNS: Final = (
    "path",
    "compression",
    "device",
    "head_length",
    "head_hash",
    "tail_length",
    "tail_hash",
    "position",
    "size",
    "skipping",
    "ended",
    "writer",
    "segment",
    "lines",
    "lines_passed",
    "lines_quarantined",
    "read_at",
)
_IDENTITY_COLUMNS: Final = ("host", "inode", "birth_ns", "generation", "first_seen_at")


class _TakenBackError(TracklogError):
    """Rolls a transaction back that was only an attempt."""


class Store:
    """A database, as the ingester uses it."""

    def __init__(self, url: str, host: str, *, patient: bool = True) -> None:
        self.host = host
        self.engine = open_engine(url, patient=patient)
        self._repeating = False
        """Whether the last batch brought lines that were there already: then COPY straight in is not tried."""

    @property
    def file(self) -> str | None:
        """The file that an SQLite database is; None of PostgreSQL."""
        return self.engine.url.database if self.engine.dialect.name == "sqlite" else None

    async def prepare(self) -> None:
        """Make the schema in an empty database.

        :raises SchemaError: The schema is one that this version does not work on.
        :raises DatabaseUnreachableError: The database is away.
        """
        await migrate.prepare(self.engine)

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Run a transaction; see `database.transaction`."""
        return transaction(self.engine)

    async def close(self) -> None:
        """Let go of the connections."""
        await self.engine.dispose()

    async def checkpoints(self) -> dict[tuple[int, int], Checkpoint]:
        """Give the latest generation of every source on this host, by its locator."""
        table = schema.tracklog_sources
        async with self.transaction() as connection:
            rows = await connection.execute(select(table).where(table.c.host == self.host).order_by(table.c.generation))
            checkpoints = [_checkpoint(row) for row in rows.mappings()]
        return {checkpoint.identity.locator: checkpoint for checkpoint in checkpoints}

    async def commit(self, portions: Sequence[Portion], rows: Rows) -> None:
        """Commit what the portions were folded into, with their positions.

        :raises OvertakenError: Another ingester was first; nothing was committed.
        :raises RowsRefusedError: The database refuses what some line says; nothing was committed.
        :raises DatabaseUnreachableError: The database went away; whether it was committed, only the positions tell.
        """
        now = dt.datetime.now(dt.UTC)
        async with self.transaction() as connection:
            await limit_waiting(connection)
            await self._move_positions(connection, portions, now)
            await _quarantine(connection, portions, now)
            await self.add(connection, rows, now)

    async def attempt(self, rows: Rows) -> None:
        """Find out whether the database takes rows, and take them back.

        :raises RowsRefusedError: It does not.
        """
        with contextlib.suppress(_TakenBackError):
            async with self.transaction() as connection:
                await limit_waiting(connection)
                await self.add(connection, rows, dt.datetime.now(dt.UTC))
                raise _TakenBackError

    async def add(self, connection: AsyncConnection, rows: Rows, now: dt.datetime) -> None:
        """Merge rows into what is there, but for executions that were pruned."""
        await _note_writers(connection, rows.writers)
        if not rows.executions:
            return
        # In the order of their keys, which come first: so no two transactions wait for each other for ever.
        executions, calls, logs = (sorted(some) for some in (rows.executions, rows.llm_calls, rows.logs))
        touched = [row[0] for row in executions]
        if pruned := {execution_id for (execution_id,) in await bulk.fetch(connection, _PRUNED, touched)}:
            executions, calls, logs = (
                [row for row in some if row[0] not in pruned] for some in (executions, calls, logs)
            )
            touched = [row[0] for row in executions]
        if copied := await _copy_new(connection, executions, calls):
            executions, calls = ([row for row in some if row[0] not in copied] for some in (executions, calls))
        await _upsert(connection, EXECUTIONS, _MOVED, executions)
        await _upsert(connection, LLM_CALLS, {}, calls)
        await self._insert_logs(connection, logs)
        if with_calls := sorted({call[0] for call in calls}):
            await bulk.fetch(connection, _SUM_CALLS, with_calls)
        await bulk.fetch(connection, _DERIVE_CHAINS, touched)
        await mark_windows(connection, touched, self.host, now)

    async def _move_positions(self, connection: AsyncConnection, portions: Sequence[Portion], now: dt.datetime) -> None:
        """Move every position from where this batch began to where it ended, or fail."""
        table = schema.tracklog_sources
        portions = sorted(portions, key=lambda portion: portion.after.source_id)
        lock = "" if bulk.is_sqlite(connection) else " FOR UPDATE"
        rows = await bulk.fetch(
            connection,
            "SELECT source_id, position, skipping FROM tracklog_sources WHERE source_id IN ({keys})"
            f" ORDER BY source_id{lock}",
            [portion.after.source_id for portion in portions],
        )
        there = {source_id: (position, bool(skipping)) for source_id, position, skipping in rows}
        expected = {
            portion.before.source_id: (portion.before.position, portion.before.skipping)
            for portion in portions
            if portion.before is not None
        }
        if there != expected:
            raise OvertakenError
        old = [portion.after for portion in portions if portion.before is not None]
        new = [portion.after for portion in portions if portion.before is None]
        moved = await bulk.update(
            connection, table, "source_id", _POSITION_COLUMNS, [(*_position(one, now), one.source_id) for one in old]
        )
        made = await bulk.insert(
            connection,
            table,
            (*_POSITION_COLUMNS, *_IDENTITY_COLUMNS, "source_id"),
            [
                (
                    *_position(one, now),
                    self.host,
                    one.identity.inode,
                    one.identity.birth_ns,
                    one.generation,
                    now,
                    one.source_id,
                )
                for one in new
            ],
            "(source_id) DO NOTHING",
        )
        if moved != len(old) or made != len(new):
            raise OvertakenError

    async def _insert_logs(self, connection: AsyncConnection, logs: Sequence[LogRow]) -> None:
        table = schema.agent_execution_logs
        if not logs:
            return
        if not bulk.is_sqlite(connection) and not self._repeating:
            if await _copied(connection, (table, LOG_COLUMNS, logs)):
                return
            self._repeating = True
        inserted = await bulk.insert(connection, table, LOG_COLUMNS, logs, "(execution_id, writer, seq) DO NOTHING")
        self._repeating = inserted < len(logs)


def folded(portions: Iterable[Portion]) -> Rows:
    """Fold the lines of some portions once more, as after some were taken out."""
    changes = Changes()
    for portion in portions:
        for event in portion.events():
            changes.add(event, portion.after.source_id)
    return changes.rows()


async def limit_waiting(connection: AsyncConnection) -> None:
    """Keep a transaction on PostgreSQL from waiting for ever; it also begins it, for asyncpg's own calls."""
    if not bulk.is_sqlite(connection):
        for statement in _TIMEOUTS:
            await connection.exec_driver_sql(statement)


async def mark_windows(connection: AsyncConnection, touched: Iterable[str], host: str, now: dt.datetime) -> None:
    """Note the minutes of these executions as dirty: until they are rolled up, readers take them from the rows."""
    created, moved = minute_of(connection, "created_at"), minute_of(connection, "moved_at")
    await bulk.fetch(connection, _MARK_WINDOWS.format(created=created, moved=moved, keys="{keys}"), touched, host, now)


def minute_of(connection: AsyncConnection, column: str) -> str:
    """Give the SQL for the beginning of the minute that a column's time lies in."""
    if bulk.is_sqlite(connection):
        return f"strftime('%Y-%m-%d %H:%M:00.000000', {column})"
    return f"date_trunc('minute', {column})"


# A row that moves to another minute or agent leaves a mark of where it was counted before: SET sees the old row.
_ASSIGNED: Final = assignments(EXECUTIONS)
_LEFT: Final = (
    f"excluded.created_at < t.created_at OR COALESCE({_ASSIGNED['agent_name']}, '') <> COALESCE(t.agent_name, '')"
)
_MOVED: Final = {
    "moved_at": f"CASE WHEN {_LEFT} THEN t.created_at END",
    "moved_agent": f"CASE WHEN {_LEFT} THEN COALESCE(t.agent_name, '') END",
}

_PRUNED: Final = "SELECT execution_id FROM tracklog_purged WHERE execution_id IN ({keys})"

_SUM_CALLS: Final = """
UPDATE agent_executions SET
    llm_calls = s.calls, llm_tokens_used = s.tokens, llm_latency_ms = s.latency,
    llm_timed_calls = s.timed,
    llm_model = (
        SELECT c.model FROM agent_llm_calls AS c
        WHERE c.execution_id = agent_executions.execution_id AND c.model IS NOT NULL
        ORDER BY COALESCE(c.request_key, c.end_key) DESC, c.call_id DESC LIMIT 1
    )
FROM (
    SELECT execution_id, count(*) AS calls, sum(tokens_used) AS tokens, sum(latency_ms) AS latency,
        count(latency_ms) AS timed
    FROM agent_llm_calls WHERE execution_id IN ({keys}) GROUP BY execution_id
) AS s
WHERE agent_executions.execution_id = s.execution_id
"""

_CHAIN_COLUMNS: Final = (
    "parent_execution_id",
    "root_execution_id",
    "depth",
    "child_agent",
    "call_reason",
    "created_at",
)
_DERIVE_CHAINS: Final = f"""
INSERT INTO agent_call_chains (child_execution_id, {", ".join(_CHAIN_COLUMNS)})
SELECT execution_id, parent_execution_id, root_execution_id, depth, agent_name, call_reason, created_at
FROM agent_executions WHERE execution_id IN ({{keys}}) AND parent_execution_id IS NOT NULL ORDER BY execution_id
ON CONFLICT (child_execution_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _CHAIN_COLUMNS)}
"""

_MARK_WINDOWS: Final = """
INSERT INTO tracklog_dirty_windows (agent_name, window_start, marked_by, marked_at)
SELECT w.agent_name, w.minute, $2, $3 FROM (
    SELECT COALESCE(agent_name, '') AS agent_name, {created} AS minute
    FROM agent_executions WHERE execution_id IN ({keys}) AND created_at IS NOT NULL
    UNION
    SELECT moved_agent, {moved} FROM agent_executions WHERE execution_id IN ({keys}) AND moved_at IS NOT NULL
) AS w WHERE true ORDER BY 1, 2
ON CONFLICT (agent_name, window_start, marked_by) DO UPDATE SET marked_at = excluded.marked_at
"""


async def _copy_new(
    connection: AsyncConnection, executions: Sequence[bulk.Values], calls: Sequence[bulk.Values]
) -> set[str]:
    """Copy executions that are not there yet, and their calls, straight in, on PostgreSQL and where they are many.

    :returns: Which ones were; all others are to be merged.
    """
    if bulk.is_sqlite(connection) or len(executions) < _WORTH_COPYING:
        return set()
    known = await _known(connection, [row[0] for row in executions])
    executions, calls = ([row for row in some if row[0] not in known] for some in (executions, calls))
    if not executions:
        return set()
    sums = _summed(calls)
    summed = [(*row, *sums.get(row[0], _NO_CALLS)) for row in executions]
    is_copied = await _copied(
        connection,
        (schema.agent_executions, (*EXECUTIONS.columns, *_SUM_COLUMNS), summed),
        (schema.agent_llm_calls, LLM_CALLS.columns, calls),
    )
    return {row[0] for row in executions} if is_copied else set()


_WORTH_COPYING: Final = 100
"""Below so many executions a COPY takes more turns to the server and back than it saves work there."""


async def _known(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    sql = "SELECT execution_id FROM agent_executions WHERE execution_id IN ({keys})"
    return {execution_id for (execution_id,) in await bulk.fetch(connection, sql, ids)}


_SUM_COLUMNS: Final = ("llm_calls", "llm_tokens_used", "llm_latency_ms", "llm_timed_calls", "llm_model")
_NO_CALLS: Final = (None,) * len(_SUM_COLUMNS)


def _summed(calls: Sequence[bulk.Values]) -> dict[str, tuple[Any, ...]]:
    """Sum the calls of executions that have no others up, as `_SUM_CALLS` would; they are in the order of their keys.

    A row that is written with its sums is not written a second time.
    """
    sums = {}
    for execution_id, own in groupby(map(_SUMMED, calls), itemgetter(0)):
        number, tokens, latencies, models = 0, [], [], []
        for _, call_id, model, request_key, end_key, used, latency in own:
            number += 1
            if used is not None:
                tokens.append(used)
            if latency is not None:
                latencies.append(latency)
            if model is not None:
                models.append((end_key if request_key is None else request_key, call_id, model))
        sums[execution_id] = (
            number,
            sum(tokens) if tokens else None,
            sum(latencies) if latencies else None,
            len(latencies),
            max(models)[2] if models else None,
        )
    return sums


_SUMMED: Final = itemgetter(
    *map(
        LLM_CALLS.columns.index,
        ("execution_id", "call_id", "model", "request_key", "end_key", "tokens_used", "latency_ms"),
    )
)


async def _copied(connection: AsyncConnection, *parts: tuple[Table, Sequence[str], Sequence[bulk.Values]]) -> bool:
    """Copy rows into tables of PostgreSQL; False, and nothing was, if a key is there, by another ingester."""
    try:
        async with connection.begin_nested():
            for table, columns, rows in parts:
                await bulk.copy(connection, table, columns, rows)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def _upsert(
    connection: AsyncConnection, rules: Rules, more: Mapping[str, str], rows: Sequence[bulk.Values]
) -> None:
    table = schema.metadata.tables[rules.table]
    settings = ", ".join(f"{name} = {sql}" for name, sql in {**assignments(rules), **more}.items())
    await bulk.insert(
        connection, table, rules.columns, rows, f"({', '.join(rules.primary_key)}) DO UPDATE SET {settings}"
    )


async def _quarantine(connection: AsyncConnection, portions: Sequence[Portion], now: dt.datetime) -> None:
    rows = [
        (portion.after.source_id, line.offset, line.length, line.reason, line.head, now)
        for portion in portions
        for line in portion.rejected
    ]
    await bulk.insert(
        connection,
        schema.tracklog_quarantine,
        ("source_id", "line_offset", "length", "reason", "head", "quarantined_at"),
        sorted(rows),
        "(source_id, line_offset) DO UPDATE SET length = excluded.length, reason = excluded.reason",
    )


async def _note_writers(connection: AsyncConnection, writers: Mapping[str, WriterSeen]) -> None:
    """Add what was seen of each writer to what is known of it."""
    names = sorted(writers)
    if not names:
        return
    table = schema.tracklog_writers
    # First there is a row for each, so that there is one to lock.
    await bulk.insert(
        connection, table, ("writer", "seen", "last_seq"), [(name, "[]", 0) for name in names], "(writer) DO NOTHING"
    )
    lock = "" if bulk.is_sqlite(connection) else " FOR UPDATE"
    known = await bulk.fetch(
        connection,
        "SELECT writer, CAST(seen AS TEXT), opened_seq, closed_seq FROM tracklog_writers WHERE writer IN ({keys})"
        f" ORDER BY writer{lock}",
        names,
    )
    changes: dict[tuple[str, ...], list[bulk.Values]] = {}
    for writer, before, opened_seq, closed_seq in known:
        seen = writers[writer]
        ranges = union(orjson.loads(before), seen.seen)
        change: Row = {"seen": orjson.dumps(ranges).decode(), "last_seq": ranges[-1][1]}
        if seen.opened is not None and seen.opened.seq > (opened_seq or 0):
            change |= _opened(seen.opened)
        if seen.closed is not None and seen.closed.seq > (closed_seq or 0):
            change |= _closed(seen.closed)
        changes.setdefault(tuple(change), []).append((*change.values(), writer))
    for columns, rows in changes.items():
        await bulk.update(connection, table, "writer", columns, rows)


def _opened(event: Event) -> Row:
    fields = event.fields
    return {
        "opened_at": event.time,
        "opened_seq": event.seq,
        "segment": ordinal_of(fields.get("segment")),
        "service": name_of(fields.get("service")),
        "host": name_of(fields.get("host")),
        "boot_id": name_of(fields.get("boot_id")),
        "pid": integer_of(fields.get("pid")),
        "versions": json_of(fields.get("versions")),
        "device": integer_of(fields.get("device")),
        "inode": integer_of(fields.get("inode")),
        "locked": fields.get("locked") is True,
    }


def _closed(event: Event) -> Row:
    fields = event.fields
    return {
        "closed_at": event.time,
        "closed_seq": event.seq,
        "closed_reason": text_of(fields.get("reason")),
        "lines_written": integer_of(fields.get("lines_written")),
        "lines_dropped": integer_of(fields.get("lines_dropped")),
    }


def _position(one: Checkpoint, now: dt.datetime) -> tuple[Any, ...]:
    return (
        one.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        one.compression.value if one.compression is not None else None,
        one.identity.device,
        one.head_length,
        one.head_hash,
        one.tail_length,
        one.tail_hash,
        one.position,
        one.size,
        one.skipping,
        one.ended,
        one.writer,
        one.segment,
        one.lines,
        one.lines_passed,
        one.lines_quarantined,
        now,
    )


def _checkpoint(row: Mapping[Any, Any]) -> Checkpoint:
    return Checkpoint(
        source_id=row["source_id"],
        path=row["path"],
        identity=Identity(row["device"], row["inode"], row["birth_ns"]),
        generation=row["generation"],
        compression=Compression(row["compression"]) if row["compression"] is not None else None,
        head_length=row["head_length"],
        head_hash=row["head_hash"],
        tail_length=row["tail_length"],
        tail_hash=row["tail_hash"],
        position=row["position"],
        size=row["size"],
        skipping=row["skipping"],
        ended=row["ended"],
        writer=row["writer"],
        segment=row["segment"],
        lines=row["lines"],
        lines_passed=row["lines_passed"],
        lines_quarantined=row["lines_quarantined"],
    )
