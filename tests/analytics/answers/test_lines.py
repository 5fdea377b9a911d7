"""Test giving the lines of executions."""

import datetime as dt

from analytics.stored import NOW, Stored, ago
from tracklog.analytics import ExecutionAnalytics


def test_lines_of_several_executions_in_order(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """They are in the order they were written, whoever wrote them, those without a time last, each with its file."""
    stored.source(path="/logs/a.jsonl")
    stored.logs("e1", {"message": "third", "timestamp": NOW}, {"message": "first", "timestamp": ago(hours=2)})
    stored.logs("e2", {"message": "second", "timestamp": ago(hours=1)}, {"message": "fourth", "timestamp": None})
    stored.logs("e3", {"message": "another"}, source_id="unknown")
    rows = analytics.get_log_lines(["e1", "e2", "nothing"])
    assert ["first", "second", "third", "fourth"] == [row.message for row in rows]
    assert {"/logs/a.jsonl"} == {row.file for row in rows}
    assert [None] == [row.file for row in analytics.get_log_lines(["e3"])]


def test_a_search_goes_on_behind_its_last_row(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Portions join without a gap and without an overlap."""
    stored.executions({"execution_id": "e1"}, {"execution_id": "e2"})
    stored.logs("e1", *({"message": f"line {n}"} for n in range(5)))
    stored.logs("e2", {"message": "line 5"}, {"message": None, "data": {"text": "a line"}}, {"message": "other"})
    found = []
    last = None
    while rows := analytics.search_log_lines("line", after=last, limit=2):
        found += [row.message for row in rows]
        last = rows[-1]
    assert [*(f"line {n}" for n in range(6)), None] == found


def test_records_by_ids(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Those that are there, also the error of one that crashed."""
    stored.executions({"execution_id": "e1", "agent_name": "Editor"})
    stored.crashed("e2", current_stage="llm_call")
    found = analytics.get_executions(["e1", "e2", "e1", "nothing"])
    assert {"e1", "e2"} == set(found)
    assert ("Editor", "Crashed") == (found["e1"].agent_name, found["e2"].error_type)


def test_followed_paths(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Those of the host's ingesters, or none."""
    stored.ingester("here", paths=["/logs", "/more"])
    stored.ingester("here", paths=["/other", "/logs"], started_at=NOW + dt.timedelta(seconds=1))
    assert (["/logs", "/more", "/other"], []) == (
        analytics.get_followed_paths("here"),
        analytics.get_followed_paths("there"),
    )
