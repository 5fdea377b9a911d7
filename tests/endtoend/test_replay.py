"""Real conversations, replayed by several processes at once and compared message by message with what is answered."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from endtoend import replay
from tracklog.analytics import AsyncExecutionAnalytics
from tracklog.ingester import Ingester, schema
from tracklog.ingester.ranges import gaps
from tracklog.ingester.store import Store

DATA = Path(__file__).parents[3] / "shared" / "data" / "airline-trajectories.jsonl.gz"
PROCESSES = 3

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the recorded conversations are not here")


def test_conversations_come_back_as_they_were_had(database: str, tmp_path: Path) -> None:
    """Every message, every tool call with its arguments and its answer, in order, each once."""
    logs = tmp_path / "logs"

    async def run() -> None:
        stop = asyncio.Event()
        async with Ingester([logs], database) as ingester:
            following = asyncio.create_task(ingester.run(stop))
            await play(logs)
            stop.set()
            await following
            summary = await ingester.run_once()
        assert 0 == summary.quarantined
        await compare(database)
        await account(database, logs)

    asyncio.run(run())


async def play(logs: Path) -> None:
    """Let several processes log their share, while the ingester follows."""
    players = [
        await asyncio.create_subprocess_exec(
            sys.executable, replay.__file__, str(logs), str(DATA), str(part), str(PROCESSES), stderr=subprocess.PIPE
        )
        for part in range(PROCESSES)
    ]
    for player in players:
        _, complaints = await player.communicate()
        assert (0, b"") == (player.returncode, complaints)


async def compare(database: str) -> None:
    """Compare each conversation with the records."""
    async with AsyncExecutionAnalytics(database) as analytics:
        recent = await analytics.get_recent_executions(agent_name=replay.AGENT, limit=1000)
        records = {record.conversation_id: record for record in recent}
        expected = {replay.conversation_id(one): one for one in replay.conversations(DATA)}
        assert set(expected) == set(records)
        assert len(recent) == len(records)
        for name, conversation in expected.items():
            await compare_one(analytics, conversation, records[name])


async def compare_one(analytics: AsyncExecutionAnalytics, conversation: dict[str, Any], record: Any) -> None:
    messages = conversation["messages"]
    assert ("success", "complete", "serve", "airline") == (
        record.status,
        record.current_stage,
        record.method,
        record.vault_id,
    )
    assert {"instruction": conversation["instruction"]} == record.input_data
    assert {"reward": conversation["reward"], "last": messages[-1]} == record.output_data
    turns = [place for place, message in enumerate(messages) if message["role"] == "assistant"]

    interactions = await analytics.get_llm_interactions(record.execution_id)
    calls = interactions["calls"]
    assert [f"turn-{place}" for place in turns] == [call["call_id"] for call in calls]
    for place, call in zip(turns, calls, strict=True):
        assert {"messages": messages[:place]} == call["request"]
        assert messages[place] == call["response"]
        assert replay.MODEL == call["model"]
    assert len(turns) == record.llm_calls

    whole = await analytics.get_execution_with_logs(record.execution_id)
    assert whole is not None
    said = [log.data["content"] for log in whole["logs"] if log.message == "customer wrote"]
    assert [message["content"] for message in messages if message["role"] == "user"] == said

    tools = [call for place in turns for call in messages[place].get("tool_calls") or ()]
    chain = await analytics.get_execution_call_chain(record.execution_id)
    assert [call["id"] for call in tools] == [link["call_reason"] for link in chain]
    # Some conversations use a tool call's id twice, so that only the order tells the answers apart.
    answers = [message for message in messages if message["role"] == "tool"]
    for call, answer, link in zip(tools, answers, chain, strict=True):
        child = await analytics.get_execution(link["child_execution_id"])
        assert child is not None
        assert call["function"] == child.input_data
        assert answer == child.output_data
        assert (call["function"]["name"], record.execution_id, 1) == (
            child.agent_name,
            child.parent_execution_id,
            child.depth,
        )
        assert (replay.AGENT, child.agent_name, 1) == (link["parent_agent"], link["child_agent"], link["depth"])


async def account(database: str, logs: Path) -> None:
    """Every line that was written is in the database once."""
    files = sorted(logs.glob("*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    of_executions = sum(b'"execution_id":' in line for line in lines)
    store = Store(database, "accountant")
    try:
        async with store.transaction() as connection:
            rows = await connection.scalar(select(func.count()).select_from(schema.agent_execution_logs))
            writers = (await connection.execute(select(schema.tracklog_writers))).all()
            sources = (await connection.execute(select(schema.tracklog_sources))).all()
    finally:
        await store.close()
    assert of_executions == rows
    assert PROCESSES == len(writers)
    assert [[]] * PROCESSES == [gaps(writer.seen) for writer in writers]
    assert len(lines) == sum(writer.last_seq for writer in writers)
    assert {file.name: file.stat().st_size for file in files} == {
        Path(source.path).name: source.position for source in sources
    }
    assert len(files) > PROCESSES
