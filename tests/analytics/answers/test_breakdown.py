"""Test measuring by method, hour and model."""

import datetime as dt

import pytest

from analytics.stored import NOW, Stored, ago
from tracklog.analytics import ExecutionAnalytics

HOUR = NOW.replace(minute=0, second=0)


@pytest.fixture
def room(stored: Stored) -> Stored:
    """Give a database with executions of two methods in two hours, one of them without a time."""
    rows = (("a", "read", HOUR, 100.0), ("b", "read", HOUR, 300.0), ("c", "write", HOUR - dt.timedelta(hours=2), None))
    stored.executions(
        *(
            {
                "execution_id": name,
                "method": method,
                "created_at": created,
                "duration_ms": took,
                "status": "success" if took else "failed",
                "error_type": None if took else "ValueError",
                "llm_calls": 1,
                "llm_tokens_used": 10,
                "vault_id": "v1",
            }
            for name, method, created, took in rows
        ),
        {"execution_id": "timeless", "agent_name": "Other", "created_at": None},
    )
    return stored


def test_by_method(room: Stored, analytics: ExecutionAnalytics) -> None:
    """Each method of each agent is measured as an agent is."""
    reports = analytics.performance_by("method", hours=None)
    assert [("Agent", "read", 2, 1.0), ("Agent", "write", 1, 0.0), ("Other", None, 1, 1.0)] == [
        (one.agent_name, one.method, one.total_executions, one.success_rate) for one in reports
    ]
    assert (200.0, 20, {"ValueError": 1}) == (
        reports[0].avg_duration_ms,
        reports[0].llm_stats.total_tokens,
        reports[1].common_errors,
    )
    assert 2 == len(analytics.performance_by("method", hours=None, vault_id="v1"))
    assert 1 == len(analytics.performance_by("method", hours=None, agent_name="Other"))


def test_by_hour(room: Stored, analytics: ExecutionAnalytics) -> None:
    """Hours are in their order, those of nothing are left out, and what has no time comes last."""
    reports = analytics.performance_by("hour", hours=None)
    assert [(HOUR - dt.timedelta(hours=2), 1), (HOUR, 2), (None, 1)] == [
        (one.hour, one.total_executions) for one in reports
    ]
    assert [HOUR] == [one.hour for one in analytics.performance_by("hour", hours=1.5)]


def test_by_model(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Calls are measured by their own latency and errors."""
    stored.executions({"execution_id": "a"}, {"execution_id": "old", "created_at": ago(hours=30)})
    stored.call("a", "1", latency_ms=100.0, tokens_used=7)
    stored.call("a", "2", latency_ms=300.0, error_type="RateLimitError")
    stored.call("a", "3", answered=False)
    stored.call("a", "4", model="other")
    stored.call("old", "5", model="old")
    first, second = analytics.performance_by_model()
    assert ("gpt-5.1", 3, 0.5, 200.0, 7) == (
        first.model,
        first.total_calls,
        first.success_rate,
        first.avg_latency_ms,
        first.total_tokens,
    )
    assert ({"failed": 1, "success": 1, "unanswered": 1}, {"RateLimitError": 1}) == (
        first.status_counts,
        first.common_errors,
    )
    assert ("other", 1, None) == (second.model, second.total_calls, second.p95_latency_ms)
    assert 3 == len(analytics.performance_by_model(hours=None))


def test_a_dimension_that_there_is_not(analytics: ExecutionAnalytics) -> None:
    """Models have a question of their own."""
    with pytest.raises(ValueError, match="one of method, hour"):
        analytics.performance_by("model")  # type: ignore[arg-type]
