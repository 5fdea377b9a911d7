"""Test answering why an agent did not fire."""

import uuid
from typing import Any

import pytest

from analytics.stored import NOW, Stored, ago
from tracklog.analytics import ExecutionAnalytics
from tracklog.ingester.schema import tracklog_purged


def test_skipped_with_its_evidence(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A skipped agent is answered with its score, its reasoning and what it was asked."""
    stored.executions(
        {
            "execution_id": "e1",
            "agent_name": "PsychologistAgent",
            "conversation_id": "c1",
            "status": "skipped",
            "relevance_score": 0.3,
            "relevance_reasoning": "Query is about plot structure",
            "input_data": {"query": "plot?"},
        }
    )
    result = analytics.debug_why_agent_didnt_fire(agent_name="PsychologistAgent", conversation_id="c1")
    assert result["status"] == "skipped"
    assert result["message"] == "PsychologistAgent was invoked but skipped due to relevance check"
    (execution,) = result["executions"]
    assert execution["execution_id"] == "e1"
    assert (execution["relevance_score"], execution["relevance_reasoning"]) == (0.3, "Query is about plot structure")
    assert execution["input_data"] == {"query": "plot?"}


@pytest.mark.parametrize(
    ("columns", "status", "message"),
    [
        ({"status": "success"}, "fired_successfully", "A fired successfully"),
        ({"status": "pending"}, "selected_not_started", "A was selected but never started"),
        (
            {"status": "pending", "call_reason": "style"},
            "selected_not_started",
            "A was selected (style) but never started",
        ),
        (
            {
                "status": "failed",
                "error_type": "ValueError",
                "error_message": "no text",
                "current_stage": "pre_process",
            },
            "failed",
            "A was invoked but failed in stage pre_process: ValueError: no text",
        ),
        (
            {"status": "timeout", "current_stage": "llm_call"},
            "timeout",
            "A was invoked but timed out in stage llm_call",
        ),
        (
            {"status": "running", "current_stage": "init"},
            "running",
            "A was invoked and is still running, in stage init",
        ),
        ({"status": "llm_response"}, "running", "A was invoked and is still running, before its first stage"),
        (
            {"status": "running", "verdict": "crashed", "verdict_key": "9999", "current_stage": "llm_prepare"},
            "crashed",
            "A was invoked but its process died in stage llm_prepare",
        ),
    ],
)
def test_what_became_of_it(
    stored: Stored, analytics: ExecutionAnalytics, columns: dict[str, Any], status: str, message: str
) -> None:
    """Each end an execution can come to has its status and its sentence."""
    stored.executions({"execution_id": "e1", "agent_name": "A", **columns})
    result = analytics.debug_why_agent_didnt_fire("A")
    assert (result.status, result.message) == (status, message)
    assert result.call_in_flight is None


@pytest.mark.parametrize(
    ("columns", "status"),
    [({"status": "llm_request"}, "running"), ({"verdict": "crashed", "verdict_key": "9999"}, "crashed")],
)
def test_a_call_in_flight(stored: Stored, analytics: ExecutionAnalytics, columns: dict[str, Any], status: str) -> None:
    """An agent that waits for a model, or died waiting, is answered with the call."""
    row = {"execution_id": "e1", "agent_name": "A", "status": "llm_request", "current_stage": "llm_call", **columns}
    stored.executions(row)
    stored.call("e1", "done")
    stored.call("e1", "open", answered=False, model="gpt-5.1")
    result = analytics.debug_why_agent_didnt_fire("A")
    assert result["status"] == status
    assert result["message"].endswith("in stage llm_call, waiting for gpt-5.1 to answer")
    assert result["call_in_flight"]["call_id"] == "open"
    assert result["executions"][0]["call_in_flight"]["model"] == "gpt-5.1"


def test_one_success_is_a_success(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An agent that succeeded once did fire, however long ago among its executions that was."""
    stored.executions(
        {"execution_id": "ok", "agent_name": "A", "created_at": ago(hours=9)},
        *(
            {"execution_id": f"f{n}", "agent_name": "A", "status": "failed", "created_at": ago(minutes=n)}
            for n in range(30)
        ),
    )
    result = analytics.debug_why_agent_didnt_fire("A")
    assert result.status == "fired_successfully"
    assert [result.executions[0].execution_id, result.executions[-1].execution_id] == ["f0", "ok"]
    assert len(result.executions) == 21


def test_without_success_the_newest_decides(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Of several executions without success, the newest one's state is the answer."""
    stored.executions(
        {"execution_id": "old", "agent_name": "A", "status": "failed", "created_at": ago(minutes=2)},
        {"execution_id": "new", "agent_name": "A", "status": "skipped", "created_at": ago(minutes=1)},
    )
    assert analytics.debug_why_agent_didnt_fire("A").status == "skipped"


def test_only_the_conversation_and_vault_asked_for(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Executions in other conversations and vaults do not count; the newest elsewhere is told."""
    conversation, vault = uuid.uuid4(), uuid.uuid4()
    stored.executions(
        {"execution_id": "here", "agent_name": "A", "conversation_id": str(conversation), "vault_id": str(vault)},
        {"execution_id": "there", "agent_name": "B", "conversation_id": "other", "vault_id": str(vault)},
    )
    assert analytics.debug_why_agent_didnt_fire("A", conversation, vault).status == "fired_successfully"
    result = analytics.debug_why_agent_didnt_fire("B", conversation_id=conversation)
    assert result.status == "never_invoked"
    assert result.last_execution.execution_id == "there"
    assert analytics.debug_why_agent_didnt_fire("A", vault_id="other").status == "never_invoked"


def test_who_fired_in_the_conversation(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The agents that did fire in the conversation are told, with what became of them."""
    stored.executions(
        {"execution_id": "1", "agent_name": "A", "conversation_id": "c"},
        {"execution_id": "2", "agent_name": "A", "conversation_id": "c", "status": "failed"},
        {"execution_id": "3", "agent_name": "B", "conversation_id": "c"},
        {"execution_id": "4", "agent_name": "C", "conversation_id": "other"},
    )
    assert analytics.debug_why_agent_didnt_fire("Z", conversation_id="c").agents_in_conversation == [
        {"agent_name": "A", "total_executions": 2, "status_counts": {"failed": 1, "success": 1}},
        {"agent_name": "B", "total_executions": 1, "status_counts": {"success": 1}},
    ]


def test_a_mistyped_name(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An agent that never ran anywhere may be another one's name mistyped."""
    stored.executions(
        *({"execution_id": name, "agent_name": name} for name in ("PsychologistAgent", "PlotAgent", "Archivist"))
    )
    result = analytics.debug_why_agent_didnt_fire("psychologist_agent")
    assert (result.status, result.similar_agents[0]) == ("never_invoked", "PsychologistAgent")
    assert result.last_execution is None


def test_a_name_with_a_method(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Lists show an agent with its method, and whoever takes it from there means the agent."""
    stored.executions(*({"execution_id": name, "agent_name": name} for name in ("Root", "Roof.main")))
    assert ["Root", "Roof.main"] == analytics.debug_why_agent_didnt_fire("Root.main").similar_agents
    assert ["Root"] == analytics.debug_why_agent_didnt_fire("Root.analyze_all_the_characters").similar_agents


def test_never_is_said_with_reservation(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Lines that are not ingested yet must not be taken for an agent that did not fire."""
    result = analytics.debug_why_agent_didnt_fire("A", conversation_id="c", vault_id="v")
    assert result.message == (
        "A was never invoked in conversation c in vault v, but nothing was ever ingested into this database"
    )
    stored.ingester()
    result = analytics.debug_why_agent_didnt_fire("A")
    assert (result.message, result.ingestion.complete) == ("A was never invoked", True)


def test_never_is_said_with_reservation_after_a_prune(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Of executions that were pruned nobody knows whose they were; what is there is told as ever."""
    stored.insert(tracklog_purged, {"execution_id": "gone", "purged_at": NOW})
    result = analytics.debug_why_agent_didnt_fire("A")
    assert result.message == (
        "A was never invoked, but nothing was ever ingested into this database, "
        "and executions were pruned, and whose they were is not kept"
    )
    stored.ingester()
    result = analytics.debug_why_agent_didnt_fire("A", conversation_id="c")
    expected = "A was never invoked in conversation c, but executions were pruned, and whose they were is not kept"
    assert (expected, "never_invoked", True) == (result.message, result.status, result.pruned)
    stored.executions({"execution_id": "e1", "agent_name": "A"})
    assert "A fired successfully" == analytics.debug_why_agent_didnt_fire("A").message
