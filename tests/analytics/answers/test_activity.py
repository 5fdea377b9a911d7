"""Test what goes on."""

import pytest

from analytics.stored import Stored, lately
from tracklog.analytics import ExecutionAnalytics


@pytest.fixture
def analytics(stored: Stored) -> ExecutionAnalytics:
    """Give a database in which two executions run, and others have ended."""
    ended = {"agent_name": "A", "created_at": lately(minutes=4)}
    stored.executions(
        {"execution_id": "r1", "agent_name": "A", "status": "running", "created_at": lately(hours=3)},
        {"execution_id": "r2", "agent_name": "B", "status": "llm_request", "created_at": lately(minutes=1)},
        {"execution_id": "a1", "duration_ms": 5.0, "llm_tokens_used": 7, "llm_calls": 1, **ended},
        {"execution_id": "a2", "duration_ms": 9.0, "llm_tokens_used": 8, "llm_calls": 2, **ended},
        {"execution_id": "a3", "status": "failed", "error_type": "E", "vault_id": "v", **ended},
        {"execution_id": "old", "agent_name": "A", "status": "failed", "created_at": lately(minutes=40)},
    )
    return ExecutionAnalytics(stored.url)


def test_what_runs(analytics: ExecutionAnalytics) -> None:
    """What runs is there however long it does, the longest first."""
    assert ["r1", "r2"] == [row.execution_id for row in analytics.get_activity().running]
    assert ["r2"] == [row.execution_id for row in analytics.get_activity(agent_name="B").running]
    first = analytics.get_activity(limit=1)
    assert (["r1"], 2) == ([row.execution_id for row in first.running], first.running_count)


def test_what_has_not_begun(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """What was selected does not run yet, and is counted for itself."""
    stored.executions(*({"execution_id": name, "agent_name": "C", "status": "pending"} for name in ("p1", "p2")))
    activity = analytics.get_activity()
    assert (2, 2) == (activity.running_count, activity.pending_count)
    assert ["r1", "r2"] == [row.execution_id for row in activity.running]


def test_what_failed_lately(analytics: ExecutionAnalytics) -> None:
    """Failures are those that began in the time that is looked at."""
    assert ["a3"] == [row.execution_id for row in analytics.get_activity(minutes=15).failed]
    assert ["a3", "old"] == [row.execution_id for row in analytics.get_activity(minutes=60).failed]
    first = analytics.get_activity(minutes=60, limit=1)
    assert (["a3"], 2) == ([row.execution_id for row in first.failed], first.failed_count)
    assert ["a3"] == [row.execution_id for row in analytics.get_activity(minutes=60, vault_id="v").failed]


def test_agents_are_measured(analytics: ExecutionAnalytics) -> None:
    """Each agent has its rates, tokens and slowest execution of that time."""
    first, second = analytics.get_activity(minutes=10).agents
    assert {
        "agent_name": "A",
        "executions": 3,
        "per_minute": 0.3,
        "status_counts": {"success": 2, "failed": 1},
        "tokens": 15,
        "llm_calls": 3,
        "slowest_ms": 9.0,
    } == first
    assert ("B", 1, None) == (second.agent_name, second.executions, second.slowest_ms)


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_no_time_at_all(analytics: ExecutionAnalytics, minutes: float) -> None:
    """In no time nothing goes on, and the question is a mistake."""
    with pytest.raises(ValueError, match="minutes must be more than zero"):
        analytics.get_activity(minutes)


def test_more_time_than_there_is(analytics: ExecutionAnalytics) -> None:
    """Before the calendar begins nothing was."""
    assert 2 == analytics.get_activity(1e300).failed_count
