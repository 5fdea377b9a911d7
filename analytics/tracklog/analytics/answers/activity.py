"""Say what goes on: what runs, and what became of what began lately."""

import datetime as dt
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from tracklog.analytics.answers.calls import GOING_ON
from tracklog.analytics.answers.executions import SUMMARY, UNSUCCESSFUL, completed
from tracklog.analytics.query import Query, at_most, key, period, unindexed
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_executions
from tracklog.processors.states import ExecutionStatus

_executions = agent_executions.c

_RUNS: Final = tuple(status for status in GOING_ON if status != ExecutionStatus.PENDING)
_RUNNING: Final = (*SUMMARY, _executions.parent_execution_id, _executions.llm_calls, _executions.llm_tokens_used)


def get_activity(
    minutes: float = 15,
    agent_name: str | None = None,
    vault_id: str | UUID | None = None,
    limit: int = 50,
) -> Query[Record]:
    """Give what runs, and measure what began in the last `minutes`.

    :param limit: At most so many that run, and that failed; they are counted all.
    :return: ``{"at": …, "minutes": …, "running_count": …, "running": […], "pending_count": …, "failed_count": …,
        "failed": […], "agents": […]}``: what runs, the longest first; how many were selected and have not begun; what
        ended badly, the newest first; and for each agent of that time `agent_name`, `executions`, `per_minute`,
        `status_counts` by status, `tokens`, `llm_calls` and `slowest_ms`, those with the most executions first.
    :raises ValueError: `minutes` is nothing or less.
    """
    if not minutes > 0:
        raise ValueError(f"minutes must be more than zero, not {minutes!r}")
    now = dt.datetime.now(dt.UTC)
    when = period(minutes / 60)
    chosen: list[Any] = [
        column == key(value)
        for column, value in ((_executions.agent_name, agent_name), (_executions.vault_id, vault_id))
        if value is not None
    ]
    going_on = yield (
        select(_executions.status, func.count().label("executions"))
        .where(_executions.status.in_(GOING_ON), *chosen)
        .group_by(_executions.status)
    )
    pending = sum(row["executions"] for row in going_on if row["status"] == ExecutionStatus.PENDING)
    running = yield (
        select(*_RUNNING)
        .where(_executions.status.in_(_RUNS), *chosen)
        .order_by(_executions.created_at.nulls_last(), _executions.execution_id)
        .limit(at_most(limit))
    )
    failed = yield (
        select(*SUMMARY)
        .where(_executions.status.in_(UNSUCCESSFUL), *when.has(_executions.created_at), *chosen)
        .order_by(_executions.created_at.desc(), _executions.execution_id.desc())
        .limit(at_most(limit))
    )
    agent = unindexed(_executions.agent_name)
    counts = yield (
        select(
            agent.label("agent_name"),
            _executions.status,
            func.count().label("executions"),
            func.sum(_executions.llm_tokens_used).label("tokens"),
            func.sum(_executions.llm_calls).label("llm_calls"),
            func.max(_executions.duration_ms).label("slowest_ms"),
        )
        .where(*when.has(_executions.created_at), *chosen)
        .group_by(agent, _executions.status)
    )
    return Record(
        at=now,
        minutes=minutes,
        running_count=sum(row["executions"] for row in going_on) - pending,
        running=running,
        pending_count=pending,
        failed_count=sum(row["executions"] for row in counts if row["status"] in UNSUCCESSFUL),
        failed=(yield from completed(failed)),
        agents=_by_agent(counts, minutes),
    )


def _by_agent(counts: list[Record], minutes: float) -> list[Record]:
    agents: dict[str | None, Record] = {}
    for row in counts:
        agent = agents.setdefault(
            row["agent_name"],
            Record(
                agent_name=row["agent_name"],
                executions=0,
                per_minute=0.0,
                status_counts={},
                tokens=0,
                llm_calls=0,
                slowest_ms=None,
            ),
        )
        agent["status_counts"][row["status"]] = row["executions"]
        agent["executions"] += row["executions"]
        agent["per_minute"] = agent["executions"] / minutes
        agent["tokens"] += int(row["tokens"] or 0)  # PostgreSQL's sums are decimals.
        agent["llm_calls"] += int(row["llm_calls"] or 0)
        agent["slowest_ms"] = max(filter(None, (agent["slowest_ms"], row["slowest_ms"])), default=None)
    return sorted(agents.values(), key=lambda agent: (-agent["executions"], agent["agent_name"] or ""))
