"""Test showing LLM calls."""

from analytics.stored import Stored
from tracklog.analytics import ExecutionAnalytics


def test_the_last_call_stands_at_the_top(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """All calls are given in the order they were made, and the last one's fields at the top."""
    stored.executions({"execution_id": "e1"})
    stored.call("e1", "z", model="small", request={"messages": [1]}, response={"content": "a"}, tokens_used=10)
    stored.call("e1", "a", model="large", request={"messages": [2]}, response={"content": "b"}, latency_ms=12.5)
    answer = analytics.get_llm_interactions("e1")
    assert (answer["model"], answer["request"], answer["response"]) == ("large", {"messages": [2]}, {"content": "b"})
    assert (answer["tokens_used"], answer["latency_ms"], answer["status"]) == (None, 12.5, "success")
    assert [(call.call_id, call.model, call.tokens_used) for call in answer["calls"]] == [
        ("z", "small", 10),
        ("a", "large", None),
    ]


def test_no_calls_have_the_same_keys(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An execution without calls, or an unknown one, answers the same keys with None."""
    stored.executions({"execution_id": "e1"}, {"execution_id": "e2"})
    stored.call("e2", "c1")
    for missing in ("e1", "unknown"):
        answer = analytics.get_llm_interactions(missing)
        assert answer.keys() == analytics.get_llm_interactions("e2").keys()
        assert (answer["model"], answer["request"], answer["calls"]) == (None, None, [])


def test_a_call_without_an_answer(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A call that was not answered is in flight while its execution goes on, and unanswered after its end."""
    stored.executions({"execution_id": "going", "status": "llm_request"}, {"execution_id": "over", "status": "timeout"})
    stored.call("going", "c1", answered=False, request={"n": 1})
    stored.call("over", "c1", answered=False, request={"n": 1})
    assert analytics.get_llm_interactions("going")["status"] == "in_flight"
    answer = analytics.get_llm_interactions("over")
    assert (answer["status"], answer["request"], answer["response"]) == ("unanswered", {"n": 1}, None)


def test_a_call_that_failed(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A call that the provider refused has its error."""
    stored.executions({"execution_id": "e1", "status": "failed"})
    stored.call("e1", "c1", error_type="RateLimitError", error_message="slow down")
    answer = analytics.get_llm_interactions("e1")
    assert (answer["status"], answer["error_type"], answer["error_message"]) == (
        "failed",
        "RateLimitError",
        "slow down",
    )


def test_an_answer_whose_request_was_lost(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A call without a request line stands where its answer came, and counts as answered."""
    stored.executions({"execution_id": "e1"})
    stored.call("e1", "c1", request_key=None, completed_at=None, end_key="000000001a")
    stored.call("e1", "c2")
    calls = analytics.get_llm_interactions("e1")["calls"]
    assert [(call.call_id, call.status) for call in calls] == [("c1", "success"), ("c2", "success")]
