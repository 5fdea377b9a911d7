"""Show what was asked of language models, and what they answered."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select

from tracklog.analytics.query import Query, chunks, execution_key
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_executions, agent_llm_calls
from tracklog.processors.states import ExecutionStatus

_FIELDS: Final = (
    "call_id",
    "model",
    "provider",
    "request",
    "response",
    "status",
    "tokens_used",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "finish_reason",
    "latency_ms",
    "time_to_first_token_ms",
    "error_type",
    "error_message",
    "started_at",
    "completed_at",
)

_IN_FLIGHT: Final = ("call_id", "model", "provider", "started_at")
"""What is told of a call that was not answered."""

GOING_ON: Final = (
    ExecutionStatus.PENDING,
    ExecutionStatus.RUNNING,
    ExecutionStatus.LLM_REQUEST,
    ExecutionStatus.LLM_RESPONSE,
)


def get_llm_interactions(execution_id: str | UUID) -> Query[Record]:
    """Give the LLM calls of an execution: the last one's fields at the top, and all of them, in order, under `calls`.

    The fields are None when there was no call. `status` is ``success``, ``failed``, ``in_flight``, or ``unanswered``
    when the execution ended before its call did.
    """
    rows = yield calls_of(execution_key(execution_id))
    executions = agent_executions.c
    states = yield select(executions.status).where(executions.execution_id == execution_key(execution_id))
    going_on = bool(states) and is_going_on(states[0]["status"])
    calls = [interaction(row, going_on=going_on) for row in rows]
    last = calls[-1] if calls else Record(dict.fromkeys(_FIELDS))
    return Record(**last, execution_id=str(execution_id), calls=calls)


def interaction(row: Record, *, going_on: bool) -> Record:
    """Give one call as it is told to people.

    :param going_on: Whether its execution has not ended, so that an answer may still come.
    """
    if row["error_type"] is not None or row["error_message"] is not None:
        status = "failed"
    elif row["has_ended"]:
        status = "success"
    else:
        status = "in_flight" if going_on else "unanswered"
    return Record({name: status if name == "status" else row[name] for name in _FIELDS})


def calls_of(execution_id: str) -> Select[Any]:
    """Select the LLM calls of an execution, in the order they were made, as `interaction` takes them."""
    calls = agent_llm_calls.c
    return (
        select(*(calls[name] for name in _FIELDS if name != "status"), calls.end_key.is_not(None).label("has_ended"))
        .where(calls.execution_id == execution_id)
        # A call whose request was lost stands where its answer did.
        .order_by(func.coalesce(calls.request_key, calls.end_key), calls.call_id)
    )


def is_going_on(status: str) -> bool:
    """Tell whether an execution of this status may still write lines.

    >>> is_going_on("llm_request"), is_going_on("crashed")
    (True, False)
    """
    return status in GOING_ON


def calls_in_flight(execution_ids: Iterable[str]) -> Query[dict[str, Record]]:
    """Give, for each execution that has one, the last LLM call that was not answered."""
    calls = agent_llm_calls.c
    found: dict[str, Record] = {}
    for ids in chunks(execution_ids):
        rows = yield (
            select(calls.execution_id, *(calls[name] for name in _IN_FLIGHT))
            .where(calls.execution_id.in_(ids), calls.end_key.is_(None))
            .order_by(calls.request_key)
        )
        found.update({row.pop("execution_id"): row for row in rows})
    return found
