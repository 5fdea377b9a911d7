"""Performance by agent and minute: the rows of the minutes that changed, counted anew and stored."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, schema
from tracklog.ingester.histogram import bucket
from tracklog.ingester.store import Store, limit_waiting

WINDOW: Final = dt.timedelta(minutes=1)

SETTLING: Final = dt.timedelta(minutes=2)
"""A minute is rolled up when it is this old; before, it would be done again with each batch."""

_WINDOWS_PER_STEP: Final = 200
"""Bounds one transaction, so that batches do not wait for it."""

_LOCK: Final = 0x726F_6C6C
"""The advisory lock that lets one ingester at a time roll up, so that no earlier count overwrites a later one."""


async def roll_up(store: Store, *, before: dt.datetime | None = None) -> int:
    """Roll up some of the dirty minutes that began before a time, or of all.

    :returns: How many were; 0 when there is nothing left to do or another ingester is at it.
    """
    async with store.transaction() as connection:
        await limit_waiting(connection)
        if not bulk.is_sqlite(connection):
            got = await connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
            if not got.scalar():
                return 0
        windows = await _take(connection, before)
        # A batch that committed while its mark was being taken is seen by the statements from here on.
        stored = [await _counted(connection, agent, start) for agent, start in windows]
        await bulk.insert(
            connection,
            schema.agent_performance_metrics,
            _COLUMNS,
            [row for row in stored if row is not None],
            f"(agent_name, window_start) DO UPDATE SET {_SETTINGS}",
        )
        metrics = schema.agent_performance_metrics
        for (agent, start), row in zip(windows, stored, strict=True):
            if row is None:
                await connection.execute(
                    delete(metrics).where(metrics.c.agent_name == agent, metrics.c.window_start == start)
                )
    return len(windows)


_COLUMNS: Final = tuple(column.name for column in schema.agent_performance_metrics.columns)
_SETTINGS: Final = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])


async def _take(connection: AsyncConnection, before: dt.datetime | None) -> list[tuple[str, dt.datetime]]:
    dirty = schema.tracklog_dirty_windows
    query = select(dirty.c.agent_name, dirty.c.window_start).distinct()
    if before is not None:
        query = query.where(dirty.c.window_start < before)
    query = query.order_by(dirty.c.agent_name, dirty.c.window_start).limit(_WINDOWS_PER_STEP)
    windows = [(row.agent_name, row.window_start) for row in await connection.execute(query)]
    for agent, start in windows:
        await connection.execute(delete(dirty).where(dirty.c.agent_name == agent, dirty.c.window_start == start))
    return windows


async def _counted(connection: AsyncConnection, agent: str, start: dt.datetime) -> tuple[Any, ...] | None:
    table = schema.agent_executions
    query = select(
        table.c.status,
        table.c.duration_ms,
        table.c.error_type,
        table.c.llm_calls,
        table.c.llm_tokens_used,
        table.c.llm_latency_ms,
        table.c.llm_timed_calls,
    ).where(
        table.c.agent_name == agent if agent else table.c.agent_name.is_(None),
        table.c.created_at >= start,
        table.c.created_at < start + WINDOW,
    )
    rows = (await connection.execute(query)).mappings().all()
    return (agent, start, int(WINDOW.total_seconds()), *counted(rows)) if rows else None


def counted(rows: Iterable[Mapping[Any, Any]]) -> tuple[Any, ...]:
    """Count executions: the values of a rollup's columns from `total_executions` on."""
    statuses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    durations: Counter[int] = Counter()
    duration_sum = latency_sum = 0.0
    llm_calls = llm_tokens = latency_count = 0
    for row in rows:
        statuses[row["status"]] += 1
        if row["error_type"] is not None:
            errors[row["error_type"]] += 1
        if row["duration_ms"] is not None:
            durations[bucket(row["duration_ms"])] += 1
            duration_sum += row["duration_ms"]
        llm_calls += row["llm_calls"] or 0
        llm_tokens += row["llm_tokens_used"] or 0
        latency_count += row["llm_timed_calls"] or 0
        latency_sum += row["llm_latency_ms"] or 0.0
    return (
        statuses.total(),
        orjson.dumps(statuses).decode(),
        orjson.dumps(errors).decode(),
        durations.total(),
        duration_sum,
        orjson.dumps(durations, option=orjson.OPT_NON_STR_KEYS).decode(),
        llm_calls,
        llm_tokens,
        latency_count,
        latency_sum,
    )
