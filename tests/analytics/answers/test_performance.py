"""Test measuring agents."""

import datetime as dt
import math
import random
import statistics
from collections import defaultdict
from typing import Any

import orjson
import pytest

from analytics.stored import NOW, Stored, ago
from tracklog.analytics import ExecutionAnalytics, Record
from tracklog.analytics.answers import measured
from tracklog.ingester import schema
from tracklog.ingester.measures import Measures


def minute(time: dt.datetime) -> dt.datetime:
    """Give the minute that a time lies in."""
    return time.replace(second=0, microsecond=0)


def some_executions(count: int = 400) -> list[dict[str, Any]]:
    """Make executions of three agents, spread over the last 30 hours."""
    chance = random.Random(7)
    rows = []
    for number in range(count):
        status = chance.choice(["success", "success", "success", "failed", "timeout", "skipped", "running"])
        calls = chance.choice([0, 0, 1, 3])
        rows.append(
            {
                "execution_id": f"e{number}",
                "agent_name": chance.choice(["Editor", "Critic", None]),
                "vault_id": chance.choice(["v1", "v2"]),
                "status": status,
                "error_type": chance.choice(["ValueError", "KeyError", None]) if status == "failed" else None,
                "created_at": NOW - dt.timedelta(hours=chance.uniform(0.02, 30)),
                "duration_ms": chance.lognormvariate(6, 2) if status != "running" else None,
                "llm_calls": calls or None,
                "llm_tokens_used": 100 * calls or None,
                "llm_latency_ms": 250.5 * calls or None,
                "llm_timed_calls": calls,
            }
        )
    return rows


def roll_up(stored: Stored, rows: list[dict[str, Any]], *, dirty: float) -> None:
    """Store the rollup of all minutes and hours; the share `dirty` of minutes with wrong numbers, and marks of it."""
    chance = random.Random(11)
    windows: dict[tuple[str, dt.datetime], list[dict[str, Any]]] = {}
    for row in rows:
        windows.setdefault((row["agent_name"] or "", minute(row["created_at"])), []).append(row)
    marks, minutes = [], []
    hours: defaultdict[tuple[str, dt.datetime], Measures] = defaultdict(Measures)
    for (agent, start), members in windows.items():
        if chance.random() < dirty:
            members = members * 10
            marks.append((agent, start))
        minutes.append({"window_seconds": 60, **rolled(agent, start, Measures.of(members))})
        hours[agent, start.replace(minute=0)].add(Measures.of(members))
    stored.insert(schema.agent_performance_metrics, *minutes)
    stored.insert(
        schema.agent_performance_hours, *(rolled(agent, start, total) for (agent, start), total in hours.items())
    )
    if marks:
        stored.mark(*marks)
        stored.mark(*marks)  # As two ingesters do.


def rolled(agent: str, start: dt.datetime, measures: Measures) -> dict[str, Any]:
    """Make the row of a rollup."""
    columns = [column.name for column in schema.agent_performance_hours.columns]
    row = dict(zip(columns, (agent, start, *measures.values()), strict=True))
    return row | {name: orjson.loads(row[name]) for name in ("status_counts", "error_counts", "duration_histogram")}


def equal(one: Record, other: Record) -> None:
    """Compare two reports, but for where they come from; sums of floats may differ in their last digits."""
    assert {**one, "source": None, "llm_stats": None, "avg_duration_ms": None} == {
        **other,
        "source": None,
        "llm_stats": None,
        "avg_duration_ms": None,
    }
    assert one.avg_duration_ms == pytest.approx(other.avg_duration_ms)
    assert one.llm_stats == pytest.approx(other.llm_stats)


def test_measures_of_one_agent(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Rates are of the executions that ended and were not skipped; averages of those that have the number."""
    stored.executions(
        {
            "execution_id": "a",
            "duration_ms": 100.0,
            "llm_calls": 2,
            "llm_tokens_used": 30,
            "llm_latency_ms": 50.0,
            "llm_timed_calls": 2,
        },
        {"execution_id": "b", "duration_ms": 300.0},
        {"execution_id": "c", "status": "failed", "error_type": "ValueError"},
        {"execution_id": "d", "status": "skipped"},
        {"execution_id": "e", "status": "running"},
        {"execution_id": "other", "agent_name": "Other"},
        {"execution_id": "old", "created_at": ago(hours=25)},
    )
    stored.crashed("f", agent_name="Agent")
    metrics = analytics.analyze_agent_performance("Agent")
    assert metrics["total_executions"] == 6
    assert metrics["success_rate"] == 0.5
    assert metrics["avg_duration_ms"] == 200.0
    assert metrics["p50_duration_ms"] == pytest.approx(100, rel=0.01)
    assert metrics["p99_duration_ms"] == pytest.approx(300, rel=0.01)
    assert metrics["common_errors"] == {"Crashed": 1, "ValueError": 1}
    assert metrics["status_counts"] == {"crashed": 1, "failed": 1, "running": 1, "skipped": 1, "success": 2}
    assert metrics["llm_stats"] == {
        "total_calls": 2,
        "total_tokens": 30,
        "avg_tokens_per_call": 15.0,
        "avg_latency_ms": 25.0,
    }


def test_nothing_to_measure(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Rates and averages of nothing are 0.0, so that they can be printed and compared."""
    metrics = analytics.analyze_agent_performance("Nobody")
    assert (metrics["total_executions"], metrics["success_rate"], metrics["avg_duration_ms"]) == (0, 0.0, 0.0)
    assert (metrics["p50_duration_ms"], metrics["common_errors"]) == (None, {})
    assert metrics["llm_stats"]["avg_latency_ms"] == 0.0


_SPANS: list[dict[str, Any]] = [
    {"hours": None},
    {"hours": 24, "until": dt.datetime.now(dt.UTC)},
    {"hours": 3.3, "until": ago(hours=2, seconds=11)},
    {"since": ago(hours=9, seconds=31)},
    {"since": ago(hours=7, minutes=59), "until": ago(hours=6, minutes=61)},
    {"since": ago(hours=5, seconds=1), "until": ago(hours=5)},
]


@pytest.mark.parametrize("span", _SPANS, ids=["ever", "day", "before", "since", "minutes", "second"])
@pytest.mark.parametrize("dirty", [0.0, 0.3], ids=["clean", "dirty"])
def test_the_rollup_and_the_rows_agree(
    stored: Stored, analytics: ExecutionAnalytics, span: dict[str, Any], dirty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes from the rollup, and from the rows where minutes wait or are cut, is what the rows alone say."""
    rows = some_executions()
    stored.executions(*rows, {"execution_id": "timeless", "agent_name": "Editor", "created_at": None}, mark=False)
    names = [None, "Editor", "Critic"]
    roll_up(stored, rows, dirty=dirty)
    from_both = [analytics.analyze_agent_performance(name, **span) for name in names]
    by_agent, by_hour = analytics.performance_by_agent(**span), analytics.performance_by("hour", **span)
    monkeypatch.setattr(measured, "_MAX_SPANS", -1)  # Any number of spans is too many now.
    from_rows = [analytics.analyze_agent_performance(name, **span) for name in names]
    if span != _SPANS[-1]:
        assert {report.source for report in from_both} <= {"rollup", "both"}
    assert {report.source for report in from_rows} == {"rows"}
    for one, other in zip(from_both, from_rows, strict=True):
        equal(one, other)
    for one, other in zip(by_agent, analytics.performance_by_agent(**span), strict=True):
        equal(one, other)
    for one, other in zip(by_hour, analytics.performance_by("hour", **span), strict=True):
        equal(one, other)


def test_percentiles_are_within_one_percent(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Percentiles come from a histogram; each is within 1 % of the true one."""
    rows = [row for row in some_executions() if row["duration_ms"] is not None]
    stored.executions(*rows)
    metrics = analytics.analyze_agent_performance(hours=None)
    durations = sorted(row["duration_ms"] for row in rows)
    assert metrics["avg_duration_ms"] == pytest.approx(statistics.fmean(durations))
    for name, share in (("p50_duration_ms", 0.5), ("p95_duration_ms", 0.95), ("p99_duration_ms", 0.99)):
        assert metrics[name] == pytest.approx(durations[math.ceil(share * len(durations)) - 1], rel=0.0101)


def test_a_vault_is_measured_from_its_rows(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The rollup does not know of vaults, so a vault's numbers come from the rows."""
    rows = some_executions(100)
    stored.executions(*rows, mark=False)
    roll_up(stored, rows, dirty=0)
    metrics = analytics.analyze_agent_performance("Editor", vault_id="v1", hours=None)
    assert metrics["source"] == "rows"
    assert metrics["total_executions"] == sum(row["agent_name"] == "Editor" and row["vault_id"] == "v1" for row in rows)


def test_agents_with_the_most_executions_come_first(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Each agent is measured, also what no line named, and the busiest comes first."""
    stored.executions(
        {"execution_id": "a", "agent_name": "Critic"},
        {"execution_id": "b", "agent_name": None},
        {"execution_id": "c", "agent_name": "Critic"},
        {"execution_id": "d", "agent_name": "Archivist"},
    )
    reports = analytics.performance_by_agent()
    assert [(report.agent_name, report.total_executions) for report in reports] == [
        ("Critic", 2),
        (None, 1),
        ("Archivist", 1),
    ]
    assert [report.agent_name for report in analytics.performance_by_agent(vault_id="none")] == []
