"""Give the lines of executions, and find lines by what they say."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, cast, exists, func, not_, or_, select, tuple_

from tracklog.analytics.query import Query, at_most, chunks, execution_key, key
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_execution_logs, agent_executions, agent_llm_calls, tracklog_sources
from tracklog.processors.line import Kind

_logs = agent_execution_logs.c
_executions = agent_executions.c
_calls = agent_llm_calls.c
_sources = tracklog_sources.c

_PLACED: Final = (
    *_logs,
    _sources.path.label("file"),
    _sources.host.label("file_host"),
    _sources.compression.label("file_compression"),
)
"""A log row, and the file that it stands in."""


def get_log_lines(execution_ids: Sequence[str | UUID]) -> Query[list[Record]]:
    """Give the log rows of executions, all in the order they were written.

    :return: Each with the `file`, `file_host` and `line_offset` (in bytes, of a compressed file as decompressed) where
        it stands.
    """
    rows: list[Record] = []
    for ids in chunks(dict.fromkeys(map(execution_key, execution_ids))):
        rows += yield _placed().where(_logs.execution_id.in_(ids))
    rows.sort(key=_order)
    return rows


def _order(row: Record) -> tuple[bool, dt.datetime, str, int]:
    time = row["timestamp"]
    return time is None, time or dt.datetime.min.replace(tzinfo=dt.UTC), row["writer"], row["seq"]


def search_log_lines(
    pattern: str,
    *,
    ignore_case: bool = False,
    invert: bool = False,
    agent_name: str | None = None,
    status: str | None = None,
    conversation_id: str | UUID | None = None,
    vault_id: str | UUID | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    after: Record | None = None,
    limit: int = 500,
) -> Query[list[Record]]:
    """Give log rows that match a regular expression of the database, ordered by execution and by writer and number.

    What is looked through are messages and data, and the payloads that a line brought: input, output, relevance, error,
    and what was asked of language models and what they answered.

    :param after: The last row of the answer before; the answer goes on behind it.
    """
    matches = _matches(f"(?i){pattern}" if ignore_case else pattern)
    statement = _placed().join(agent_executions, _executions.execution_id == _logs.execution_id)
    statement = statement.where(not_(matches) if invert else matches)
    for column, value in (
        (_executions.agent_name, agent_name),
        (_executions.status, status),
        (_executions.conversation_id, conversation_id),
        (_executions.vault_id, vault_id),
    ):
        if value is not None:
            statement = statement.where(column == key(value))
    if since is not None:
        statement = statement.where(_logs.timestamp >= since)
    if until is not None:
        statement = statement.where(_logs.timestamp < until)
    order = (_logs.execution_id, _logs.writer, _logs.seq)
    if after is not None:
        statement = statement.where(tuple_(*order) > tuple_(*(after[column.name] for column in order)))
    return (yield statement.order_by(*order).limit(at_most(limit)))


def _placed() -> Select[Any]:
    return select(*_PLACED).select_from(
        agent_execution_logs.outerjoin(tracklog_sources, _logs.source_id == _sources.source_id)
    )


def _matches(pattern: str) -> ColumnElement[bool]:
    def says(*columns: ColumnElement[Any]) -> ColumnElement[bool]:
        return or_(*(func.coalesce(cast(column, Text), "").regexp_match(pattern) for column in columns))

    def call(time: ColumnElement[Any], *columns: ColumnElement[Any]) -> ColumnElement[bool]:
        # The line of a request, or of its answer, is the one of that moment.
        return exists().where(_calls.execution_id == _logs.execution_id, time == _logs.timestamp, says(*columns))

    return or_(
        says(_logs.message, _logs.data),
        and_(_kind_is(Kind.EXECUTION_STARTED), says(_executions.input_data, _executions.metadata)),
        and_(_kind_is(Kind.OUTPUT), says(_executions.output_data)),
        and_(_kind_is(Kind.RELEVANCE), says(_executions.relevance_reasoning)),
        and_(
            _kind_is(Kind.EXECUTION_FINISHED),
            says(_executions.error_type, _executions.error_message, _executions.error_traceback),
        ),
        and_(_kind_is(Kind.LLM_REQUEST), call(_calls.started_at, _calls.request)),
        and_(_kind_is(Kind.LLM_RESPONSE), call(_calls.completed_at, _calls.response)),
        and_(_kind_is(Kind.LLM_ERROR), call(_calls.completed_at, _calls.error_type, _calls.error_message)),
    )


def _kind_is(kind: Kind) -> ColumnElement[bool]:
    return func.coalesce(_logs.kind, "") == kind.value
