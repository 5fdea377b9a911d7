"""Find executions: by id, and the latest, failed, skipped and slow ones."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, UnaryExpression, select

from tracklog.analytics.answers.calls import calls_in_flight, calls_of, interaction, is_going_on
from tracklog.analytics.answers.endings import explain
from tracklog.analytics.query import Period, Query, at_most, chunks, execution_key, key, period, unindexed
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_call_chains, agent_execution_logs, agent_executions, tracklog_sources
from tracklog.processors.states import ExecutionStatus

_executions = agent_executions.c

_BOOKKEEPING: Final = ("field_ranks", "moved_agent", "moved_at")
"""Columns that only the ingester needs, beside those whose name ends in `_key`."""

COLUMNS: Final = tuple(c for c in _executions if not c.name.endswith("_key") and c.name not in _BOOKKEEPING)

FIELDS: Final = tuple(c.name for c in COLUMNS if c.name != "line_status")
"""What the records of executions have."""

SUMMARY: Final = tuple(
    _executions[name]
    for name in (
        "execution_id",
        "agent_name",
        "method",
        "status",
        "current_stage",
        "created_at",
        "duration_ms",
        "error_type",
        "error_message",
        "line_status",
        "completed_at",
    )
)
"""What a list of executions needs beside what it is a list of."""

_BELONGING: Final = tuple(
    _executions[name]
    for name in ("vault_id", "conversation_id", "user_id", "parent_execution_id", "call_reason", "relevance_reasoning")
)

_TIMED: Final = (
    *SUMMARY,
    *(
        _executions[name]
        for name in (
            "vault_id",
            "conversation_id",
            "llm_model",
            "llm_calls",
            "llm_tokens_used",
            "llm_latency_ms",
        )
    ),
)

SLOW_FIELDS: Final = (*(c.name for c in _TIMED if c.name != "line_status"), "overhead_ms")
"""What the records of slow executions have."""

UNSUCCESSFUL: Final = (ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT, ExecutionStatus.CRASHED)


def get_execution(execution_id: str | UUID) -> Query[Record | None]:
    """Give the record of one execution; None when there is none.

    A crashed execution, and one given up on, wrote no error: `error_type` and `error_message` then say what is known.
    """
    rows = yield select(*COLUMNS).where(_executions.execution_id == execution_key(execution_id))
    records = yield from completed(rows)
    return records[0] if records else None


def get_execution_with_logs(execution_id: str | UUID) -> Query[Record | None]:
    """Give one execution with all that belongs to it; None when there is none.

    :return: ``{"execution": …, "logs": […], "llm_calls": […], "children": […]}``. The logs are in the order they were
        written, each with the `file` and the `line_offset` (in bytes) where it stands.
    """
    execution = yield from get_execution(execution_id)
    if execution is None:
        return None
    logs = agent_execution_logs.c
    log_rows = yield (
        select(
            *logs,
            tracklog_sources.c.path.label("file"),
            tracklog_sources.c.host.label("file_host"),
            tracklog_sources.c.compression.label("file_compression"),
        )
        .select_from(agent_execution_logs.outerjoin(tracklog_sources, logs.source_id == tracklog_sources.c.source_id))
        .where(logs.execution_id == execution.execution_id)
        .order_by(logs.timestamp.nulls_last(), logs.writer, logs.seq)
    )
    call_rows = yield calls_of(execution.execution_id)
    links = agent_call_chains.c
    child_rows = yield (
        select(*SUMMARY, links.call_reason)
        .select_from(agent_call_chains.join(agent_executions, links.child_execution_id == _executions.execution_id))
        .where(links.parent_execution_id == execution.execution_id)
        .order_by(_executions.created_at.nulls_last(), _executions.execution_id)
    )
    children = yield from completed(child_rows)
    going_on = is_going_on(execution.status)
    calls = [interaction(row, going_on=going_on) for row in call_rows]
    return Record(execution=execution, logs=log_rows, llm_calls=calls, children=children)


SORTS: Final[Mapping[str, UnaryExpression[Any]]] = {
    "newest": _executions.created_at.desc(),
    "oldest": _executions.created_at.asc(),
    "slowest": _executions.duration_ms.desc(),
    "tokens": _executions.llm_tokens_used.desc(),
    "calls": _executions.llm_calls.desc(),
    "agent": _executions.agent_name.asc(),
}
"""Orders of a list; within each the newest come first."""


def get_recent_executions(
    vault_id: str | UUID | None = None,
    agent_name: str | None = None,
    status: str | None = None,
    limit: int = 50,
    *,
    conversation_id: str | UUID | None = None,
    hours: float | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    sort: str = "newest",
) -> Query[list[Record]]:
    """Give the newest executions first, of all times unless `hours`, `since` or `until` say otherwise.

    :param sort: One of `SORTS` instead; in an order other than by time all that match are looked at.
    :raises ValueError: There is no such order.
    """
    if sort not in SORTS:
        raise ValueError(f"sort must be one of {', '.join(SORTS)}, not {sort!r}")
    when = period(hours, since, until)
    chosen = _filtered(
        select(*COLUMNS), when, vault_id=vault_id, agent_name=agent_name, conversation_id=conversation_id
    )
    if status is not None:
        chosen = chosen.where(beside(_executions.status, conversation_id) == status)
    if sort != "newest":
        order = SORTS[sort].nulls_last(), _executions.created_at.desc().nulls_last(), _executions.execution_id
        rows = yield chosen.order_by(*order).limit(at_most(limit))
        return (yield from completed(rows))
    return (yield from completed((yield from newest(chosen, limit))))


def get_executions(execution_ids: Iterable[str | UUID]) -> Query[dict[str, Record]]:
    """Give the records of executions by their ids, without their payloads; an id that nothing has is left out."""
    found: list[Record] = []
    for ids in chunks(dict.fromkeys(map(execution_key, execution_ids))):
        found += yield select(*SUMMARY, *_BELONGING).where(_executions.execution_id.in_(ids))
    return {record["execution_id"]: record for record in (yield from completed(found))}


def get_failed_executions(
    vault_id: str | UUID | None = None,
    hours: float | None = 24,
    agent_name: str | None = None,
    limit: int = 100,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Give the executions that failed, timed out or crashed, newest first.

    Like each question with `hours` it is of those whose first line is not older, or lies from `since` on and before
    `until`, with hours counted back from `until`.
    """
    chosen = _filtered(select(*COLUMNS), period(hours, since, until), vault_id=vault_id, agent_name=agent_name)
    rows = yield from newest(chosen.where(_executions.status.in_(UNSUCCESSFUL)), limit)
    return (yield from completed(rows))


def get_skipped_executions(
    vault_id: str | UUID | None = None,
    hours: float | None = 24,
    limit: int = 100,
    *,
    agent_name: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Give the executions whose agent decided not to respond, newest first."""
    chosen = _filtered(select(*COLUMNS), period(hours, since, until), vault_id=vault_id, agent_name=agent_name)
    rows = yield from newest(chosen.where(_executions.status == ExecutionStatus.SKIPPED), limit)
    return (yield from completed(rows))


def find_slow_executions(
    threshold_ms: float = 5000,
    vault_id: str | UUID | None = None,
    hours: float | None = 24,
    agent_name: str | None = None,
    limit: int = 100,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Give the executions that took longer than `threshold_ms`, slowest first.

    `overhead_ms` is the time not spent waiting for language models; 0 where calls ran at the same time and their
    latencies add up to more than the whole.
    """
    chosen = _filtered(
        select(*_TIMED),
        period(hours, since, until),
        vault_id=vault_id,
        agent_name=agent_name,
    )
    rows = yield (
        chosen.where(_executions.duration_ms > threshold_ms)
        .order_by(_executions.duration_ms.desc(), _executions.execution_id)
        .limit(at_most(limit))
    )
    records = yield from completed(rows)
    for record in records:
        record["overhead_ms"] = max(0.0, record.duration_ms - (record.llm_latency_ms or 0.0))
    return records


def completed(rows: list[Record]) -> Query[list[Record]]:
    """Say of executions that a verdict ended what their lines could not: the error, and the call in flight.

    Takes rows that have `line_status`, which is removed.
    """
    ended = [row for row in rows if row["status"] != row["line_status"]]
    waiting = yield from calls_in_flight(row["execution_id"] for row in ended)
    for row in rows:
        if row.pop("line_status") != row["status"]:
            explain(row, waiting.get(row["execution_id"]))
    return rows


def beside(column: ColumnElement[str], conversation_id: str | UUID | None) -> ColumnElement[str]:
    """Give a column as it is asked for beside a conversation, if there is one.

    A conversation is short; an agent's past, or that of a status, is long.
    """
    return column if conversation_id is None else unindexed(column)


def _filtered(
    statement: Select[Any],
    when: Period,
    *,
    vault_id: str | UUID | None = None,
    agent_name: str | None = None,
    conversation_id: str | UUID | None = None,
) -> Select[Any]:
    for column, value in ((_executions.vault_id, vault_id), (_executions.agent_name, agent_name)):
        if value is not None:
            statement = statement.where(beside(column, conversation_id) == key(value))
    if conversation_id is not None:
        statement = statement.where(_executions.conversation_id == key(conversation_id))
    return statement.where(*when.has(_executions.created_at))


def newest(chosen: Select[Any], limit: int) -> Query[list[Record]]:
    """Give the newest of some executions; those without a time, as lines of other programs may have none, come last."""
    limit = at_most(limit)
    time, order = _executions.created_at, _executions.execution_id.desc()
    rows = yield chosen.where(time.is_not(None)).order_by(time.desc(), order).limit(limit)
    if len(rows) < limit:
        # PostgreSQL would sort them before all others, and an order that says otherwise finds no index.
        rows += yield chosen.where(time.is_(None)).order_by(order).limit(limit - len(rows))
    return rows
