"""Test the whole way: lines in a file, an ingester, and the answers about them."""

import asyncio
import contextlib
import datetime as dt
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from tracklog.analytics import ExecutionAnalytics, ExecutionStage
from tracklog.analytics.commands.group import tracklog
from tracklog.ingester.ingester import Ingester


class Writer:
    """Writes stamped lines as an agent's process does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seq = 0
        self._start = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10)

    def write(self, execution_id: str, event: str, **keys: Any) -> None:
        """Write one line."""
        self._seq += 1
        time = self._start + dt.timedelta(milliseconds=10 * self._seq)
        line = {
            "timestamp": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "writer": "w1",
            "seq": self._seq,
            "event": event,
            "level": "info",
            "execution_id": execution_id,
            **keys,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@pytest.fixture
def answered(database: str, tmp_path: Path) -> str:
    """Give a database into which the log of a conversation was ingested."""
    log = Writer(tmp_path / "room.jsonl")
    shared = {"conversation_id": "c1", "vault_id": "v1"}
    log.write("o1", "execution started", kind="execution.started", agent_name="Orchestrator", method="run", **shared)
    log.write(
        "p1",
        "execution started",
        kind="execution.started",
        agent_name="PsychologistAgent",
        parent_execution_id="o1",
        call_reason="asks about motives",
        input_data={"query": "plot?"},
        **shared,
    )
    log.write(
        "p1", "relevance", kind="relevance", should_respond=False, confidence=0.3, reasoning="Query is about plot"
    )
    log.write("p1", "execution finished", kind="execution.finished", status="skipped", duration_ms=1.5)
    log.write(
        "e1",
        "execution started",
        kind="execution.started",
        agent_name="Editor",
        method="edit",
        parent_execution_id="o1",
        **shared,
    )
    log.write("e1", "preparing", stage="llm_prepare", words=12)
    log.write("e1", "request", kind="llm.request", call_id="1", model="gpt-5.1", request={"messages": ["hello"]})
    log.write(
        "e1", "response", kind="llm.response", call_id="1", response={"text": "hi"}, tokens_used=7, latency_ms=8000.5
    )
    log.write("e1", "request", kind="llm.request", call_id="2", model="gpt-5.1", request={"messages": ["again"]})
    log.write(
        "e1",
        "execution finished",
        kind="execution.finished",
        status="failed",
        duration_ms=9000.0,
        error_type="ValueError",
        error_message="no answer",
        exception="Traceback (most recent call last):\nValueError: no answer",
    )
    log.write("o1", "output", kind="output", output_data={"answer": None})
    log.write("o1", "execution finished", kind="execution.finished", status="success", duration_ms=9500.0)

    async def ingest() -> None:
        async with Ingester([str(tmp_path / "room.jsonl")], database) as ingester:
            await ingester.run_once()

    asyncio.run(ingest())
    return database


def test_answers_print_as_documented(
    answered: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The methods are called on the class, and what they return is read in the documented ways."""
    monkeypatch.setenv("TRACKLOG_DATABASE_URL", answered)
    result = ExecutionAnalytics.debug_why_agent_didnt_fire(
        agent_name="PsychologistAgent", conversation_id="c1", vault_id="v1"
    )
    print(result["status"], result["message"], result["executions"][0]["relevance_reasoning"], sep=" | ")
    for stage in ExecutionAnalytics.get_stage_timeline("e1"):
        print(f"{stage['stage']} - {stage['status']} - {stage['duration_ms']}ms - {stage['message']}")
    for failure in ExecutionAnalytics.get_failed_executions(vault_id="v1", hours=24):
        print(f"{failure.agent_name}: {failure.error_type}: {failure.error_message} in {failure.current_stage}")
        print(failure.error_traceback)
    metrics = ExecutionAnalytics.analyze_agent_performance(agent_name="Editor", vault_id="v1", hours=24)
    print(f"{metrics['total_executions']} {metrics['success_rate'] * 100}% {metrics['avg_duration_ms']}ms")
    print(metrics["common_errors"], metrics["llm_stats"]["total_tokens"])
    calls = ExecutionAnalytics.get_llm_interactions("e1")
    print(calls["model"], calls["request"], calls["response"], calls["status"], len(calls["calls"]))
    for link in ExecutionAnalytics.get_execution_call_chain("o1"):
        print(f"{'  ' * link['depth']}{link['parent_agent']} -> {link['child_agent']}: {link['call_reason']}")
    for slow in ExecutionAnalytics.find_slow_executions(threshold_ms=5000, vault_id="v1", hours=24):
        print(f"{slow['agent_name']}.{slow['method']} {slow['duration_ms'] - (slow['llm_latency_ms'] or 0)}ms")
    whole = ExecutionAnalytics.get_execution_with_logs("e1")
    assert whole is not None
    for log in whole["logs"]:
        if log.stage == ExecutionStage.LLM_PREPARE:
            print(whole["execution"]["current_stage"], log.message, log.data)
    assert capsys.readouterr().out.splitlines() == [
        "skipped | PsychologistAgent was invoked but skipped due to relevance check | Query is about plot",
        "init - started - Nonems - execution started",
        "llm_prepare - started - Nonems - preparing",
        "llm_call - started - Nonems - request",
        "llm_call - completed - Nonems - response",
        "llm_call - started - Nonems - request",
        "Editor: ValueError: no answer in llm_call",
        "Traceback (most recent call last):",
        "ValueError: no answer",
        "1 0.0% 9000.0ms",
        "{'ValueError': 1} 7",
        "gpt-5.1 {'messages': ['again']} None unanswered 2",
        "  Orchestrator -> PsychologistAgent: asks about motives",
        "  Orchestrator -> Editor: None",
        "Orchestrator.run 9500.0ms",
        "Editor.edit 999.5ms",
        "llm_call preparing {'words': 12}",
    ]


def test_what_was_ingested_is_known(answered: str) -> None:
    """After an ingestion the answers know how far it came."""
    with ExecutionAnalytics(answered) as analytics:
        ingestion = analytics.get_ingestion()
        assert (ingestion.bytes_behind, len(ingestion.hosts), ingestion.lines_quarantined) == (0, 1, 0)
        assert analytics.debug_why_agent_didnt_fire("Nobody").status == "never_invoked"


def test_from_a_record_to_its_line(answered: str, tmp_path: Path) -> None:
    """The command line names the file and the line that a record came from."""
    result = CliRunner().invoke(tracklog, ["show", "e1", "--db", answered, "--json"])
    logs = json.loads(result.stdout)["logs"]
    assert [(log["file"], log["line"]) for log in logs][:2] == [
        (str(tmp_path / "room.jsonl"), 5),
        (str(tmp_path / "room.jsonl"), 6),
    ]


def test_measured_before_and_after_the_rollup(answered: str) -> None:
    """All together, and by agent, every execution is counted once."""
    with ExecutionAnalytics(answered) as analytics:
        total = analytics.analyze_agent_performance()
        assert (total.total_executions, total.success_rate, total.llm_stats.total_calls) == (3, 0.5, 2)
        assert sum(report.total_executions for report in analytics.performance_by_agent()) == 3


DAY_AGO = {"postgresql": "NOW() - INTERVAL '24 hours'", "sqlite": "datetime('now', '-24 hours')"}


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        (
            "SELECT agent_name, status, duration_ms FROM agent_executions WHERE vault_id = 'v1'"
            " ORDER BY created_at DESC LIMIT 50",
            [("Editor", "failed", 9000.0), ("PsychologistAgent", "skipped", 1.5), ("Orchestrator", "success", 9500.0)],
        ),
        (
            "SELECT error_type, COUNT(*) AS count, agent_name FROM agent_executions WHERE status = 'failed'"
            " AND created_at > {day_ago} GROUP BY error_type, agent_name ORDER BY count DESC",
            [("ValueError", 1, "Editor")],
        ),
        (
            "SELECT agent_name, AVG(duration_ms) AS avg_ms, COUNT(*) AS executions FROM agent_executions"
            " WHERE status = 'success' AND created_at > {day_ago} GROUP BY agent_name ORDER BY avg_ms DESC",
            [("Orchestrator", 9500.0, 1)],
        ),
    ],
)
def test_plain_sql(answered: str, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """The tables can be asked in plain SQL, without this library."""

    async def ask_postgresql() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(answered)
        try:
            return [tuple(row) for row in await connection.fetch(statement.format(day_ago=DAY_AGO["postgresql"]))]
        finally:
            await connection.close()

    if answered.startswith("postgresql"):
        assert asyncio.run(ask_postgresql()) == rows
        return
    with contextlib.closing(sqlite3.connect(answered.removeprefix("sqlite:///"))) as connection:
        assert connection.execute(statement.format(day_ago=DAY_AGO["sqlite"])).fetchall() == rows


AGENTS = """
import sys
import structlog
from tracklog.processors import configure, execution, extract, inject
logs, room, vault, own = sys.argv[1:]
configure(logs, console=False)
with execution("A", conversation_id=room, vault_id=vault, execution_id=own):
    structlog.get_logger().info("inside")
    carried = inject()
with extract(carried), execution("B"):
    pass
structlog.get_logger().info("outside", execution_id="c", agent_name="C", conversation_id=room, vault_id=vault)
"""


@pytest.mark.parametrize("length", [129, 256, 257, 5000])
def test_ids_of_any_length_are_found_as_the_agent_gave_them(database: str, tmp_path: Path, length: int) -> None:
    """Whether the tracker stated them or an ordinary line did, and by a child of another process."""
    room, vault, own = (letter * length for letter in "rve")
    subprocess.run([sys.executable, "-c", AGENTS, str(tmp_path), room, vault, own], check=True)

    async def ingest() -> None:
        async with Ingester([tmp_path], database) as ingester:
            await ingester.run_once()

    asyncio.run(ingest())
    with ExecutionAnalytics(database) as analytics:
        assert "fired_successfully" == analytics.debug_why_agent_didnt_fire("A", room, vault).status
        executions = analytics.get_recent_executions(vault_id=vault, conversation_id=room)
        assert {"A", "B", "C"} == {one.agent_name for one in executions}
        assert 3 == len(analytics.get_conversation(room))
        record = analytics.get_execution(own)
        assert record is not None
        assert "A" == record.agent_name
        assert analytics.get_stage_timeline(own)
