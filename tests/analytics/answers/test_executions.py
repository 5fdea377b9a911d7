"""Test finding executions."""

import datetime as dt
import uuid

import pytest

from analytics.stored import NOW, Stored, ago
from tracklog.analytics import ExecutionAnalytics, Record


def ids(records: list[Record]) -> list[str]:
    """Give the ids of executions, in their order."""
    return [record["execution_id"] for record in records]


def test_a_record_answers_by_attribute_and_by_key(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A record has the columns of the execution, with JSON decoded and times aware."""
    stored.executions({"execution_id": "e1", "agent_name": "Editor", "input_data": {"query": "é"}, "duration_ms": 1.5})
    record = analytics.get_execution("e1")
    assert record is not None
    assert record.agent_name == record["agent_name"] == "Editor"
    assert record.input_data == {"query": "é"}
    assert record.created_at == NOW
    assert record.created_at.tzinfo is not None
    assert record.status == "success"


def test_bookkeeping_stays_inside(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A record has no columns that only the ingester needs."""
    stored.executions({"execution_id": "e1"})
    record = analytics.get_execution("e1")
    assert record is not None
    assert [name for name in record if name.endswith("_key") or name in ("field_ranks", "line_status")] == []


@pytest.mark.parametrize("missing", ["nothing", "", "e1\x00", "\ud800", "x" * 1000])
def test_an_unknown_id_is_none(stored: Stored, analytics: ExecutionAnalytics, missing: str) -> None:
    """There is no record for an id that no line carried, whatever is asked."""
    stored.executions({"execution_id": "e1"})
    assert analytics.get_execution(missing) is None
    assert analytics.get_execution_with_logs(missing) is None


def test_ids_may_be_uuids(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """UUID objects are taken where ids are."""
    one, vault = uuid.uuid4(), uuid.uuid4()
    stored.executions({"execution_id": str(one), "vault_id": str(vault)})
    assert analytics.get_execution(one) is not None
    assert ids(analytics.get_recent_executions(vault_id=vault)) == [str(one)]


def test_everything_of_an_execution(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An execution comes with its lines in order, where they stand, its LLM calls and its children."""
    stored.executions({"execution_id": "e1"}, {"execution_id": "e2", "agent_name": "Child"})
    stored.source(path="/logs/a.jsonl")
    stored.logs(
        "e1", {"message": "first", "data": {"n": 1}, "line_offset": 0}, {"message": "second", "line_offset": 99}
    )
    stored.call("e1", "c1", response={"content": "yes"})
    stored.links(("e1", "e2"), call_reason="ask")
    answer = analytics.get_execution_with_logs("e1")
    assert answer is not None
    assert answer["execution"]["current_stage"] is None
    assert [(log.message, log.file, log.line_offset) for log in answer["logs"]] == [
        ("first", "/logs/a.jsonl", 0),
        ("second", "/logs/a.jsonl", 99),
    ]
    assert answer["logs"][0].data == {"n": 1}
    assert [(call.call_id, call.response, call.status) for call in answer.llm_calls] == [
        ("c1", {"content": "yes"}, "success")
    ]
    assert [(child.execution_id, child.agent_name, child.call_reason) for child in answer.children] == [
        ("e2", "Child", "ask")
    ]


def test_lines_without_a_time_come_last(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The order of lines is that of their times, and is the same on both databases where there is none."""
    stored.executions({"execution_id": "e1"})
    stored.logs("e1", {"message": "timeless", "timestamp": None}, {"message": "timed"})
    answer = analytics.get_execution_with_logs("e1")
    assert answer is not None
    assert [log.message for log in answer.logs] == ["timed", "timeless"]


def test_recent_executions_are_newest_first(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The newest come first, at most as many as asked for, those without a time at the end."""
    stored.executions(
        {"execution_id": "old", "created_at": ago(days=400)},
        {"execution_id": "new", "created_at": ago(minutes=1)},
        {"execution_id": "timeless", "created_at": None},
        {"execution_id": "older", "created_at": ago(days=500)},
    )
    assert ids(analytics.get_recent_executions()) == ["new", "old", "older", "timeless"]
    assert ids(analytics.get_recent_executions(limit=2)) == ["new", "old"]
    assert ids(analytics.get_recent_executions(hours=1)) == ["new"]


def test_recent_executions_in_another_order(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """What has most of something comes first, what has none of it last, and among equals the newest."""
    stored.executions(
        {"execution_id": "a", "created_at": ago(minutes=3), "duration_ms": 9.0, "llm_tokens_used": 5, "llm_calls": 1},
        {"execution_id": "b", "created_at": ago(minutes=2), "duration_ms": None, "llm_tokens_used": 7},
        {"execution_id": "c", "created_at": ago(minutes=1), "duration_ms": 10.0, "agent_name": "Aaron"},
        {"execution_id": "timeless", "created_at": None},
    )
    for sort, expected in (
        ("oldest", ["a", "b", "c", "timeless"]),
        ("slowest", ["c", "a", "b", "timeless"]),
        ("tokens", ["b", "a", "c", "timeless"]),
        ("calls", ["a", "c", "b", "timeless"]),
        ("agent", ["c", "b", "a", "timeless"]),
    ):
        assert expected == ids(analytics.get_recent_executions(sort=sort)), sort
    assert ["c"] == ids(analytics.get_recent_executions(sort="slowest", limit=1))
    with pytest.raises(ValueError, match="sort must be one of newest, oldest"):
        analytics.get_recent_executions(sort="fastest")


@pytest.mark.parametrize(
    "filters",
    [{"vault_id": "v1"}, {"agent_name": "Editor"}, {"status": "failed"}, {"conversation_id": "c1"}],
    ids=lambda filters: next(iter(filters)),
)
def test_recent_executions_are_filtered(stored: Stored, analytics: ExecutionAnalytics, filters: dict[str, str]) -> None:
    """Each filter leaves those that have its value."""
    stored.executions({"execution_id": "e1", **filters}, {"execution_id": "e2", "agent_name": "Other"})
    assert ids(analytics.get_recent_executions(**filters)) == ["e1"]  # type: ignore[arg-type]


def test_failed_executions(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Failed, timed out and crashed executions of the last hours are given, newest first, with their errors."""
    stored.executions(
        {"execution_id": "ok", "status": "success"},
        {"execution_id": "f", "status": "failed", "error_type": "ValueError", "created_at": ago(minutes=3)},
        {"execution_id": "t", "status": "timeout", "error_type": "TimeoutError", "created_at": ago(minutes=2)},
        {"execution_id": "old", "status": "failed", "created_at": ago(hours=25)},
    )
    stored.crashed("c", current_stage="llm_call", created_at=ago(minutes=1))
    stored.call("c", "c1", answered=False)
    failed = analytics.get_failed_executions()
    assert [(record.execution_id, record.error_type) for record in failed] == [
        ("c", "Crashed"),
        ("t", "TimeoutError"),
        ("f", "ValueError"),
    ]
    assert failed[0].error_message == "its process died in stage llm_call, waiting for gpt-5.1 to answer"
    assert failed[0].call_in_flight.call_id == "c1"
    assert ids(analytics.get_failed_executions(hours=26)) == ["c", "t", "f", "old"]
    assert ids(analytics.get_failed_executions(hours=None, limit=1)) == ["c"]


def test_an_execution_given_up_on_has_an_error(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An execution that no line came from any more says so, and in which stage."""
    stored.crashed("t", verdict="timeout", current_stage="pre_process")
    (record,) = analytics.get_failed_executions()
    assert (record.status, record.error_type) == ("timeout", "Timeout")
    assert record.error_message == "no line came any more in stage pre_process"


def test_a_verdict_does_not_count_once_a_line_is_newer(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An execution that went on after its verdict is what its lines say."""
    stored.crashed("e1", verdict_key="")
    assert analytics.get_failed_executions() == []
    record = analytics.get_execution("e1")
    assert record is not None
    assert (record.status, record.error_type) == ("running", None)


def test_skipped_executions(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Skipped executions are given with their score and reasoning."""
    stored.executions(
        {"execution_id": "s", "status": "skipped", "relevance_score": 0.3, "relevance_reasoning": "about plot"},
        {"execution_id": "ok"},
    )
    (record,) = analytics.get_skipped_executions()
    assert (record.execution_id, record.relevance_score, record.relevance_reasoning) == ("s", 0.3, "about plot")


def test_slow_executions(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Executions over the threshold are given slowest first, with what was not the model's time."""
    stored.executions(
        {"execution_id": "a", "duration_ms": 6000.0, "llm_latency_ms": 5500.0},
        {"execution_id": "b", "duration_ms": 9000.0, "llm_latency_ms": 12000.0},
        {"execution_id": "c", "duration_ms": 7000.0},
        {"execution_id": "exactly", "duration_ms": 5000.0},
        {"execution_id": "unfinished", "status": "running"},
    )
    slow = analytics.find_slow_executions()
    assert [(record["execution_id"], record["overhead_ms"]) for record in slow] == [
        ("b", 0.0),
        ("c", 7000.0),
        ("a", 500.0),
    ]
    assert ids(analytics.find_slow_executions(threshold_ms=8000)) == ["b"]


def test_a_period(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A period has its beginning and not its end; hours are counted back from it."""
    stored.executions(
        *(
            {"execution_id": f"{hours} ago", "status": "failed", "created_at": ago(hours=hours), "duration_ms": 9000.0}
            for hours in (1, 2, 3, 4)
        )
    )
    begun, ended = ago(hours=3), ago(hours=1)
    assert ids(analytics.get_failed_executions(since=begun, until=ended)) == ["2 ago", "3 ago"]
    assert ids(analytics.get_failed_executions(hours=1, until=ended)) == ["2 ago"]
    assert ids(analytics.get_recent_executions(until=begun)) == ["4 ago"]
    assert ids(analytics.find_slow_executions(since=begun, until=ended)) == ["2 ago", "3 ago"]
    assert [group.executions for group in analytics.get_failure_groups(since=begun, until=ended)] == [2]
    assert [report.total_executions for report in analytics.performance_by("method", since=begun, until=ended)] == [2]


def test_a_time_must_have_a_zone(analytics: ExecutionAnalytics) -> None:
    """A time without a zone could be any of two dozen."""
    with pytest.raises(ValueError, match="since must be a time with a zone"):
        analytics.get_failed_executions(since=dt.datetime(2026, 11, 22))  # noqa: DTZ001


def test_hours_must_be_a_span(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A negative number of hours is a mistake of the caller's; a huge one reaches to the beginning."""
    with pytest.raises(ValueError, match="hours must be zero or more"):
        analytics.get_failed_executions(hours=-1)
    assert analytics.get_failed_executions(hours=1e12) == []


def test_what_has_no_time_comes_last(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Wherever the newest are asked for, on both databases."""
    for status in ("failed", "skipped", "running"):
        stored.executions(
            *(
                {
                    "execution_id": f"{status} {name}",
                    "agent_name": agent,
                    "status": status,
                    "conversation_id": status,
                    "error_message": "it broke",
                    "created_at": time,
                }
                for name, agent, time in (
                    ("timeless", None, None),
                    ("old", "A", ago(hours=2)),
                    ("new", "A", ago(hours=1)),
                )
            )
        )
    stored.executions({"execution_id": "last", "agent_name": "B", "status": "running", "created_at": None})
    stored.executions({"execution_id": "first", "agent_name": "B", "status": "failed", "created_at": ago(minutes=30)})

    timeless = ["first", "failed new", "failed old", "failed timeless"]
    assert timeless == ids(analytics.get_failed_executions(hours=None))
    assert timeless[:2] == ids(analytics.get_failed_executions(hours=None, limit=2))
    assert ["skipped new", "skipped old", "skipped timeless"] == ids(analytics.get_skipped_executions(hours=None))
    assert ["running old", "running new"] == ids(analytics.get_conversation("running", limit=2))
    assert "failed" == analytics.debug_why_agent_didnt_fire("B").status
    assert ["first", "last"] == ids(analytics.debug_why_agent_didnt_fire("B").executions)
    present = analytics.debug_why_agent_didnt_fire("A", "failed").agents_in_conversation
    assert ["A", None] == [one.agent_name for one in present]
    (group,) = analytics.get_failure_groups(hours=None, agent_name="A")
    assert "failed new" == group.execution_id
