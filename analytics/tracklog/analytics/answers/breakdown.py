"""Measure executions by method or hour, and LLM calls by model."""

import datetime as dt
from collections import defaultdict
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, select

from tracklog.analytics.answers.measured import count, durations, measure
from tracklog.analytics.answers.performance import report
from tracklog.analytics.query import Period, Query, key, period, unindexed
from tracklog.analytics.record import Record
from tracklog.ingester.measures import Measures
from tracklog.ingester.schema import agent_executions, agent_llm_calls

_executions = agent_executions.c
_calls = agent_llm_calls.c


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
    """
    when = period(hours, since, until)
    if dimension == "hour":
        by_hour = yield from measure(agent_name, vault_id, when, "hour")
        last = dt.datetime.max.replace(tzinfo=dt.UTC)
        return [
            Record(hour=hour, **report(one.measures, agent_name, one.sources))
            for hour, one in sorted(by_hour.items(), key=lambda item: item[0] or last)
            if one.measures.status_counts.total()
        ]
    columns = [unindexed(_executions.agent_name), _executions.method]
    measures: dict[tuple[str | None, str | None], Measures] = defaultdict(Measures)
    for of, counted in (yield from count(columns, *_chosen(when, vault_id, agent_name))):
        measures[of].add(counted)
    reports = [Record(report(one, agent), method=method) for (agent, method), one in measures.items()]
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
    joined = agent_llm_calls.join(agent_executions, _calls.execution_id == _executions.execution_id)
    ended, failed = _calls.end_key.is_not(None), _calls.error_type.is_not(None) | _calls.error_message.is_not(None)
    rows = yield (
        select(
            _calls.model,
            ended.label("has_ended"),
            failed.label("has_failed"),
            _calls.error_type,
            func.count().label("calls"),
            func.sum(_calls.tokens_used).label("tokens"),
            durations(_calls.latency_ms).label("latencies"),
        )
        .select_from(joined)
        .where(*_chosen(period(hours, since, until), vault_id, agent_name))
        .group_by(_calls.model, ended, failed, _calls.error_type)
    )
    measures: dict[str | None, Measures] = defaultdict(Measures)
    for row in rows:
        one = measures[row["model"]]
        status = "failed" if row["has_failed"] else "success" if row["has_ended"] else "unanswered"
        one.status_counts[status] += row["calls"]
        if row["error_type"] is not None:
            one.error_counts[row["error_type"]] += row["calls"]
        one.count_durations(row["latencies"])
        one.llm_tokens += int(row["tokens"] or 0)
    reports = [(model, report(one, None)) for model, one in measures.items()]
    reports.sort(key=lambda pair: (-pair[1]["total_executions"], pair[0] or ""))
    return [
        Record(
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
        for model, one in reports
    ]


def _chosen(when: Period, vault_id: str | UUID | None, agent_name: str | None) -> list[Any]:
    named = [
        column == key(value)
        for column, value in ((_executions.vault_id, vault_id), (_executions.agent_name, agent_name))
        if value is not None
    ]
    return [*named, *when.has(_executions.created_at)]
