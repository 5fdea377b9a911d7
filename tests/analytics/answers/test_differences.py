"""Test comparing two executions."""

from typing import Any

import pytest

from analytics.stored import Stored
from tracklog.analytics import ExecutionAnalytics
from tracklog.analytics.answers import differences


def compared(analytics: ExecutionAnalytics) -> list[tuple[Any, ...]]:
    """Give the differences of the executions a and b, in short."""
    answer = analytics.compare_executions("a", "b")
    assert answer is not None
    return [(row.what, row.field, row.a, row.b) for row in answer.differences]


def test_alike(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Executions that did the same differ in nothing, whatever time they took; durations say that."""
    for name, took in (("a", 10.0), ("b", 30.0)):
        stored.executions({"execution_id": name, "conversation_id": name, "input_data": {"q": 1}, "duration_ms": took})
        stored.logs(name, {"kind": "stage.started", "stage": "plan", "stage_status": "started"}, {"message": "found"})
        stored.call(name, f"call-{name}", request="who?", response="Mara", latency_ms=took / 2)
    answer = analytics.compare_executions("a", "b")
    assert answer is not None
    assert [] == answer.differences
    assert [("end", 10.0, 30.0), ("LLM call 1", 5.0, 15.0)] == [(r.what, r.a_ms, r.b_ms) for r in answer.durations]
    assert ("a", "b") == (answer.a.execution_id, answer.b.execution_id)


def test_in_the_order_of_what_they_did(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Input before stages, lines and calls, and these before output, error and status."""
    stored.executions(
        {"execution_id": "a", "input_data": 1, "output_data": "x", "metadata": {"trial": 1}},
        {
            "execution_id": "b",
            "input_data": 2,
            "status": "failed",
            "error_type": "ValueError",
            "metadata": {"trial": 2},
        },
    )
    stored.logs("a", {"message": "found", "data": {"n": 3}}, {"message": "only here"})
    stored.logs("b", {"message": "found", "data": {"n": 4}})
    assert [
        ("input", "input_data", 1, 2),
        ("line 'found'", "data", {"n": 3}, {"n": 4}),
        ("line 'only here'", None, {"level": "info"}, None),
        ("end", "output_data", "x", None),
        ("end", "error_type", None, "ValueError"),
        ("end", "status", "success", "failed"),
        ("end", "metadata", {"trial": 1}, {"trial": 2}),
    ] == compared(analytics)


@pytest.mark.parametrize("most", [2000, 0])
def test_steps_that_one_lacks(
    stored: Stored, analytics: ExecutionAnalytics, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A stage more does not make all that follows differ, unless there is too much to be aligned."""
    monkeypatch.setattr(differences, "_MOST", most)
    plan = {"kind": "stage.started", "stage": "plan", "stage_status": "started"}
    stored.executions({"execution_id": "a"}, {"execution_id": "b"})
    stored.logs("a", {"message": "one"}, {"message": "two"})
    stored.logs("b", {"message": "one"}, plan, {"message": "two"})
    found = compared(analytics)
    assert ("stage plan started", None, None, {}) in found
    assert (1 if most else 5) == len(found)


def test_calls_and_children(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Each LLM call is known by its number in each execution; called agents by their names."""
    stored.executions(*({"execution_id": name} for name in "ab"), {"execution_id": "c", "agent_name": "Critic"})
    stored.call("a", "1", request="who?", response="Mara")
    stored.call("b", "1", request="who?", response="Ines")
    stored.call("b", "2", request="sure?", response="yes")
    stored.links(("a", "c"))
    answer = analytics.compare_executions("a", "b")
    assert answer is not None
    told = {(row.what, row.field, row.a_call, row.b_call) for row in answer.differences}
    assert {
        ("LLM call 1", "response", 1, 1),
        ("LLM call 2", None, None, 2),
        ("call of Critic", None, None, None),
    } == told


def test_unknown(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Nothing is compared with what is not there."""
    stored.executions({"execution_id": "a"})
    assert analytics.compare_executions("a", "b") is None
