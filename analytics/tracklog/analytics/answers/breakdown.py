"""Measure executions by method or hour, and LLM calls by model."""

import datetime as dt
from typing import Final, Literal
from uuid import UUID

from tracklog.analytics.answers.measured import measure
from tracklog.analytics.answers.performance import FIELDS, report
from tracklog.analytics.query import Query, period
from tracklog.analytics.record import Record
from tracklog.ingester.measures import Measures

_DIMENSIONS: Final = ("method", "hour")


def performance_by(
    dimension: Literal["method", "hour"],
    hours: float | None = 24,
    vault_id: str | UUID | None = None,
    agent_name: str | None = None,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Measure executions by what `analyze_agent_performance` gives, for each method of an agent, or for each hour.

    :return: Each report with `agent_name` and `method`, those with the most executions first, or with `hour`, when it
        began (None for executions without a time, which come last), in their order; hours without executions are left
        out.
    :raises ValueError: There is no such dimension.
    """
    if dimension not in _DIMENSIONS:
        raise ValueError(f"dimension must be one of {', '.join(_DIMENSIONS)}, not {dimension!r}")
    when = period(hours, since, until)
    if dimension == "hour":
        by_hour = yield from measure(agent_name, vault_id, when, "hour")
        last = dt.datetime.max.replace(tzinfo=dt.UTC)
        return [
            Record(hour=hour, **report(one.measures, agent_name, one.sources))
            for hour, one in sorted(by_hour.items(), key=lambda item: item[0] or last)
            if one.measures.status_counts.total()
        ]
    by_method = yield from measure(agent_name, vault_id, when, "method")
    reports = [
        Record(report(one.measures, agent, one.sources), method=method) for (agent, method), one in by_method.items()
    ]
    return sorted(reports, key=lambda one: (-one["total_executions"], one["agent_name"] or "", one["method"] or ""))


def performance_by_model(
    hours: float | None = 24,
    vault_id: str | UUID | None = None,
    agent_name: str | None = None,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Measure LLM calls by model, those with the most calls first.

    :return: For each `model`, `total_calls`, `success_rate` of those that ended, `status_counts` (``success``,
        ``failed``, ``unanswered``), `total_tokens`, `avg_latency_ms`, `p50_latency_ms`, `p95_latency_ms`,
        `p99_latency_ms` (None without any, else within 1 %) and `common_errors`.
    """
    by_model = yield from measure(agent_name, vault_id, period(hours, since, until), "model")
    reports = [_of_model(model, one.measures) for model, one in by_model.items()]
    return sorted(reports, key=lambda one: (-one["total_calls"], one["model"] or ""))


def _of_model(model: str | None, measures: Measures) -> Record:
    one = report(measures, None)
    return Record(
        model=model,
        total_calls=one["total_executions"],
        success_rate=one["success_rate"],
        status_counts=one["status_counts"],
        total_tokens=one["llm_stats"]["total_tokens"],
        avg_latency_ms=one["avg_duration_ms"],
        p50_latency_ms=one["p50_duration_ms"],
        p95_latency_ms=one["p95_duration_ms"],
        p99_latency_ms=one["p99_duration_ms"],
        common_errors=one["common_errors"],
    )


BREAKDOWN_FIELDS: Final = {
    "method": (*FIELDS, "method"),
    "hour": ("hour", *FIELDS),
    "model": tuple(_of_model(None, Measures())),
}
"""What each report has."""
