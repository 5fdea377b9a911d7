"""The base of agents."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import structlog

from processors.written import events, kinds, lines, of_kind
from tracklog.processors import BaseAgent, ExecutionLog, NoOpTracker, current_execution


@pytest.fixture(autouse=True)
def log(logs: Path) -> None:
    structlog.configure(processors=[ExecutionLog(logs)], logger_factory=structlog.testing.ReturnLoggerFactory())


class Plain(BaseAgent):
    pass


class WithoutSuper(BaseAgent):
    def __init__(self, llm: Any) -> None:
        self.llm = llm


class WithSuper(BaseAgent):
    def __init__(self, llm: Any, **options: Any) -> None:
        super().__init__(**options)
        self.llm = llm


class Named(BaseAgent):
    agent_name = "Psychologist"


@dataclasses.dataclass
class Data(BaseAgent):
    llm: Any


async def work(agent: BaseAgent) -> None:
    tracker = agent.create_tracker(vault_id="v", conversation_id="c", user_id="u", parent_execution_id="p")
    async with tracker.track_execution(method="run"):
        should, confidence, reason = await agent.should_respond("query")
        await tracker.track_should_respond(should, confidence, reason)
        await agent.log_event("found a motive", level="debug", count=1)
        agent.log_event("not awaited")
        tracker.set_output("fear")


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (Plain(), "Plain"),
        (WithoutSuper(1), "WithoutSuper"),
        (WithSuper(1), "WithSuper"),
        (Named("llm", anything=1), "Psychologist"),
        (Data(1), "Data"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_agent_tracks_by_itself(logs: Path, agent: BaseAgent, name: str) -> None:
    """Whether or not its class calls the base's `__init__`."""
    asyncio.run(work(agent))
    assert ["execution.started", "relevance", None, None, "output", "execution.finished"] == kinds(logs)
    expected = {"vault_id": "v", "conversation_id": "c", "user_id": "u", "parent_execution_id": "p", "method": "run"}
    assert expected.items() <= lines(logs)[0].items()
    assert {name} == {entry["agent_name"] for entry in lines(logs)}
    assert ["found a motive", "not awaited"] == events(logs)


@pytest.mark.parametrize("make", [Plain, lambda **options: WithSuper(1, **options)], ids=["plain", "with super"])
def test_an_agent_whose_tracking_is_off_writes_nothing(logs: Path, make: Any) -> None:
    """And works as it does."""
    agent = make(enable_tracking=False)
    assert isinstance(agent.create_tracker("v"), NoOpTracker)
    with structlog.testing.capture_logs() as captured:
        asyncio.run(work(agent))
    assert captured == []
    assert not logs.exists()


@pytest.mark.parametrize("base", [WithoutSuper, WithSuper])
def test_tracking_is_turned_off_for_a_class(logs: Path, base: Any) -> None:
    """In a test's own subclass, whose trackers are named as ever."""
    quiet = type("Quiet", (base,), {"enable_tracking": False, "agent_name": "Named"})(1)
    assert "Named" == quiet.create_tracker().agent_name
    asyncio.run(work(quiet))
    assert not logs.exists()


def test_an_agent_responds_unless_it_says_otherwise() -> None:
    """To any query, surely."""
    assert (True, 1.0) == asyncio.run(BaseAgent().should_respond("query", history=[]))[:2]


def test_two_runs_of_one_agent_do_not_mix(logs: Path) -> None:
    """At the same time, each event is of its own run."""

    class Busy(BaseAgent):
        async def run(self, number: int, every: asyncio.Barrier) -> str:
            tracker = self.create_tracker()
            async with tracker.track_execution(input_data=number):
                await every.wait()
                await self.log_event("event", number=number)
                await every.wait()
                return tracker.execution_id

    async def main() -> list[str]:
        agent, every = Busy(), asyncio.Barrier(5)
        return await asyncio.gather(*(agent.run(number, every) for number in range(5)))

    ids = asyncio.run(main())
    assert dict(enumerate(ids)) == {
        entry["number"]: entry["execution_id"] for entry in lines(logs) if entry["event"] == "event"
    }


def test_an_agent_that_is_called_by_another_is_its_child(logs: Path) -> None:
    """By itself; and its events are its own."""

    class Inner(BaseAgent):
        async def run(self) -> None:
            async with self.create_tracker().track_execution(method="run"):
                await self.log_event("inside")

    class Outer(BaseAgent):
        async def run(self) -> None:
            async with self.create_tracker().track_execution(method="run"):
                await self.log_event("before")
                await Inner().run()
                await self.log_event("after")

    asyncio.run(Outer().run())
    outer, inner = of_kind(logs, "execution.started")
    assert outer["execution_id"] == inner["parent_execution_id"]
    assert [("before", "Outer"), ("inside", "Inner"), ("after", "Outer")] == [
        (entry["event"], entry["agent_name"]) for entry in lines(logs) if "kind" not in entry
    ]
    assert current_execution() is None
