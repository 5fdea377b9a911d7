"""Test giving a conversation."""

from analytics.stored import NOW, Stored, ago
from tracklog.analytics import ExecutionAnalytics


def test_executions_stand_below_their_callers(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """In the order they came, what an execution called directly below it; other conversations are left out."""
    rows = (
        ("first", None, 9),
        ("second", None, 6),
        ("called", "first", 5),
        ("deeper", "called", 4),
        ("also", "first", 3),
        ("orphan", "elsewhere", 2),
    )
    stored.executions(
        {"execution_id": "timeless", "conversation_id": "c1", "created_at": None},
        {"execution_id": "other", "conversation_id": "c2", "created_at": ago(minutes=8)},
        *(
            {
                "execution_id": name,
                "conversation_id": "c1",
                "parent_execution_id": parent,
                "created_at": ago(minutes=minutes),
            }
            for name, parent, minutes in rows
        ),
    )
    answer = analytics.get_conversation("c1")
    assert [
        ("first", 0, 0.0),
        ("called", 1, 240_000.0),
        ("deeper", 2, 300_000.0),
        ("also", 1, 360_000.0),
        ("second", 0, 180_000.0),
        ("orphan", 0, 420_000.0),
        ("timeless", 0, None),
    ] == [(record.execution_id, record.depth, record.start_ms) for record in answer]
    assert [] == analytics.get_conversation("c3")


def test_circles(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Executions that call each other are each given once."""
    stored.executions(
        {"execution_id": "a", "conversation_id": "c1", "parent_execution_id": "b", "created_at": ago(minutes=2)},
        {"execution_id": "b", "conversation_id": "c1", "parent_execution_id": "a", "created_at": NOW},
    )
    assert [("a", 0), ("b", 1)] == [(record.execution_id, record.depth) for record in analytics.get_conversation("c1")]


def test_ids_by_how_they_begin(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Each conversation is found once, and one that is named whole alone."""
    stored.executions(
        *({"execution_id": f"e{n}", "conversation_id": name} for n, name in enumerate(["c1", "c1", "c12", "d"]))
    )
    assert ["c1", "c12"] == analytics.find_conversations("c")
    assert ["c1"] == analytics.find_conversations("c1")
    assert [] == analytics.find_conversations("e")
    assert [] == analytics.find_conversations("")
