"""What a batch changes in a database, statement by statement, within one transaction that others begin and end.

It asks for no more of that transaction than stands in `Transaction`, so that a process that loads little can do it.
"""

import datetime as dt
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Protocol

import orjson

from tracklog.ingester.decode import Event, integer_of, name_of, ordinal_of, text_of
from tracklog.ingester.errors import OvertakenError
from tracklog.ingester.fold import LOG_COLUMNS, Rows, WriterSeen, json_of
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS, Row, Rules, assignments
from tracklog.ingester.ranges import union

Values = Sequence[Any]
"""A row, in the order of its columns; JSON as text, times as aware datetimes or as `decode.written` writes them."""


class Transaction(Protocol):
    """A transaction on one of the two databases, as far as it is needed here."""

    @property
    def is_sqlite(self) -> bool:
        """Tell which of the two databases it is."""

    async def fetch(self, sql: str, keys: Iterable[str], *values: Any) -> Sequence[Values]:
        """Run a statement in which `{keys}` stands for a list of texts, and `$2`, `$3` … for values; give its rows."""

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Values], conflict: str) -> int:
        """Insert rows, with what follows `ON CONFLICT`; give how many were inserted or changed."""

    async def update(self, table: str, key: str, columns: Sequence[str], rows: Sequence[Values]) -> int:
        """Set columns of rows whose keys come last; give how many were there."""

    async def copied(self, *parts: tuple[str, Sequence[str], Sequence[Values]]) -> bool:
        """Copy rows straight into tables; False, and nothing was, where a key is there or there is no such way."""


class Database(Protocol):
    """A database that a process of its own writes to, which loads what is needed for that only."""

    def begin(self, work: Callable[[Any], Coroutine[Any, Any, set[str]]]) -> set[str]:
        """Begin a transaction, which the next `write` goes on with, do something in it, and give its result.

        Where only one transaction can be at a time, none begins, and nothing is done.
        """

    def write(self, work: Callable[[Any], Coroutine[Any, Any, bool]]) -> bool:
        """Do something in a transaction, and give its result; what fails on the way is rolled back."""

    def take_back(self) -> None:
        """Roll back what has begun, if anything has."""


@dataclass(frozen=True, slots=True)
class Move:
    """One file's position in the database, from where a batch began to where it ended."""

    source_id: str
    before: tuple[int, bool] | None
    """The position, and whether it is inside a line over the limit; None of a file that is not known."""
    after: Values
    """The values of `POSITION_COLUMNS`."""
    identity: Values
    """Those of `IDENTITY_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class Positions:
    """What is committed with the rows of some lines: how far their files are read, and what could not be."""

    moves: Sequence[Move]
    """In the order of their sources."""
    rejected: Sequence[Values]
    """Rows of the quarantine."""
    host: str
    now: dt.datetime
    """When that is; the rows have it as their database keeps it."""


POSITION_COLUMNS: Final = (
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
IDENTITY_COLUMNS: Final = ("host", "inode", "birth_ns", "generation", "first_seen_at")


async def begin(transaction: Transaction, rows: Rows, apart: Set[str]) -> set[str]:
    """Put in, before its turn, what a batch says of new executions: on PostgreSQL, and where they are many.

    No row that is there is locked by it, so that nobody waits for this but who brings the same executions.

    :param apart: The executions that the batch before is about, whose turn it is.
    :returns: The executions of which all is in; `commit` has the others, and what follows from all of them.
    """
    await transaction.fetch(TAKE_PART, ())
    executions, calls, logs = _in_order(rows, apart)
    gone = await pruned(transaction, executions)
    executions, calls = ([row for row in some if row[0] not in gone] for some in (executions, calls))
    copied = await _copy_new(transaction, executions, calls)
    await _insert_logs(transaction, [row for row in logs if row[0] in copied], repeating=False)
    return copied


async def commit(
    transaction: Transaction,
    positions: Positions,
    rows: Rows,
    *,
    repeating: bool = True,
    begun: Set[str] = frozenset(),
) -> bool:
    """Move the positions, and merge the rows of what lies between into what is there; see `add`.

    :raises OvertakenError: Another ingester was first.
    """
    await _move(transaction, positions.moves)
    await transaction.insert(
        "tracklog_quarantine",
        ("source_id", "line_offset", "length", "reason", "head", "quarantined_at"),
        positions.rejected,
        "(source_id, line_offset) DO UPDATE SET length = excluded.length, reason = excluded.reason",
    )
    return await add(transaction, rows, positions.host, positions.now, repeating=repeating, begun=begun)


async def add(
    transaction: Transaction,
    rows: Rows,
    host: str,
    now: dt.datetime,
    *,
    repeating: bool = True,
    begun: Set[str] = frozenset(),
) -> bool:
    """Merge rows into what is there, but for executions that were pruned.

    :param repeating: Whether lines may well be there already: then COPY straight in is not tried.
    :param begun: The executions of which `begin` put everything in, in the same transaction.
    :returns: Whether some lines were there.
    """
    await _note_writers(transaction, rows.writers)
    if not rows.executions:
        return repeating
    executions, calls, logs = _in_order(rows, begun)
    if gone := await pruned(transaction, executions):
        executions, calls, logs = ([row for row in some if row[0] not in gone] for some in (executions, calls, logs))
    touched = sorted([*begun, *(row[0] for row in executions)])
    if copied := await _copy_new(transaction, executions, calls):
        executions, calls = ([row for row in some if row[0] not in copied] for some in (executions, calls))
    await _upsert(transaction, EXECUTIONS, _MOVED, executions)
    await _upsert(transaction, LLM_CALLS, {}, calls)
    repeating = await _insert_logs(transaction, logs, repeating=repeating)
    if with_calls := sorted({call[0] for call in calls}):
        await transaction.fetch(_SUM_CALLS, with_calls)
    await transaction.fetch(_DERIVE_CHAINS, touched)
    await mark_windows(transaction, touched, host, now)
    return repeating


def _in_order(rows: Rows, apart: Set[str]) -> Iterable[Sequence[Values]]:
    """Give executions, calls and logs, without those of some executions.

    They are in the order of their keys, which come first: so no two transactions wait for each other for ever.
    """
    for some in (rows.executions, rows.llm_calls, rows.logs):
        yield sorted([row for row in some if row[0] not in apart] if apart else some)


async def pruned(transaction: Transaction, executions: Sequence[Values]) -> set[str]:
    """Give those of some executions that were pruned."""
    return {execution_id for (execution_id,) in await transaction.fetch(_PRUNED, [row[0] for row in executions])}


async def _move(transaction: Transaction, moves: Sequence[Move]) -> None:
    """Move every position from where this batch began to where it ended, or fail."""
    lock = "" if transaction.is_sqlite else " FOR UPDATE"
    rows = await transaction.fetch(
        "SELECT source_id, position, skipping FROM tracklog_sources WHERE source_id IN ({keys})"
        f" ORDER BY source_id{lock}",
        [move.source_id for move in moves],
    )
    there = {source_id: (position, bool(skipping)) for source_id, position, skipping in rows}
    if there != {move.source_id: move.before for move in moves if move.before is not None}:
        raise OvertakenError
    old = [(*move.after, move.source_id) for move in moves if move.before is not None]
    new = [(*move.after, *move.identity, move.source_id) for move in moves if move.before is None]
    moved = await transaction.update("tracklog_sources", "source_id", POSITION_COLUMNS, old)
    made = await transaction.insert(
        "tracklog_sources",
        (*POSITION_COLUMNS, *IDENTITY_COLUMNS, "source_id"),
        new,
        "(source_id) DO NOTHING",
    )
    if moved != len(old) or made != len(new):
        raise OvertakenError


async def _insert_logs(transaction: Transaction, logs: Sequence[Values], *, repeating: bool) -> bool:
    """Insert the rows of lines, and tell whether some were there already."""
    if not logs:
        return repeating
    if not repeating and await transaction.copied(("agent_execution_logs", LOG_COLUMNS, logs)):
        return False
    inserted = await transaction.insert(
        "agent_execution_logs", LOG_COLUMNS, logs, "(execution_id, writer, seq) DO NOTHING"
    )
    return inserted < len(logs)


async def mark_windows(transaction: Transaction, touched: Iterable[str], host: str, now: dt.datetime) -> None:
    """Note the minutes of these executions as dirty: until they are rolled up, readers take them from the rows."""
    created, moved = (minute_of(column, is_sqlite=transaction.is_sqlite) for column in ("created_at", "moved_at"))
    sql = _MARK_WINDOWS.format(created=created, moved=moved, keys="{keys}")
    await transaction.fetch(sql, touched, host, now)


def minute_of(column: str, *, is_sqlite: bool) -> str:
    """Give the SQL for the beginning of the minute that a column's time lies in."""
    return f"strftime('%Y-%m-%d %H:%M:00.000000', {column})" if is_sqlite else f"date_trunc('minute', {column})"


# A row that moves to another minute or agent leaves a mark of where it was counted before: SET sees the old row.
_ASSIGNED: Final = assignments(EXECUTIONS)
_LEFT: Final = (
    f"excluded.created_at < t.created_at OR COALESCE({_ASSIGNED['agent_name']}, '') <> COALESCE(t.agent_name, '')"
)
_MOVED: Final = {
    "moved_at": f"CASE WHEN {_LEFT} THEN t.created_at END",
    "moved_agent": f"CASE WHEN {_LEFT} THEN COALESCE(t.agent_name, '') END",
}

# Of no row, so that it locks the table alone: see `store.be_alone`. Whatever commits positions does it by that.
TAKE_PART: Final = "SELECT FROM tracklog_sources WHERE source_id IN ({keys}) FOR KEY SHARE"

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


async def _copy_new(transaction: Transaction, executions: Sequence[Values], calls: Sequence[Values]) -> set[str]:
    """Copy executions that are not there yet, and their calls, straight in, on PostgreSQL and where they are many.

    :returns: Which ones were; all others are to be merged.
    """
    if transaction.is_sqlite or len(executions) < _WORTH_COPYING:
        return set()
    known = await _known(transaction, [row[0] for row in executions])
    executions, calls = ([row for row in some if row[0] not in known] for some in (executions, calls))
    if not executions:
        return set()
    sums = _summed(calls)
    summed = [(*row, *sums.get(row[0], _NO_CALLS)) for row in executions]
    is_copied = await transaction.copied(
        (EXECUTIONS.table, (*EXECUTIONS.columns, *_SUM_COLUMNS), summed),
        (LLM_CALLS.table, LLM_CALLS.columns, calls),
    )
    return {row[0] for row in executions} if is_copied else set()


_WORTH_COPYING: Final = 100
"""Below so many executions a COPY takes more turns to the server and back than it saves work there."""


async def _known(transaction: Transaction, ids: Sequence[str]) -> set[str]:
    sql = "SELECT execution_id FROM agent_executions WHERE execution_id IN ({keys})"
    return {execution_id for (execution_id,) in await transaction.fetch(sql, ids)}


_SUM_COLUMNS: Final = ("llm_calls", "llm_tokens_used", "llm_latency_ms", "llm_timed_calls", "llm_model")
_NO_CALLS: Final = (None,) * len(_SUM_COLUMNS)


def _summed(calls: Sequence[Values]) -> dict[str, tuple[Any, ...]]:
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


async def _upsert(transaction: Transaction, rules: Rules, more: Mapping[str, str], rows: Sequence[Values]) -> None:
    settings = ", ".join(f"{name} = {sql}" for name, sql in {**assignments(rules), **more}.items())
    conflict = f"({', '.join(rules.primary_key)}) DO UPDATE SET {settings}"
    await transaction.insert(rules.table, rules.columns, rows, conflict)


async def _note_writers(transaction: Transaction, writers: Mapping[str, WriterSeen]) -> None:
    """Add what was seen of each writer to what is known of it."""
    names = sorted(writers)
    if not names:
        return
    # First there is a row for each, so that there is one to lock.
    await transaction.insert(
        "tracklog_writers", ("writer", "seen", "last_seq"), [(name, "[]", 0) for name in names], "(writer) DO NOTHING"
    )
    lock = "" if transaction.is_sqlite else " FOR UPDATE"
    known = await transaction.fetch(
        "SELECT writer, CAST(seen AS TEXT), opened_seq, closed_seq FROM tracklog_writers WHERE writer IN ({keys})"
        f" ORDER BY writer{lock}",
        names,
    )
    changes: dict[tuple[str, ...], list[Values]] = {}
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
        await transaction.update("tracklog_writers", "writer", columns, rows)


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
