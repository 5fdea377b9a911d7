"""Test following who called whom."""

from analytics.stored import Stored
from tracklog.analytics import ExecutionAnalytics


def links(analytics: ExecutionAnalytics, execution_id: str) -> list[tuple[int, str, str]]:
    """Give the depth and the ids of each link."""
    chain = analytics.get_execution_call_chain(execution_id)
    return [(link["depth"], link["parent_execution_id"], link["child_execution_id"]) for link in chain]


def test_the_path_from_the_root_and_all_below(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """The chain of an execution leads from the root to it and to all its descendants, parents before children."""
    stored.links(("root", "a"), ("root", "other"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "e"))
    assert links(analytics, "a") == [(1, "root", "a"), (2, "a", "b"), (3, "b", "d"), (2, "a", "c"), (3, "c", "e")]
    assert links(analytics, "d") == [(1, "root", "a"), (2, "a", "b"), (3, "b", "d")]
    assert links(analytics, "root") == [
        (1, "root", "a"),
        (2, "a", "b"),
        (3, "b", "d"),
        (2, "a", "c"),
        (3, "c", "e"),
        (1, "root", "other"),
    ]


def test_a_link_says_who_and_why(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A link names both agents, why the child was called, and what became of it."""
    stored.executions(
        {"execution_id": "p", "agent_name": "Orchestrator"},
        {"execution_id": "c", "agent_name": "Critic", "status": "failed", "duration_ms": 5.0},
    )
    stored.links(("p", "c"), call_reason="style question", child_agent="Critic")
    (link,) = analytics.get_execution_call_chain("c")
    assert (link["parent_agent"], link["child_agent"], link["call_reason"]) == (
        "Orchestrator",
        "Critic",
        "style question",
    )
    assert (link["status"], link["duration_ms"]) == ("failed", 5.0)


def test_a_parent_whose_lines_are_missing(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A link to a parent that no line spoke of is kept; its agent is not known."""
    stored.executions({"execution_id": "c", "agent_name": "Critic"})
    stored.links(("lost", "c"))
    (link,) = analytics.get_execution_call_chain("c")
    assert (link["parent_agent"], link["parent_execution_id"], link["child_agent"]) == (None, "lost", "Critic")


def test_an_execution_alone_has_no_chain(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Neither an execution that nobody called and that called nobody has links, nor an unknown one."""
    stored.executions({"execution_id": "e1"})
    assert analytics.get_execution_call_chain("e1") == []
    assert analytics.get_execution_call_chain("unknown") == []


def test_cycles_end(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Links that lead back, which only mistaken ids make, are followed once."""
    stored.links(("a", "b"), ("b", "c"), ("c", "a"), ("self", "self"))
    assert links(analytics, "a") == [(1, "b", "c"), (2, "c", "a")]
    assert links(analytics, "self") == []


def test_a_chain_deeper_than_recursion(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Agents that call themselves a thousand times deep are followed to the end."""
    depth = 1200
    stored.links(*((f"e{n}", f"e{n + 1}") for n in range(depth)))
    assert len(links(analytics, "e0")) == depth
    assert links(analytics, f"e{depth}")[-1] == (depth, f"e{depth - 1}", f"e{depth}")
