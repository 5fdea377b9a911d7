"""Test the whole way from real agents, one of which is killed in the middle of a call."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tracklog.analytics import ExecutionAnalytics
from tracklog.ingester.ingester import Ingester

ROOM = """
import sys, structlog
from tracklog.processors import BaseAgent, configure, execution

configure(sys.argv[1], console=False)
log = structlog.get_logger()

class PsychologistAgent(BaseAgent):
    async def run(self, query):
        tracker = self.create_tracker(conversation_id="c1", vault_id="v1")
        async with tracker.track_execution(method="run", input_data={"query": query}):
            await tracker.track_should_respond(False, 0.3, "Query is about plot structure")

async def main():
    with execution("Orchestrator", method="run", conversation_id="c1", vault_id="v1") as run:
        log.info("asking", agents=2)
        await PsychologistAgent().run("who knew?")
        try:
            with execution("Editor", call_reason="style question"):
                log.info("preparing", stage="llm_prepare")
                with run.llm_call("gpt-5.1", {"messages": ["hello"]}) as call:
                    call.set_response({"content": "Mara"}, tokens_used=7)
                raise ValueError("no manuscript")
        except ValueError:
            pass
        run.set_output({"answer": 42})

import asyncio
asyncio.run(main())
"""

CRASH = """
import sys
from tracklog.processors import configure, execution

configure(sys.argv[1], console=False)
with execution("Critic", conversation_id="c1") as run, run.llm_call("gpt-5.1", {"messages": ["wait"]}):
    print("waiting", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def answers(database: str, tmp_path: Path) -> ExecutionAnalytics:
    """Let agents run and one be killed, ingest what they logged, and answer about it."""
    logs = str(tmp_path / "logs")
    subprocess.run([sys.executable, "-c", ROOM, logs], check=True, timeout=60)
    with subprocess.Popen(
        [sys.executable, "-c", CRASH, logs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGKILL)

    async def ingest() -> None:
        async with Ingester([logs], database) as ingester:
            await ingester.run_once()

    asyncio.run(ingest())
    return ExecutionAnalytics(database)


def test_what_became_of_each_agent(answers: ExecutionAnalytics) -> None:
    """Every agent is answered by what its own process logged, also the one that could not log its end."""
    with answers:
        found = {
            name: answers.debug_why_agent_didnt_fire(name, conversation_id="c1")
            for name in ("Orchestrator", "PsychologistAgent", "Editor", "Critic", "Nobody")
        }
        assert {name: result.status for name, result in found.items()} == {
            "Orchestrator": "fired_successfully",
            "PsychologistAgent": "skipped",
            "Editor": "failed",
            "Critic": "crashed",
            "Nobody": "never_invoked",
        }
        assert found["Critic"].message.endswith("in stage llm_call, waiting for gpt-5.1 to answer")
        assert found["Critic"].call_in_flight.model == "gpt-5.1"
        assert found["PsychologistAgent"].executions[0].relevance_score == 0.3
        assert found["Editor"].executions[0].error_message == "no manuscript"


def test_one_record_with_all_that_belongs_to_it(answers: ExecutionAnalytics) -> None:
    """The root's record has its own lines, its output, its call and its two children."""
    with answers:
        (root,) = answers.get_recent_executions(agent_name="Orchestrator")
        whole = answers.get_execution_with_logs(root.execution_id)
        assert whole is not None
        assert whole.execution.output_data == {"answer": 42}
        assert ("asking", {"agents": 2}) in [(log.message, log.data) for log in whole.logs]
        assert {child.agent_name for child in whole.children} == {"PsychologistAgent", "Editor"}
        calls = answers.get_llm_interactions(root.execution_id)
        assert (calls.response, calls.tokens_used, calls.status) == ({"content": "Mara"}, 7, "success")
        chain = answers.get_execution_call_chain(root.execution_id)
        assert [(link.depth, link.child_agent, link.call_reason) for link in chain] == [
            (1, "PsychologistAgent", None),
            (1, "Editor", "style question"),
        ]
