"""Measure agents."""

import datetime as dt
from collections.abc import Collection
from typing import Final
from uuid import UUID

from tracklog.analytics.answers.endings import CRASHED
from tracklog.analytics.answers.measured import ROWS, Measured, measure
from tracklog.analytics.query import Query, period
from tracklog.analytics.record import Record
from tracklog.ingester import histogram
from tracklog.ingester.measures import Measures
from tracklog.processors.states import ExecutionStatus

UNNAMED: Final = "Unknown"
"""The error of executions that failed without saying how, and of those that no line came from any more."""


def report(measures: Measures, agent_name: str | None, sources: Collection[str] = ()) -> Record:
    """Give measures as they are told to people, as `analyze_agent_performance` does."""
    statuses = measures.status_counts
    succeeded = statuses[ExecutionStatus.SUCCESS]
    tried = succeeded + sum(
        statuses[status] for status in (ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT, ExecutionStatus.CRASHED)
    )
    calls, latencies = measures.llm_calls, measures.llm_latency_count
    return Record(
        agent_name=agent_name,
        total_executions=statuses.total(),
        success_rate=succeeded / tried if tried else 0.0,
        avg_duration_ms=measures.duration_sum_ms / measures.duration_count if measures.duration_count else 0.0,
        p50_duration_ms=histogram.quantile(measures.duration_histogram, 0.50),
        p95_duration_ms=histogram.quantile(measures.duration_histogram, 0.95),
        p99_duration_ms=histogram.quantile(measures.duration_histogram, 0.99),
        common_errors=dict(sorted(_errors(measures).items(), key=lambda item: (-item[1], item[0]))),
        status_counts=dict(sorted(statuses.items())),
        llm_stats=Record(
            total_calls=calls,
            total_tokens=measures.llm_tokens,
            avg_tokens_per_call=measures.llm_tokens / calls if calls else 0.0,
            avg_latency_ms=measures.llm_latency_sum_ms / latencies if latencies else 0.0,
        ),
        source="both" if len(sources) == 2 else next(iter(sources), ROWS),
    )


def _errors(measures: Measures) -> dict[str, int]:
    """Count the errors by type; those that ended without writing one have names too."""
    errors = dict(measures.error_counts)
    if crashed := measures.status_counts[ExecutionStatus.CRASHED]:
        errors[CRASHED] = errors.get(CRASHED, 0) + crashed
    ended_badly = measures.status_counts[ExecutionStatus.FAILED] + measures.status_counts[ExecutionStatus.TIMEOUT]
    if (unnamed := ended_badly - measures.error_counts.total()) > 0:
        errors[UNNAMED] = errors.get(UNNAMED, 0) + unnamed
    return errors


FIELDS: Final = tuple(report(Measures(), None))
"""What each report has."""


def analyze_agent_performance(
    agent_name: str | None = None,
    vault_id: str | UUID | None = None,
    hours: float | None = 24,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[Record]:
    """Measure one agent, or all together, over the executions whose first line is not older than `hours`.

    :return: `total_executions`; `success_rate`, from 0 to 1, of those that ended and were not skipped;
        `avg_duration_ms`, and `p50_duration_ms`, `p95_duration_ms` and `p99_duration_ms` (None without durations, else
        within 1 %); `common_errors`, ``{error_type: executions}``, the most common first; `status_counts`; `llm_stats`
        with `total_calls`, `total_tokens`, `avg_tokens_per_call` and `avg_latency_ms`; `source`, where the numbers come
        from: ``rollup``, ``rows`` or ``both``. Averages of nothing are 0.0.
    """
    by_agent = yield from measure(agent_name, vault_id, period(hours, since, until), "agent")
    total = Measured()
    for measured in by_agent.values():
        total.add(measured.measures, *measured.sources)
    return report(total.measures, agent_name, total.sources)


def performance_by_agent(
    hours: float | None = 24,
    vault_id: str | UUID | None = None,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Measure each agent, as `analyze_agent_performance` does; those with the most executions first."""
    by_agent = yield from measure(None, vault_id, period(hours, since, until), "agent")
    reports = [
        report(measured.measures, name, measured.sources)
        for name, measured in by_agent.items()
        if measured.measures.status_counts.total()
    ]
    return sorted(reports, key=lambda one: (-one["total_executions"], one["agent_name"] or ""))
