"""Test laying out an execution and all that it called on one time line."""

import datetime as dt
from typing import Any

import pytest

from analytics.stored import NOW, Stored
from tracklog.analytics import ExecutionAnalytics


def at(milliseconds: float) -> dt.datetime:
    """Give the time so many milliseconds after the first line."""
    return NOW + dt.timedelta(milliseconds=milliseconds)


def run(execution_id: str, start: float, end: float, **columns: Any) -> dict[str, Any]:
    """Give an execution that took from `start` to `end`."""
    return {
        "execution_id": execution_id,
        "agent_name": execution_id,
        "created_at": at(start),
        "started_at": at(start),
        "completed_at": at(end),
        "duration_ms": end - start,
        **columns,
    }


def test_spans_stand_below_what_they_are_part_of(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Stages hold what happens in them; what ended last before the end is the critical path."""
    stored.executions(run("root", 0, 100), run("quick", 20, 40), run("slow", 20, 90), run("below", 30, 80))
    stored.links(("root", "quick"), ("root", "slow"), ("slow", "below"))
    stored.logs(
        "root",
        {"kind": "stage.started", "stage": "plan", "stage_status": "started", "timestamp": at(1)},
        {"kind": "stage.completed", "stage": "plan", "stage_status": "completed", "timestamp": at(12)},
    )
    stored.call("root", "c1", started_at=at(2), completed_at=at(10), latency_ms=8.0)
    waterfall = analytics.get_waterfall("root")
    assert waterfall is not None
    assert [
        (0, "execution", "root", 0.0, 100.0, True, 19.0),
        (1, "stage", "plan", 1.0, 11.0, True, 3.0),
        (2, "llm", "gpt-5.1", 2.0, 8.0, True, 8.0),
        (1, "execution", "slow", 20.0, 70.0, True, 20.0),
        (2, "execution", "below", 30.0, 50.0, True, 50.0),
        (1, "execution", "quick", 20.0, 20.0, False, 0.0),
    ] == [
        (s.depth, s.kind, s.name, s.start_ms, s.duration_ms, s.critical, s.critical_ms)
        for s in sorted(waterfall.spans, key=waterfall.spans.index)
    ]
    assert "below" == waterfall.spans[waterfall.critical[0]].name
    assert 100.0 == sum(span.critical_ms for span in waterfall.spans)


def test_a_request_that_took_long_to_be_written(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A call that took longer than its lines are apart began before its first line, and ends before what followed."""
    stored.executions(run("root", 0, 50), run("tool", 21, 22))
    stored.links(("root", "tool"))
    stored.call("root", "c1", started_at=at(15), completed_at=at(20), latency_ms=10.0)
    waterfall = analytics.get_waterfall("root")
    assert waterfall is not None
    assert [("root", 0.0, True), ("gpt-5.1", 10.0, True), ("tool", 21.0, True)] == [
        (span.name, span.start_ms, span.critical) for span in waterfall.spans
    ]


def test_durations_that_no_calendar_holds(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A program may say that it took thirty thousand years."""
    stored.executions(run("root", 0, 50, duration_ms=9e14, completed_at=None))
    stored.logs("root", {"kind": "stage.completed", "stage": "plan", "duration_ms": 9e14, "timestamp": at(5)})
    stored.call("root", "c1", started_at=at(15), completed_at=at(20), latency_ms=9e14)
    waterfall = analytics.get_waterfall("root")
    assert waterfall is not None
    assert ["root", "plan", "gpt-5.1"] == [span.name for span in waterfall.spans]


def test_what_nobody_waits_for_is_not_on_the_path(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An execution that goes on after its caller did not hold it up."""
    stored.executions(run("root", 0, 50), run("late", 10, 500))
    stored.links(("root", "late"))
    waterfall = analytics.get_waterfall("root")
    assert waterfall is not None
    assert [("root", True, 50.0), ("late", False, 0.0)] == [
        (span.name, span.critical, span.critical_ms) for span in waterfall.spans
    ]


def test_what_has_no_end(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A crashed execution and its unanswered call reach as far as was heard of them, and are not called ended."""
    stored.crashed("dead", agent_name="Dead", created_at=at(0), started_at=at(0))
    stored.logs(
        "dead",
        {"kind": "stage.started", "stage": "llm_call", "stage_status": "started", "timestamp": at(5)},
        {"message": "still here", "timestamp": at(30)},
    )
    stored.call("dead", "c1", answered=False, started_at=at(6))
    waterfall = analytics.get_waterfall("dead")
    assert waterfall is not None
    assert [
        ("Dead", "crashed", 30.0, False),
        ("llm_call", "started", 25.0, False),
        ("gpt-5.1", "unanswered", 24.0, False),
    ] == [(span.name, span.status, span.duration_ms, span.ended) for span in waterfall.spans]


def test_stages_that_ordinary_lines_name(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A stage on ordinary lines lasts until another is named, the last until the end."""
    stored.executions(run("foreign", 0, 40))
    stored.logs(
        "foreign",
        {"stage": "read", "timestamp": at(0)},
        {"stage": "read", "timestamp": at(5)},
        {"stage": "write", "timestamp": at(25)},
    )
    waterfall = analytics.get_waterfall("foreign")
    assert waterfall is not None
    assert [("foreign", 40.0, True), ("read", 25.0, True), ("write", 15.0, True)] == [
        (span.name, span.duration_ms, span.ended) for span in waterfall.spans
    ]


def test_stages_that_nobody_ended(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A stage without an end reaches to where the next begins, and stands beside it."""
    stored.executions(run("root", 0, 40))
    stored.logs(
        "root",
        *(
            {"kind": "stage.started", "stage": name, "stage_status": "started", "timestamp": at(time)}
            for name, time in (("read", 5), ("think", 20), ("read", 30))
        ),
    )
    waterfall = analytics.get_waterfall("root")
    assert waterfall is not None
    assert [("read", 1, 15.0, False), ("think", 1, 10.0, False), ("read", 1, 10.0, False)] == [
        (span.name, span.depth, span.duration_ms, span.ended) for span in waterfall.spans[1:]
    ]


@pytest.mark.parametrize("kind", [None, "stage.started"])
@pytest.mark.parametrize("heard_of", [0.0, 0.05], ids=["its last line", "a call just after"])
def test_a_stage_that_the_last_lines_name(
    stored: Stored, analytics: ExecutionAnalytics, kind: str | None, heard_of: float
) -> None:
    """The stage of an execution's last lines stands beside the one before, and is on the path, however short it is."""
    stored.crashed("dead", created_at=at(0), started_at=at(0))
    stored.logs(
        "dead",
        *({"kind": kind, "stage": name, "timestamp": at(time)} for name, time in (("read", 5), ("write", 20))),
        {"kind": "llm.request", "timestamp": at(20 + heard_of)},
    )
    stored.call("dead", "c1", answered=False, started_at=at(20 + heard_of))
    waterfall = analytics.get_waterfall("dead")
    assert waterfall is not None
    assert [("read", 1, True), ("write", 1, True), ("gpt-5.1", 2, True)] == [
        (span.name, span.depth, span.critical) for span in waterfall.spans[1:]
    ]


def test_lost_beginnings_and_unknown_executions(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A stage whose first line was lost is placed by its duration; a child without lines has no time."""
    stored.executions(run("root", 0, 40, parent_execution_id="above"))
    stored.links(("above", "root"), ("root", "gone"), child_agent="Gone")
    stored.logs(
        "root",
        {"kind": "stage.failed", "stage": "x", "stage_status": "failed", "timestamp": at(30), "duration_ms": 20.0},
    )
    waterfall = analytics.get_waterfall("root")
    assert waterfall is not None
    assert [("root", 0.0), ("x", 10.0), ("Gone", None)] == [(span.name, span.start_ms) for span in waterfall.spans]
    assert analytics.get_waterfall("nothing") is None


def test_calls_deeper_than_python_recurses(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An agent that calls itself a thousand times is laid out, and its innermost call is the path."""
    deep = 1200
    stored.executions(*(run(f"e{n:04d}", n, 3 * deep - n) for n in range(deep)))
    stored.links(*((f"e{n:04d}", f"e{n + 1:04d}") for n in range(deep - 1)))
    waterfall = analytics.get_waterfall("e0000")
    assert waterfall is not None
    assert (deep, deep - 1) == (len(waterfall.spans), waterfall.spans[-1].depth)
    assert "e1199" == waterfall.spans[waterfall.critical[0]].name
