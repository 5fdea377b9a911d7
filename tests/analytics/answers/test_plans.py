"""Test that the questions people wait for are answered from indexes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from analytics.stored import NOW, Stored
from tracklog.analytics.answers import (
    activity,
    breakdown,
    calls,
    chains,
    conversations,
    differences,
    executions,
    failures,
    lines,
    performance,
    prefixes,
    timeline,
    waterfall,
    why,
)
from tracklog.analytics.query import Query, run
from tracklog.ingester.database import open_reader

ONE = "e0500"


@pytest.mark.parametrize(
    "query",
    [
        lambda: executions.get_execution(ONE),
        lambda: executions.get_execution_with_logs(ONE),
        lambda: executions.get_executions([ONE, "e0501"]),
        lambda: lines.get_log_lines([ONE]),
        lambda: executions.get_recent_executions(),
        lambda: executions.get_recent_executions(vault_id="v1"),
        lambda: executions.get_recent_executions(agent_name="A1"),
        lambda: executions.get_recent_executions(status="failed"),
        lambda: executions.get_recent_executions(conversation_id="c1"),
        lambda: executions.get_failed_executions(),
        lambda: executions.get_skipped_executions(),
        lambda: executions.find_slow_executions(),
        lambda: why.debug_why_agent_didnt_fire("A1", "c1", "v1"),
        lambda: why.debug_why_agent_didnt_fire("Nobody"),
        lambda: timeline.get_stage_timeline(ONE),
        lambda: calls.get_llm_interactions(ONE),
        lambda: chains.get_execution_call_chain(ONE),
        lambda: waterfall.get_waterfall(ONE),
        lambda: conversations.get_conversation("c1"),
        lambda: conversations.find_conversations("c1"),
        lambda: differences.compare_executions(ONE, "e0501"),
        lambda: failures.get_failure_groups(),
        lambda: breakdown.performance_by("hour"),
        lambda: breakdown.performance_by_model(),
        lambda: prefixes.resolve_prefix("e05"),
        lambda: prefixes.shortest_prefixes([ONE, "e0501"]),
    ],
)
def test_no_table_is_read_through(tmp_path: Path, query: Callable[[], Query[Any]]) -> None:
    """No statement of an answer reads all rows of a table that grows with the executions."""
    growing = ("SCAN agent_executions", "SCAN agent_execution_logs", "SCAN agent_llm_calls", "SCAN agent_call_chains")
    # An index that is walked in order, for a LIMIT, is no reading through.
    assert [step for step in plan_of(tmp_path, query) if step.startswith(growing) and "USING INDEX" not in step] == []


@pytest.mark.parametrize(
    "query",
    [
        lambda: activity.get_activity(),
        lambda: performance.performance_by_agent(),
        lambda: breakdown.performance_by("hour"),
        lambda: breakdown.performance_by("method"),
    ],
)
def test_a_time_is_found_by_its_own_index(tmp_path: Path, query: Callable[[], Query[Any]]) -> None:
    """What is grouped by agent is not read in the order of agents, past and all."""
    agents = ("SCAN agent_executions", "SCAN agent_performance_metrics")
    assert [] == [step for step in plan_of(tmp_path, query) if step.startswith(agents)]


@pytest.mark.parametrize(
    "query",
    [
        lambda: why.debug_why_agent_didnt_fire("A1", "c1", "v1"),
        lambda: executions.get_recent_executions("v1", "A1", "success", conversation_id="c1"),
        lambda: executions.get_recent_executions(status="success", hours=24, conversation_id="c1", sort="slowest"),
    ],
)
def test_a_conversation_is_found_by_its_own_index(tmp_path: Path, query: Callable[[], Query[Any]]) -> None:
    """It is short, whatever else is asked of it; all successes of a million executions are not looked through."""
    steps = [step for step in plan_of(tmp_path, query) if step.startswith("SEARCH agent_executions")]
    assert {"ix_agent_executions_conversation_id"} == {step.split("INDEX ")[1].split(" ")[0] for step in steps}


def plan_of(tmp_path: Path, query: Callable[[], Query[Any]]) -> list[str]:
    """Give the steps of an answer's statements on some thousand rows."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.executions(
        *(
            {
                "execution_id": f"e{number:04d}",
                "agent_name": f"A{number % 5}",
                "vault_id": f"v{number % 5}",
                "conversation_id": f"c{number % 50}",
                "status": "failed" if number % 7 == 0 else "success",
                "created_at": NOW,
            }
            for number in range(1000)
        ),
        mark=False,
    )
    stored.links((ONE, "e0501"), ("e0499", ONE))
    engine = open_reader(stored.url)
    plan: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        plan.extend(row[-1] for row in rows)

    with engine.connect() as connection, connection.begin():
        event.listen(engine, "before_cursor_execute", explain)
        run(query(), connection)
    engine.dispose()
    assert plan != []
    return plan
