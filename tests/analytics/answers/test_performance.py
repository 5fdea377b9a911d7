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
from tracklog.ingester.measures import Window


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
                "method": chance.choice(["read", "write", None]),
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


def some_calls(rows: list[dict[str, Any]], count: int = 400) -> list[dict[str, Any]]:
    """Make LLM calls of some executions, to three models, of which some were not answered, or by an error."""
    chance = random.Random(5)
    calls = []
    for number in range(count):
        error = chance.choice([None, None, "RateLimitError", "TimeoutError"])
        calls.append(
            {
                "execution_id": chance.choice(rows)["execution_id"],
                "call_id": f"c{number}",
                "model": chance.choice(["small", "large", None]),
                "latency_ms": chance.lognormvariate(6, 2),
                "error_type": error,
                "answered": error is not None or chance.random() < 0.8,
                "tokens_used": chance.choice([None, 100]),
            }
        )
    return calls


def roll_up(
    stored: Stored,
    rows: list[dict[str, Any]],
    calls: list[dict[str, Any]] | None = None,
    *,
    dirty: float,
    broken_down_since: dt.datetime | None = None,
) -> None:
    """Store the rollup of all minutes and hours.

    :param dirty: The share of minutes with wrong numbers, and marks of it.
    :param broken_down_since: Earlier hours tell nothing by method and model, as those that an older version made.
    """
    chance = random.Random(11)
    windows: dict[tuple[str, dt.datetime], list[dict[str, Any]]] = {}
    for row in rows:
        windows.setdefault((row["agent_name"] or "", minute(row["created_at"])), []).append(row)
    calls_of: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls or []:
        calls_of[call["execution_id"]].append(call)
    marks, minutes = [], []
    hours: defaultdict[tuple[str, dt.datetime], Window] = defaultdict(Window)
    for (agent, start), members in windows.items():
        if chance.random() < dirty:
            members = members * 10
            marks.append((agent, start))
        counted = Window()
        for one in (counted, hours[agent, start.replace(minute=0)]):
            for row in members:
                one.total.count(row)
                one.by_method[row["method"] or ""].count(row)
                for call in calls_of[row["execution_id"]]:
                    one.by_model[call["model"] or ""].count(as_execution(call))
        minutes.append({"window_seconds": 60, **rolled(agent, start, counted)})
    totals = [rolled(agent, start, total) for (agent, start), total in hours.items()]
    for row in (*minutes, *totals):
        if broken_down_since is not None and row["window_start"].replace(minute=0) < broken_down_since:
            row["by_method"] = row["by_model"] = None
    stored.insert(schema.agent_performance_metrics, *minutes)
    stored.insert(schema.agent_performance_hours, *totals)
    if marks:
        stored.mark(*marks)
        stored.mark(*marks)  # As two ingesters do.


def as_execution(call: dict[str, Any]) -> dict[str, Any]:
    """Give what is counted of an LLM call, under the names that this has of an execution."""
    return {
        "status": "failed" if call["error_type"] else "success" if call["answered"] else "unanswered",
        "error_type": call["error_type"],
        "duration_ms": call["latency_ms"],
        "llm_calls": None,
        "llm_tokens_used": call["tokens_used"],
        "llm_latency_ms": None,
        "llm_timed_calls": None,
    }


def rolled(agent: str, start: dt.datetime, counted: Window) -> dict[str, Any]:
    """Make the row of a rollup."""
    columns = schema.agent_performance_hours.columns
    return {
        column.name: orjson.loads(value) if isinstance(column.type, schema.JsonText) and value else value
        for column, value in zip(columns, (agent, start, *counted.values()), strict=True)
    }


def equal(one: Record, other: Record) -> None:
    """Compare two reports, but for where they come from; sums of floats may differ in their last digits."""
    sums = "avg_duration_ms", "avg_latency_ms", "llm_stats"
    apart = dict.fromkeys((*sums, "source"))
    assert {**one, **apart} == {**other, **apart}
    for name in sums:
        assert one.get(name) == pytest.approx(other.get(name))


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
@pytest.mark.parametrize("older", [False, True], ids=["whole", "older"])
@pytest.mark.parametrize("dirty", [0.0, 0.3], ids=["clean", "dirty"])
def test_the_rollup_and_the_rows_agree(
    stored: Stored,
    analytics: ExecutionAnalytics,
    span: dict[str, Any],
    dirty: float,
    older: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes from the rollup, and from the rows where minutes wait, are cut or do not tell, is what rows say."""
    rows = some_executions()
    calls = some_calls(rows)
    stored.executions(*rows, {"execution_id": "timeless", "agent_name": "Editor", "created_at": None}, mark=False)
    stored.calls(*calls)
    stored.call("timeless", "c", model="large")
    roll_up(stored, rows, calls, dirty=dirty, broken_down_since=ago(hours=5) if older else None)
    names = [None, "Editor", "Critic"]

    def ask() -> dict[str, list[Record]]:
        return {
            "total": [analytics.analyze_agent_performance(name, **span) for name in names],
            "agent": analytics.performance_by_agent(**span),
            "hour": analytics.performance_by("hour", **span),
            "method": [one for name in names for one in analytics.performance_by("method", agent_name=name, **span)],
            "model": [one for name in names for one in analytics.performance_by_model(agent_name=name, **span)],
        }

    from_both = ask()
    monkeypatch.setattr(measured, "_MAX_SPANS", -1)  # Any number of spans is too many now.
    from_rows = ask()
    if span != _SPANS[-1]:
        assert {report.source for report in from_both["total"]} <= {"rollup", "both"}
        assert older or {report.source for report in from_both["method"]} & {"rollup", "both"}
    assert {"rows"} == {report.source for by in ("total", "method") for report in from_rows[by]}
    for by, reports in from_both.items():
        for one, other in zip(reports, from_rows[by], strict=True):
            equal(one, other)


def test_a_period_that_begins_in_the_last_minute_there_is(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """It has no whole minute, and nothing is in it."""
    stored.executions({"execution_id": "a"})
    last = dt.datetime.max.replace(tzinfo=dt.UTC, second=30)
    assert 0 == analytics.analyze_agent_performance("Agent", since=last).total_executions
    assert [] == analytics.performance_by("hour", since=last)


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
