"""Figures of executions and of their LLM calls: counted from rows, kept in rollups, and added up from these."""

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import orjson
from sqlalchemy import ColumnElement, Label, Select, Table, Text, case, cast, func, literal_column, select

from tracklog.ingester.histogram import bucket, buckets
from tracklog.ingester.schema import agent_executions, agent_llm_calls

MINUTE: Final = dt.timedelta(minutes=1)
HOUR: Final = dt.timedelta(hours=1)


@dataclass(slots=True)
class Measures:
    """What was counted of some executions; two of them add up."""

    status_counts: Counter[str] = field(default_factory=Counter)
    error_counts: Counter[str] = field(default_factory=Counter)
    duration_count: int = 0
    duration_sum_ms: float = 0.0
    duration_histogram: Counter[int] = field(default_factory=Counter)
    llm_calls: int = 0
    llm_tokens: int = 0
    llm_latency_count: int = 0
    llm_latency_sum_ms: float = 0.0

    @classmethod
    def of(cls, executions: Iterable[Mapping[Any, Any]]) -> Self:
        """Count executions, from the columns that `COUNTED` names."""
        one = cls()
        for row in executions:
            one.count(row)
        return one

    def count(self, execution: Mapping[Any, Any]) -> None:
        """Count one execution, from the columns that `COUNTED` names."""
        self.status_counts[execution["status"]] += 1
        if execution["error_type"] is not None:
            self.error_counts[execution["error_type"]] += 1
        if (duration := execution["duration_ms"]) is not None:
            self.duration_count += 1
            self.duration_sum_ms += duration
            self.duration_histogram[bucket(duration)] += 1
        self.llm_calls += execution["llm_calls"] or 0
        self.llm_tokens += execution["llm_tokens_used"] or 0
        self.llm_latency_count += execution["llm_timed_calls"] or 0
        self.llm_latency_sum_ms += execution["llm_latency_ms"] or 0.0

    def count_durations(self, text: str | None) -> None:
        """Count durations in milliseconds that stand in a text with commas between; None for none."""
        numbers = orjson.loads(f"[{text or ''}]")
        self.duration_count += len(numbers)
        self.duration_sum_ms += math.fsum(numbers)
        self.duration_histogram.update(buckets(numbers))

    @classmethod
    def counted(cls, row: Mapping[Any, Any]) -> Self:
        """Give what a row says that `of_executions` or `of_calls` selected."""
        one = cls(
            status_counts=Counter({row["status"]: row["total"]}),
            llm_calls=int(row.get("llm_calls") or 0),
            llm_tokens=int(row["llm_tokens"] or 0),
            llm_latency_count=int(row.get("llm_latency_count") or 0),
            llm_latency_sum_ms=float(row.get("llm_latency_sum_ms") or 0.0),
        )
        if row["error_type"] is not None:
            one.error_counts[row["error_type"]] = row["total"]
        one.count_durations(row["duration_ms"])
        return one

    @classmethod
    def summed(cls, row: Mapping[Any, Any]) -> Self:
        """Give what a row says that `sums` selected."""
        return cls(
            status_counts=_added_counts(row["status_counts"]),
            error_counts=_added_counts(row["error_counts"]),
            duration_count=int(row["duration_count"]),
            duration_sum_ms=float(row["duration_sum_ms"]),
            duration_histogram=_merged(row["duration_histogram"]),
            llm_calls=int(row["llm_calls"]),
            llm_tokens=int(row["llm_tokens"]),
            llm_latency_count=int(row["llm_latency_count"]),
            llm_latency_sum_ms=float(row["llm_latency_sum_ms"]),
        )

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

    def values(self) -> tuple[Any, ...]:
        """Give the values of a rollup's columns from `total_executions` to `llm_latency_sum_ms`."""
        return (
            self.status_counts.total(),
            orjson.dumps(self.status_counts).decode(),
            orjson.dumps(self.error_counts).decode(),
            self.duration_count,
            self.duration_sum_ms,
            orjson.dumps(self.duration_histogram, option=orjson.OPT_NON_STR_KEYS).decode(),
            self.llm_calls,
            self.llm_tokens,
            self.llm_latency_count,
            self.llm_latency_sum_ms,
        )


_MOST_NAMES: Final = 100
"""A window with more methods or models than this is not broken down by them: such names are rather ids."""

ByName = defaultdict[str, Measures]
"""Measures by the name of a method or model, "" where no line gave one."""


@dataclass(slots=True)
class Window:
    """What was counted of the executions of a minute or an hour: in all, by method, and their LLM calls by model."""

    total: Measures = field(default_factory=Measures)
    by_method: ByName = field(default_factory=lambda: defaultdict(Measures))
    by_model: ByName = field(default_factory=lambda: defaultdict(Measures))

    def values(self) -> tuple[Any, ...]:
        """Give the values of a rollup's columns from `total_executions` on."""
        return *self.total.values(), _stated(self.by_method), _stated(self.by_model)


def _stated(measures: ByName) -> str | None:
    if len(measures) > _MOST_NAMES:
        return None
    return orjson.dumps(measures, option=orjson.OPT_NON_STR_KEYS).decode()


def added(text: str) -> str | None:
    """Add up what windows have by name, as JSON objects with commas between; None where that gives too many names."""
    measures: ByName = defaultdict(Measures)
    add_up(text, measures)
    return _stated(measures)


def add_up(text: str, measures: ByName) -> None:
    """Add the measures by name that stand in a text as JSON objects, with commas between."""
    for some in orjson.loads(f"[{text}]"):
        for name, one in some.items():
            histogram = {int(index): count for index, count in one["duration_histogram"].items()}
            measures[name].add(Measures(**{**one, "duration_histogram": Counter(histogram)}))


COUNTED: Final = (
    "status",
    "duration_ms",
    "error_type",
    "llm_calls",
    "llm_tokens_used",
    "llm_latency_ms",
    "llm_timed_calls",
)


def of_executions(**by: ColumnElement[Any]) -> Select[Any]:
    """Give what counts executions for each set of values, by names that are no column's, for `Measures.counted`."""
    table = agent_executions.c
    return select(
        *(column.label(name) for name, column in by.items()),
        table.status,
        table.error_type,
        func.count().label("total"),
        *joined(table.duration_ms),
        func.sum(table.llm_calls).label("llm_calls"),
        func.sum(table.llm_tokens_used).label("llm_tokens"),
        func.sum(table.llm_timed_calls).label("llm_latency_count"),
        func.sum(table.llm_latency_ms).label("llm_latency_sum_ms"),
    ).group_by(*by.values(), table.status, table.error_type)


def of_calls(**by: ColumnElement[Any]) -> Select[Any]:
    """Give what counts LLM calls as `of_executions` does executions: a call's latency is its duration."""
    table = agent_llm_calls.c
    failed = table.error_type.is_not(None) | table.error_message.is_not(None)
    # Literally, as PostgreSQL does not know an expression with parameters again that it is to group by.
    said = {name: literal_column(f"'{name}'", Text()) for name in ("failed", "success", "unanswered")}
    status = case((failed, said["failed"]), (table.end_key.is_not(None), said["success"]), else_=said["unanswered"])
    return (
        select(
            *(column.label(name) for name, column in by.items()),
            status.label("status"),
            table.error_type,
            func.count().label("total"),
            joined(table.latency_ms)[0].label("duration_ms"),
            func.sum(table.tokens_used).label("llm_tokens"),
        )
        .join_from(agent_llm_calls, agent_executions, table.execution_id == agent_executions.c.execution_id)
        .group_by(*by.values(), status, table.error_type)
    )


_SUMS: Final = (
    "duration_count",
    "duration_sum_ms",
    "llm_calls",
    "llm_tokens",
    "llm_latency_count",
    "llm_latency_sum_ms",
)
_COUNTS: Final = ("status_counts", "error_counts", "duration_histogram")


def sums(rollup: Table) -> list[ColumnElement[Any]]:
    """Give what to select of a rollup's rows, grouped as one likes, for `Measures.summed`."""
    return [
        *(func.sum(rollup.c[name]).label(name) for name in _SUMS),
        *joined(*(rollup.c[name] for name in _COUNTS)),
    ]


def joined(*columns: ColumnElement[Any]) -> list[Label[Any]]:
    """Give all values of each column as one text, with commas between: thousands of small ones are read quicker."""
    return [func.aggregate_strings(cast(column, Text), ",").label(column.key) for column in columns]


def _added_counts(text: str) -> Counter[str]:
    """Add up the JSON objects of counts that stand in a text with commas between.

    >>> _added_counts('{"success":2},{"success":1,"failed":1}')
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
            index, count = pair.split(":")
            total[int(index)] += int(count) * times
    return total


_WITHOUT_BRACES: Final = str.maketrans("", "", '{}" ')
