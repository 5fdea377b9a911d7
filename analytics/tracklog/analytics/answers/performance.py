"""Measure agents: from the rollup by hours and minutes where it holds, and from the rows where it does not yet.

Both are measured alike, by counts and sums that can be added, and by histograms that can be merged; so an answer that
is made from both equals one made from the rows alone.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, func, or_, select, true, tuple_

from tracklog.analytics.answers.endings import CRASHED
from tracklog.analytics.query import Period, Query, chunks, key, period
from tracklog.analytics.record import Record
from tracklog.ingester import histogram
from tracklog.ingester.measures import HOUR, MINUTE, Measures, sums
from tracklog.ingester.schema import (
    agent_executions,
    agent_performance_hours,
    agent_performance_metrics,
    tracklog_dirty_windows,
)
from tracklog.processors.states import ExecutionStatus

_executions = agent_executions.c
_minutes, _hours = agent_performance_metrics, agent_performance_hours
_dirty = tracklog_dirty_windows.c

UNNAMED: Final = "Unknown"
"""The error of executions that failed without saying how, and of those that no line came from any more."""

_MAX_SPANS: Final = 2000
"""Beyond so many spans that wait for the rollup, as after a large backlog, one pass over all rows is quicker."""

_SPANS: Final = 50
"""Spans in one statement: each is two comparisons of times and one of a name, and a planner keeps up with these."""


@dataclass(slots=True)
class _Measured:
    """What was measured of one agent, and from which tables."""

    measures: Measures = field(default_factory=Measures)
    sources: set[str] = field(default_factory=set)

    def add(self, measures: Measures, *sources: str) -> None:
        """Add what was counted elsewhere."""
        self.measures.add(measures)
        self.sources.update(sources)


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
        source="both" if len(sources) == 2 else next(iter(sources), _ROWS),
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


_ROLLUP, _ROWS = "rollup", "rows"
_ByAgent = dict[str | None, _Measured]


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
    by_agent = yield from _measure(agent_name, vault_id, period(hours, since, until))
    total = _Measured()
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
    by_agent = yield from _measure(None, vault_id, period(hours, since, until))
    reports = [
        report(measured.measures, name, measured.sources)
        for name, measured in by_agent.items()
        if measured.measures.status_counts.total()
    ]
    return sorted(reports, key=lambda one: (-one["total_executions"], one["agent_name"] or ""))


def _measure(agent_name: str | None, vault_id: str | UUID | None, when: Period) -> Query[_ByAgent]:
    named = [_executions.agent_name == key(agent_name)] if agent_name is not None else []
    whole = _whole(when, MINUTE)
    if vault_id is not None or whole is None:  # The rollup is by agent and time only.
        chosen = [_executions.vault_id == key(vault_id)] if vault_id is not None else []
        return (yield from _measured_rows([and_(true(), *chosen, *named, *when.has(_executions.created_at))], {}))
    dirty = [_dirty.agent_name == key(agent_name)] if agent_name is not None else []
    waiting = yield (
        select(_dirty.agent_name, _dirty.window_start)
        .distinct()  # Each ingester marks for itself.
        .where(*dirty, *whole.has(_dirty.window_start))
        .order_by(_dirty.agent_name, _dirty.window_start)
        .limit(_MAX_SPANS + 1)
    )
    if len(waiting) > _MAX_SPANS:
        return (yield from _measured_rows([and_(true(), *named, *when.has(_executions.created_at))], {}))
    minutes = [(row["agent_name"], row["window_start"]) for row in waiting]
    by_agent = yield from _rolled_up(agent_name, whole, minutes)
    spans = [
        and_(
            # The rollup has no null in its key: executions whose agent no line named are under the empty name.
            _executions.agent_name == name if name else _executions.agent_name.is_(None),
            *span.has(_executions.created_at),
        )
        for name, span in _spans(minutes, MINUTE)
    ]
    spans += [and_(*edge.has(_executions.created_at), *named) for edge in _edges(when, whole)]
    if when == Period():  # Executions without a time are in no minute.
        spans.append(and_(_executions.created_at.is_(None), *named))
    return (yield from _measured_rows(spans, by_agent))


def _whole(when: Period, window: dt.timedelta) -> Period | None:
    """Give the part of a period that is made of whole minutes, or hours; None when there is none."""
    begin = _start(when.begin, window)
    if begin is not None and begin != when.begin:
        begin += window
    end = _start(when.end, window)
    return None if begin is not None and end is not None and begin >= end else Period(begin, end)


def _start(time: dt.datetime | None, window: dt.timedelta) -> dt.datetime | None:
    """Give the beginning of the minute, or hour, that a time lies in, in UTC."""
    if time is None:
        return None
    start = time.astimezone(dt.UTC).replace(second=0, microsecond=0)
    return start if window == MINUTE else start.replace(minute=0)


def _edges(when: Period, whole: Period) -> list[Period]:
    """Give what lies of a period before its whole windows, and after them."""
    edges = (Period(when.begin, whole.begin), Period(whole.end, when.end))
    return [edge for edge in edges if edge.begin != edge.end]


_Window = tuple[str, dt.datetime]
"""The name under which the rollup has an agent, and when the minute or hour begins."""


def _spans(windows: Iterable[_Window], length: dt.timedelta) -> list[tuple[str, Period]]:
    """Join windows of one agent that follow each other, given in order."""
    spans: list[tuple[str, Period]] = []
    for name, begin in windows:
        if spans and spans[-1][0] == name and spans[-1][1].end == begin:
            spans[-1] = (name, Period(spans[-1][1].begin, begin + length))
        else:
            spans.append((name, Period(begin, begin + length)))
    return spans


def _rolled_up(agent_name: str | None, whole: Period, waiting: Sequence[_Window]) -> Query[_ByAgent]:
    """Add up the hours of the rollup, and minutes where an hour is not whole or has some that wait to be made anew.

    :param waiting: These minutes, in order; what the rollup has of them is left out.
    """
    by_agent: _ByAgent = {}
    hours = _whole(whole, HOUR)
    if hours is None:
        yield from _add_up(_minutes, agent_name, [and_(true(), *whole.has(_minutes.c.window_start))], waiting, by_agent)
        return by_agent
    stale = sorted({(name, start.replace(minute=0)) for name, start in waiting})
    yield from _add_up(_hours, agent_name, [and_(true(), *hours.has(_hours.c.window_start))], stale, by_agent)
    spans = [and_(*edge.has(_minutes.c.window_start)) for edge in _edges(whole, hours)]
    spans += [
        and_(_minutes.c.agent_name == name, *span.has(_minutes.c.window_start))
        for name, span in _spans((one for one in stale if _is_in(one[1], hours)), HOUR)
    ]
    for some in chunks(spans, _SPANS):
        yield from _add_up(_minutes, agent_name, some, waiting, by_agent)
    return by_agent


def _is_in(start: dt.datetime, when: Period) -> bool:
    return (when.begin is None or when.begin <= start) and (when.end is None or start < when.end)


def _add_up(
    rollup: Table,
    agent_name: str | None,
    spans: Sequence[ColumnElement[bool]],
    but: Sequence[_Window],
    by_agent: _ByAgent,
) -> Query[None]:
    """Add up the windows of a rollup that meet any of some conditions, but for some."""
    conditions = [rollup.c.agent_name == key(agent_name)] if agent_name is not None else []
    if but:
        conditions.append(tuple_(rollup.c.agent_name, rollup.c.window_start).not_in(but))
    rows = yield (
        select(rollup.c.agent_name, *sums(rollup)).where(or_(*spans), *conditions).group_by(rollup.c.agent_name)
    )
    for row in rows:
        by_agent.setdefault(row["agent_name"] or None, _Measured()).add(Measures.summed(row), _ROLLUP)


def _measured_rows(spans: Sequence[ColumnElement[bool]], by_agent: _ByAgent) -> Query[_ByAgent]:
    """Add the executions that meet any of the conditions, no two of which may meet on one."""
    for some in chunks(spans, _SPANS):
        yield from _measure_some(or_(*some), by_agent)
    return by_agent


def _measure_some(condition: ColumnElement[bool], by_agent: _ByAgent) -> Query[None]:
    rows = yield (
        select(
            _executions.agent_name,
            _executions.status,
            _executions.error_type,
            func.count().label("executions"),
            func.count(_executions.duration_ms).label("durations"),
            func.sum(_executions.duration_ms).label("duration_sum_ms"),
            func.sum(_executions.llm_calls).label("llm_calls"),
            func.sum(_executions.llm_tokens_used).label("llm_tokens"),
            func.sum(_executions.llm_timed_calls).label("latencies"),
            func.sum(_executions.llm_latency_ms).label("latency_sum_ms"),
        )
        .where(condition)
        .group_by(_executions.agent_name, _executions.status, _executions.error_type)
    )
    for row in rows:
        measures = Measures(
            status_counts=Counter({row["status"]: row["executions"]}),
            error_counts=Counter({row["error_type"]: row["executions"]} if row["error_type"] is not None else {}),
            duration_count=row["durations"],
            duration_sum_ms=float(row["duration_sum_ms"] or 0.0),
            llm_calls=int(row["llm_calls"] or 0),
            llm_tokens=int(row["llm_tokens"] or 0),
            llm_latency_count=int(row["latencies"] or 0),
            llm_latency_sum_ms=float(row["latency_sum_ms"] or 0.0),
        )
        by_agent.setdefault(row["agent_name"], _Measured()).add(measures, _ROWS)
    rows = yield select(_executions.agent_name, _executions.duration_ms).where(
        condition, _executions.duration_ms.is_not(None)
    )
    for row in rows:
        by_agent[row["agent_name"]].measures.duration_histogram[histogram.bucket(row["duration_ms"])] += 1
