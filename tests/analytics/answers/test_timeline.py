"""Test telling stages in order."""

import pytest

from analytics.stored import Stored
from tracklog.analytics import ExecutionAnalytics


def test_stages_in_the_order_they_were_written(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The timeline has the lines with a stage, what each says of it, and the time since the first line."""
    stored.logs(
        "e1",
        {"message": "execution started", "kind": "execution.started", "stage": "init", "stage_status": "started"},
        {"message": "no stage"},
        {"message": "preparing", "stage": "llm_prepare", "data": {"n": 1}},
        {"message": "still preparing", "stage": "llm_prepare"},
        {"message": "done", "stage": "llm_prepare", "stage_status": "completed", "duration_ms": 12.5},
    )
    timeline = analytics.get_stage_timeline("e1")
    assert [(row["stage"], row["status"], row["message"], row["duration_ms"]) for row in timeline] == [
        ("init", "started", "execution started", None),
        ("llm_prepare", "started", "preparing", None),
        ("llm_prepare", "logged", "still preparing", None),
        ("llm_prepare", "completed", "done", 12.5),
    ]
    assert [row["elapsed_ms"] for row in timeline] == pytest.approx([0, 2, 3, 4])
    assert timeline[1]["data"] == {"n": 1}
    assert timeline == sorted(timeline, key=lambda row: (row["timestamp"], row["writer"], row["seq"]))


def test_an_unknown_execution_has_no_stages(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The timeline of an execution that is not there is empty."""
    assert analytics.get_stage_timeline("unknown") == []


def test_a_timeline_without_times(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Lines of other programs may carry no time; they are told in the order of their writer."""
    stored.logs("e1", {"stage": "a", "timestamp": None}, {"stage": "b", "timestamp": None})
    assert [(row["stage"], row["elapsed_ms"]) for row in analytics.get_stage_timeline("e1")] == [
        ("a", None),
        ("b", None),
    ]
