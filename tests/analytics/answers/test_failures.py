"""Test grouping failures by their errors."""

from analytics.stored import Stored, ago
from tracklog.analytics import ExecutionAnalytics
from tracklog.analytics.answers.failures import folded


def test_what_is_of_one_occurrence_is_folded() -> None:
    """Numbers, ids and quoted texts do not tell errors apart; words do."""
    for one, other in (
        ("no chapter 'storm'", "no chapter 'ledger and others'"),
        ('bad "x" at 10:15:30', 'bad "y z" at 11:00:01'),
        ("user 0193abcd-12ef-7abc-8def-000000000000 gone", "user 01934567-0000-7abc-8def-0123456789ab gone"),
        ("took 7.5 s", "took 12 s"),
        ("request req_011CSHoEeqs5C35K2UUqR7Fy failed", "request req_9ZZCSHoEeqs5C35K2UUqR7Fy failed"),
        ("object at 0x7f3a12345678", "object at 0x7f3affffffff"),
    ):
        assert folded(one) == folded(other)
    assert folded("can't read") != folded("can't write")
    assert folded("the port is closed") != folded("the file is closed")


def test_groups(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The most frequent error is first, with its agents, its times, and the newest execution as an example."""
    stored.executions(
        *(
            {
                "execution_id": f"e{number}",
                "agent_name": "Editor" if number else "Critic",
                "status": "failed",
                "error_type": "ValueError",
                "error_message": f"no chapter {number}",
                "current_stage": "llm_parse",
                "vault_id": "v1",
                "created_at": ago(minutes=number),
            }
            for number in range(3)
        ),
        {"execution_id": "fine"},
        {"execution_id": "old", "status": "failed", "created_at": ago(hours=30)},
    )
    stored.crashed("dead", agent_name="Editor", current_stage="llm_call", created_at=ago(minutes=9))
    groups = analytics.get_failure_groups()
    assert [("ValueError", "no chapter #", 3), ("Crashed", "its process died in stage llm_call", 1)] == [
        (group.error_type, group.error_message, group.executions) for group in groups
    ]
    first = groups[0]
    assert ({"Editor": 2, "Critic": 1}, {"llm_parse": 3}) == (first.agents, first.stages)
    assert (ago(minutes=2), ago(minutes=0)) == (first.first_at, first.last_at)
    assert ("e0", "no chapter 0") == (first.execution_id, first.example)
    assert 3 == len(analytics.get_failure_groups(hours=None))
    assert 1 == len(analytics.get_failure_groups(limit=1))
    assert [1] == [group.executions for group in analytics.get_failure_groups(agent_name="Critic")]
    assert [3] == [group.executions for group in analytics.get_failure_groups("v1")]
