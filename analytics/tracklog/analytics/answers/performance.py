"""Measure agents: from the rollup by minutes where it holds, and from the rows where it does not yet.

Both are measured alike, by counts and sums that can be added, and by histograms that can be merged; so an answer that
is made from both equals one made from the rows alone.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, true

from tracklog.analytics.answers.endings import CRASHED
from tracklog.analytics.query import Period, Query, chunks, key, period
from tracklog.analytics.record import Record
from tracklog.ingester import histogram
from tracklog.ingester.schema import (
    agent_executions,
    agent_performance_metrics,
    tracklog_dirty_windows,
)
from tracklog.processors.states import ExecutionStatus

_executions = agent_executions.c
_metrics = agent_performance_metrics.c
_dirty = tracklog_dirty_windows.c

UNNAMED: Final = "Unknown"
"""The error of executions that failed without saying how, and of those that no line came from any more."""

_MINUTE: Final = dt.timedelta(minutes=1)

_MAX_SPANS: Final = 2000
"""Beyond so many spans that wait for the rollup, as after a large backlog, one pass over all rows is quicker."""

_SPANS: Final = 50
"""Spans in one statement: each is two comparisons of times and one of a name, and a planner keeps up with these."""


@dataclass(slots=True)
class Measures:
    """What was counted of one agent; two of them add up."""

    status_counts: Counter[str] = field(default_factory=Counter)
    error_counts: Counter[str] = field(default_factory=Counter)
    duration_count: int = 0
    duration_sum_ms: float = 0.0
    duration_histogram: Counter[int] = field(default_factory=Counter)
    llm_calls: int = 0
    llm_tokens: int = 0
    llm_latency_count: int = 0
    llm_latency_sum_ms: float = 0.0
    from_rollup: bool = False
    from_rows: bool = False

    def add(self, other: "Measures") -> None:
        """Add what was counted elsewhere."""
        self.status_counts.update(other.status_counts)
        self.error_counts.update(other.error_counts)
        self.duration_count += other.duration_count
        self.duration_sum_ms += other.duration_sum_ms
        self.duration_histogram.update(other.duration_histogram)
        self.llm_calls += other.llm_calls
        self.llm_tokens += other.llm_tokens
        self.llm_latency_count += other.llm_latency_count
        self.llm_latency_sum_ms += other.llm_latency_sum_ms
        self.from_rollup |= other.from_rollup
        self.from_rows |= other.from_rows

    def _errors(self) -> dict[str, int]:
        """Count the errors by type; those that ended without writing one have names too."""
        errors = dict(self.error_counts)
        if crashed := self.status_counts[ExecutionStatus.CRASHED]:
            errors[CRASHED] = errors.get(CRASHED, 0) + crashed
        ended_badly = self.status_counts[ExecutionStatus.FAILED] + self.status_counts[ExecutionStatus.TIMEOUT]
        if (unnamed := ended_badly - self.error_counts.total()) > 0:
            errors[UNNAMED] = errors.get(UNNAMED, 0) + unnamed
        return errors

    def report(self, agent_name: str | None) -> Record:
        """Give the measures as they are told to people."""
        statuses = self.status_counts
        succeeded = statuses[ExecutionStatus.SUCCESS]
        tried = succeeded + sum(
            statuses[status] for status in (ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT, ExecutionStatus.CRASHED)
        )
        sources = [name for name, used in (("rollup", self.from_rollup), ("rows", self.from_rows)) if used]
        return Record(
            agent_name=agent_name,
            total_executions=statuses.total(),
            success_rate=succeeded / tried if tried else 0.0,
            avg_duration_ms=self.duration_sum_ms / self.duration_count if self.duration_count else 0.0,
            p50_duration_ms=histogram.quantile(self.duration_histogram, 0.50),
            p95_duration_ms=histogram.quantile(self.duration_histogram, 0.95),
            p99_duration_ms=histogram.quantile(self.duration_histogram, 0.99),
            common_errors=dict(sorted(self._errors().items(), key=lambda item: (-item[1], item[0]))),
            status_counts=dict(sorted(statuses.items())),
            llm_stats=Record(
                total_calls=self.llm_calls,
                total_tokens=self.llm_tokens,
                avg_tokens_per_call=self.llm_tokens / self.llm_calls if self.llm_calls else 0.0,
                avg_latency_ms=self.llm_latency_sum_ms / self.llm_latency_count if self.llm_latency_count else 0.0,
            ),
            source="both" if len(sources) == 2 else (sources[0] if sources else "rows"),
        )


_ByAgent = dict[str | None, Measures]


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
    total = Measures()
    for measures in by_agent.values():
        total.add(measures)
    return total.report(agent_name)


def performance_by_agent(
    hours: float | None = 24,
    vault_id: str | UUID | None = None,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Measure each agent, as `analyze_agent_performance` does; those with the most executions first."""
    by_agent = yield from _measure(None, vault_id, period(hours, since, until))
    reports = [measures.report(name) for name, measures in by_agent.items() if measures.status_counts.total()]
    return sorted(reports, key=lambda report: (-report["total_executions"], report["agent_name"] or ""))


def _measure(agent_name: str | None, vault_id: str | UUID | None, when: Period) -> Query[_ByAgent]:
    named = [_executions.agent_name == key(agent_name)] if agent_name is not None else []
    whole = _whole_minutes(when)
    if vault_id is not None or whole is None:  # The rollup is by agent and minute only.
        chosen = [_executions.vault_id == key(vault_id)] if vault_id is not None else []
        return (yield from _measured_rows([and_(true(), *chosen, *named, *when.has(_executions.created_at))]))
    dirty = [_dirty.agent_name == key(agent_name)] if agent_name is not None else []
    waiting = yield (
        select(_dirty.agent_name, _dirty.window_start)
        .distinct()  # Each ingester marks for itself.
        .where(*dirty, *whole.has(_dirty.window_start))
        .order_by(_dirty.agent_name, _dirty.window_start)
        .limit(_MAX_SPANS + 1)
    )
    if len(waiting) > _MAX_SPANS:
        return (yield from _measured_rows([and_(true(), *named, *when.has(_executions.created_at))]))
    by_agent = yield from _rolled_up(agent_name, whole, but_waiting=bool(waiting))
    spans = [
        and_(
            # The rollup has no null in its key: executions whose agent no line named are under the empty name.
            _executions.agent_name == name if name else _executions.agent_name.is_(None),
            _executions.created_at >= begin,
            _executions.created_at < end,
        )
        for name, begin, end in _spans(waiting)
    ]
    # What lies before the first whole minute, and after the last.
    spans += [
        and_(*edge.has(_executions.created_at), *named)
        for edge in (Period(when.begin, whole.begin), Period(whole.end, when.end))
        if edge.begin != edge.end
    ]
    if when == Period():  # Executions without a time are in no minute.
        spans.append(and_(_executions.created_at.is_(None), *named))
    for name, measures in (yield from _measured_rows(spans)).items():
        by_agent.setdefault(name, Measures()).add(measures)
    return by_agent


def _whole_minutes(when: Period) -> Period | None:
    """Give the part of a period that is made of whole minutes; None when there is none."""
    begin = _minute(when.begin)
    if begin is not None and begin != when.begin:
        begin += _MINUTE
    end = _minute(when.end)
    return None if begin is not None and end is not None and begin >= end else Period(begin, end)


def _minute(time: dt.datetime | None) -> dt.datetime | None:
    """Give the minute of a time, in UTC."""
    return None if time is None else time.astimezone(dt.UTC).replace(second=0, microsecond=0)


def _spans(waiting: Iterable[Record]) -> list[tuple[str, dt.datetime, dt.datetime]]:
    """Join minutes of one agent that follow each other, given in order."""
    spans: list[tuple[str, dt.datetime, dt.datetime]] = []
    for row in waiting:
        name, begin = row["agent_name"], row["window_start"]
        if spans and spans[-1][0] == name and spans[-1][2] == begin:
            spans[-1] = (name, spans[-1][1], begin + _MINUTE)
        else:
            spans.append((name, begin, begin + _MINUTE))
    return spans


def _rolled_up(agent_name: str | None, whole: Period, *, but_waiting: bool) -> Query[_ByAgent]:
    """Add up the minutes of the rollup; where some wait to be made anew, all but these."""
    conditions = [_metrics.agent_name == key(agent_name)] if agent_name is not None else []
    conditions += whole.has(_metrics.window_start)
    if but_waiting:  # Looked up for each minute, which costs as much as adding it up.
        waits = select(1).where(_dirty.agent_name == _metrics.agent_name, _dirty.window_start == _metrics.window_start)
        conditions.append(~waits.exists())
    sums = ("duration_count", "duration_sum_ms", "llm_calls", "llm_tokens", "llm_latency_count", "llm_latency_sum_ms")
    rows = yield (
        select(
            _metrics.agent_name,
            *(func.sum(_metrics[name]).label(name) for name in sums),
            # Thousands of small objects are read quicker as one text.
            *(
                func.aggregate_strings(cast(_metrics[name], Text), ",").label(name)
                for name in ("status_counts", "error_counts", "duration_histogram")
            ),
        )
        .where(*conditions)
        .group_by(_metrics.agent_name)
    )
    return {
        row["agent_name"] or None: Measures(
            status_counts=_added(row["status_counts"]),
            error_counts=_added(row["error_counts"]),
            duration_count=int(row["duration_count"]),
            duration_sum_ms=float(row["duration_sum_ms"]),
            duration_histogram=_merged(row["duration_histogram"]),
            llm_calls=int(row["llm_calls"]),
            llm_tokens=int(row["llm_tokens"]),
            llm_latency_count=int(row["llm_latency_count"]),
            llm_latency_sum_ms=float(row["llm_latency_sum_ms"]),
            from_rollup=True,
        )
        for row in rows
    }


def _added(text: str) -> Counter[str]:
    """Add up the JSON objects of counts that stand in a text with commas between.

    >>> _added('{"success":2},{"success":1,"failed":1}')
    Counter({'success': 3, 'failed': 1})
    """
    total: Counter[str] = Counter()
    for counts in orjson.loads(f"[{text}]"):
        for name, count in counts.items():
            total[name] += count
    return total


def _merged(text: str) -> Counter[int]:
    """Add up histograms that stand in a text as JSON objects, with commas between.

    >>> _merged('{"7":1,"9":2},{},{"7":1}')
    Counter({7: 2, 9: 2})
    """
    # Most buckets of a minute hold the same few counts: pairs that are alike are counted as texts, without a loop here.
    total: Counter[int] = Counter()
    for pair, times in Counter(text.translate(_WITHOUT_BRACES).split(",")).items():
        if pair:
            bucket, count = pair.split(":")
            total[int(bucket)] += int(count) * times
    return total


_WITHOUT_BRACES: Final = str.maketrans("", "", '{}" ')


def _measured_rows(spans: Sequence[ColumnElement[bool]]) -> Query[_ByAgent]:
    """Measure the executions that meet any of the conditions, no two of which may meet on one."""
    by_agent: _ByAgent = {}
    for some in chunks(spans, _SPANS):
        yield from _measure_some(or_(*some), by_agent)
    return by_agent


def _measure_some(condition: ColumnElement[bool], by_agent: _ByAgent) -> Query[None]:
    def of(row: Record) -> Measures:
        measures = by_agent.setdefault(row["agent_name"], Measures())
        measures.from_rows = True
        return measures

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
        measures = of(row)
        measures.status_counts[row["status"]] += row["executions"]
        if row["error_type"] is not None:
            measures.error_counts[row["error_type"]] += row["executions"]
        measures.duration_count += row["durations"]
        measures.duration_sum_ms += float(row["duration_sum_ms"] or 0.0)
        measures.llm_calls += int(row["llm_calls"] or 0)
        measures.llm_tokens += int(row["llm_tokens"] or 0)
        measures.llm_latency_count += int(row["latencies"] or 0)
        measures.llm_latency_sum_ms += float(row["latency_sum_ms"] or 0.0)
    rows = yield select(_executions.agent_name, _executions.duration_ms).where(
        condition, _executions.duration_ms.is_not(None)
    )
    for row in rows:
        of(row).duration_histogram[histogram.bucket(row["duration_ms"])] += 1
