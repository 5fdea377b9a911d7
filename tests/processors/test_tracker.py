"""Trackers: the calls by which an agent says what it does."""

import asyncio
import contextvars
import copy
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from processors.written import kinds, lines, of_kind
from tracklog.processors import (
    AgentTrackerFactory,
    BaseAgent,
    ExecutionLog,
    ExecutionStage,
    ExecutionTracker,
    NoOpTracker,
    current_execution,
    execution,
)


@pytest.fixture(autouse=True)
def log(logs: Path) -> None:
    structlog.configure(processors=[ExecutionLog(logs)], logger_factory=structlog.testing.ReturnLoggerFactory())


CALLS: dict[str, tuple[Callable[[ExecutionTracker], Any], str | None]] = {
    "track_should_respond": (lambda tracker: tracker.track_should_respond(True, 0.9, "why"), "relevance"),
    "track_stage": (lambda tracker: tracker.track_stage(ExecutionStage.INIT, "message", {"a": 1}), "stage.started"),
    "complete_stage": (lambda tracker: tracker.complete_stage("x"), "stage.completed"),
    "fail_stage": (lambda tracker: tracker.fail_stage("x"), "stage.failed"),
    "track_llm_request": (lambda tracker: tracker.track_llm_request("m", {"a": 1}), "llm.request"),
    "track_llm_response": (lambda tracker: tracker.track_llm_response({"a": 1}, 5, 1.5), "llm.response"),
    "track_llm_error": (lambda tracker: tracker.track_llm_error(ValueError("bad")), "llm.error"),
    "set_output": (lambda tracker: tracker.set_output({"a": 1}), "output"),
    "log_event": (lambda tracker: tracker.log_event("event", a=1), None),
}
calls = pytest.mark.parametrize(("call", "kind"), CALLS.values(), ids=CALLS)


@calls
@pytest.mark.parametrize("awaited", [True, False], ids=["awaited", "not awaited"])
@pytest.mark.parametrize("block", ["with", "async with"])
def test_each_call_is_written_once(
    logs: Path, call: Callable[[ExecutionTracker], Any], kind: str | None, awaited: bool, block: str
) -> None:
    """Awaited or not, in a block of either sort."""

    async def do(tracker: ExecutionTracker) -> None:
        result = call(tracker)
        if awaited:
            await result

    async def main() -> None:
        tracker = ExecutionTracker("A", vault_id="v")
        if block == "with":
            with tracker.track_execution(method="run") as same:
                await do(same)
        else:
            async with tracker.track_execution(method="run") as same:
                await do(same)
        assert same is tracker

    asyncio.run(main())
    assert ["execution.started", kind, "execution.finished"] == kinds(logs)
    assert len({entry["execution_id"] for entry in lines(logs)}) == 1


@calls
def test_outside_of_any_run_nothing_is_written(
    logs: Path, call: Callable[[ExecutionTracker], Any], kind: str | None
) -> None:
    """Neither before nor after; nothing raises, also where another's is current."""
    tracker = ExecutionTracker("A")
    call(tracker)
    with tracker.track_execution():
        pass
    with execution("B"):
        call(tracker)
    assert ["execution.started", "execution.finished"] * 2 == kinds(logs)


@calls
@pytest.mark.parametrize("make", [NoOpTracker, lambda: NoOpTracker("A", "v", conversation_id="c")])
def test_a_tracker_of_nothing_records_nothing(
    logs: Path, call: Callable[[ExecutionTracker], Any], kind: str | None, make: Callable[[], NoOpTracker]
) -> None:
    """It has the same calls and blocks, and is a tracker."""

    async def main() -> None:
        tracker = make()
        assert isinstance(tracker, ExecutionTracker)
        async with tracker.track_execution("run", {"a": 1}, "why") as same:
            await call(same)
            assert current_execution() is None
        with tracker.track_execution(method="run") as same:
            call(same)
        assert uuid.UUID(tracker.execution_id)

    asyncio.run(main())
    assert not logs.exists()


def test_what_is_tracked_is_written(logs: Path) -> None:
    """With all that the tracker and the block were given."""
    given = uuid.uuid4()
    tracker = ExecutionTracker("A", given, given, given, "p")
    with tracker.track_execution("run", {"a": 1}, "why", {"b": 2}):
        pass
    expected = {
        "agent_name": "A",
        "vault_id": str(given),
        "conversation_id": str(given),
        "user_id": str(given),
        "parent_execution_id": "p",
        "method": "run",
        "input_data": {"a": 1},
        "call_reason": "why",
        "metadata": {"b": 2},
    }
    assert expected.items() <= of_kind(logs, "execution.started")[0].items()


def test_the_id_is_known_before_it_begins(logs: Path) -> None:
    """So that it can be passed to a child; a second run has another."""
    tracker = ExecutionTracker("A")
    before = tracker.execution_id
    with tracker.track_execution():
        assert before == tracker.execution_id
    assert before == tracker.execution_id
    with tracker.track_execution():
        second = tracker.execution_id
    assert second != before
    assert [before, second] == [entry["execution_id"] for entry in of_kind(logs, "execution.started")]


def test_an_error_ends_the_run_and_goes_on(logs: Path) -> None:
    """And so does a timeout; a skipped one stays skipped."""
    tracker = ExecutionTracker("A")
    for error in (ValueError("bad"), TimeoutError()):
        with pytest.raises(type(error)), tracker.track_execution():
            raise error
    with tracker.track_execution():
        tracker.track_should_respond(False, 0.1, "no")
    assert ["failed", "timeout", "skipped"] == [entry["status"] for entry in of_kind(logs, "execution.finished")]


def test_two_runs_of_one_tracker_do_not_mix(logs: Path) -> None:
    """At the same time, each call is of the run that is current where it is made."""
    tracker = ExecutionTracker("A")

    async def work(number: int, every: asyncio.Barrier) -> None:
        async with tracker.track_execution(input_data=number):
            await every.wait()
            await tracker.track_stage(f"stage{number}")
            await tracker.track_llm_request("m", number)
            await tracker.log_event("event", number=number)
            await every.wait()
            await tracker.track_llm_response(number)
            tracker.set_output(number)
            assert current_execution() is not None
            assert tracker.execution_id == current_execution().execution_id  # type: ignore[union-attr]

    async def main() -> None:
        every = asyncio.Barrier(5)
        await asyncio.gather(*(work(number, every) for number in range(5)))

    asyncio.run(main())
    ids = {entry["execution_id"]: entry["input_data"] for entry in of_kind(logs, "execution.started")}
    assert len(ids) == 5
    asked = {entry["call_id"]: entry["request"] for entry in of_kind(logs, "llm.request")}
    for entry in lines(logs):
        number = ids[entry["execution_id"]]
        for key in ("number", "request", "response", "output_data"):
            assert entry.get(key, number) == number
        if "response" in entry:
            assert asked[entry["call_id"]] == number
    assert len(of_kind(logs, "llm.response")) == 5


def test_two_runs_of_one_block_do_not_mix(logs: Path) -> None:
    """Nor when they are entered by one object; leaving it once more raises nothing."""
    tracker = ExecutionTracker("A")
    block = tracker.track_execution()

    async def work(number: int, turns: list[asyncio.Event]) -> str:
        async with block:
            own = tracker.execution_id
            turns[number].set()
            await turns[-1].wait()
            tracker.set_output(number)
        return own

    async def main() -> list[str]:
        turns = [asyncio.Event() for _ in range(3)]
        tasks = [asyncio.create_task(work(number, turns)) for number in range(2)]
        for turn in turns[:2]:
            await turn.wait()
        turns[-1].set()
        return [await task for task in tasks]

    ids = asyncio.run(main())
    assert ids == [entry["execution_id"] for entry in of_kind(logs, "output")]
    assert ids == [entry["execution_id"] for entry in of_kind(logs, "execution.finished")]
    block.__exit__(None, None, None)
    assert current_execution() is None


def test_a_run_is_left_in_another_context(logs: Path) -> None:
    """As by a test's fixture; its run has ended then."""
    tracker = ExecutionTracker("A")
    block = tracker.track_execution()
    contextvars.copy_context().run(block.__enter__)
    tracker.track_stage("between")
    block.__exit__(None, None, None)
    tracker.track_stage("after")
    assert ["execution.started", "stage.started", "execution.finished"] == kinds(logs)


def test_a_call_inside_another_execution_is_the_trackers_own(logs: Path) -> None:
    """What is around the other one; an event too."""
    tracker, other = ExecutionTracker("A"), ExecutionTracker("B")
    with tracker.track_execution():
        own = tracker.execution_id
        with other.track_execution():
            tracker.track_stage("x")
            tracker.log_event("event")
    assert own == of_kind(logs, "stage.started")[0]["execution_id"]
    (event,) = (entry for entry in lines(logs) if "kind" not in entry)
    assert (own, "A") == (event["execution_id"], event["agent_name"])
    assert own == of_kind(logs, "execution.started")[1]["parent_execution_id"]


def test_an_answer_is_its_requests_by_context(logs: Path) -> None:
    """Two calls of one run at the same time, which end in the other order."""
    tracker = ExecutionTracker("A")

    async def both() -> None:
        first, second = asyncio.Event(), asyncio.Event()

        async def one() -> None:
            tracker.track_llm_request("m1", 1)
            first.set()
            await second.wait()
            tracker.track_llm_response(1)

        async def two() -> None:
            await first.wait()
            tracker.track_llm_request("m2", 2)
            tracker.track_llm_response(2)
            second.set()

        async with tracker.track_execution():
            await asyncio.gather(one(), two())

    asyncio.run(both())
    asked = {entry["call_id"]: (entry["model"], entry["request"]) for entry in of_kind(logs, "llm.request")}
    assert [("m2", 2), ("m1", 1)] == [asked[entry["call_id"]] for entry in of_kind(logs, "llm.response")]
    assert [("m2", 2), ("m1", 1)] == [(entry["model"], entry["response"]) for entry in of_kind(logs, "llm.response")]


def test_an_answer_is_its_requests_by_id(logs: Path) -> None:
    """Which `track_llm_request` gives, or takes."""

    async def main() -> None:
        tracker = ExecutionTracker("A")
        async with tracker.track_execution():
            first = await tracker.track_llm_request("m1")
            second = tracker.track_llm_request("m2", call_id="own").value
            assert second == "own"
            tracker.track_llm_response("one", call_id=first)
            tracker.track_llm_error("two", call_id=second)

    asyncio.run(main())
    assert [("m1", "one"), ("m2", "own")] == [
        (of_kind(logs, "llm.response")[0]["model"], of_kind(logs, "llm.response")[0]["response"]),
        (of_kind(logs, "llm.error")[0]["model"], of_kind(logs, "llm.error")[0]["call_id"]),
    ]


def test_answers_follow_their_requests(logs: Path) -> None:
    """One after the other, without ids; the latency is measured."""
    tracker = ExecutionTracker("A")
    with tracker.track_execution():
        for number in range(3):
            tracker.track_llm_request("m", number)
            tracker.track_llm_response(number)
    assert [entry["call_id"] for entry in of_kind(logs, "llm.request")] == [
        entry["call_id"] for entry in of_kind(logs, "llm.response")
    ]
    assert all(entry["latency_ms"] >= 0 for entry in of_kind(logs, "llm.response"))


def test_an_answer_without_a_request_is_a_call_of_its_own(logs: Path) -> None:
    """Whose latency nobody knows, unless it is given."""
    tracker = ExecutionTracker("A")
    with tracker.track_execution():
        tracker.track_llm_response({"usage": {"total_tokens": 3}}, model="m")
        tracker.track_llm_response("x", latency_ms=5)
        tracker.track_llm_error("refused", call_id="c")
    first, second = of_kind(logs, "llm.response")
    assert ("m", 3, None) == (first["model"], first["tokens_used"], first.get("latency_ms"))
    assert second["latency_ms"] == 5
    assert first["call_id"] != second["call_id"]
    assert ("c", None) == (of_kind(logs, "llm.error")[0]["call_id"], of_kind(logs, "llm.error")[0].get("latency_ms"))


def test_the_stage_of_a_call_is_complete(logs: Path) -> None:
    """With its duration, from the request on."""
    tracker = ExecutionTracker("A")
    with tracker.track_execution():
        tracker.track_llm_request("m")
        tracker.track_llm_response("x")
        tracker.complete_stage(ExecutionStage.LLM_CALL)
    assert of_kind(logs, "stage.completed")[0]["duration_ms"] >= of_kind(logs, "llm.response")[0]["latency_ms"]


def test_all_counts_of_an_answer_may_be_given(logs: Path) -> None:
    """By their names."""
    tracker = ExecutionTracker("A")
    counts = {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_tokens": 3,
        "cache_write_tokens": 4,
        "reasoning_tokens": 5,
        "finish_reason": "stop",
        "time_to_first_token_ms": 6.0,
    }
    with tracker.track_execution():
        tracker.track_llm_request("m", provider="p")
        tracker.track_llm_response(response_data={}, tokens_used=9, latency_ms=1.0, **counts)  # type: ignore[arg-type]
    expected = {**counts, "tokens_used": 9, "latency_ms": 1.0, "provider": "p"}
    assert expected.items() <= of_kind(logs, "llm.response")[0].items()


def test_a_factory_makes_trackers_of_one_conversation(logs: Path) -> None:
    """Each agent's of the same vault, conversation and user."""
    factory = AgentTrackerFactory("v", conversation_id="c", user_id="u")
    with factory.create_tracker("A", parent_execution_id="p").track_execution():
        pass
    expected = {"agent_name": "A", "vault_id": "v", "conversation_id": "c", "user_id": "u", "parent_execution_id": "p"}
    assert expected.items() <= of_kind(logs, "execution.started")[0].items()
    assert repr(factory) == "AgentTrackerFactory('v', 'c', 'u')"


def test_a_tracker_without_an_id_of_its_own_parent_is_a_child_of_what_is_around(logs: Path) -> None:
    """As an execution is, and it takes over what that belongs to."""
    with execution("Outer", vault_id="v") as outer, ExecutionTracker("A").track_execution():
        pass
    started = of_kind(logs, "execution.started")[1]
    assert (outer.execution_id, "v", 1) == (started["parent_execution_id"], started["vault_id"], started["depth"])


def test_data_of_an_event_may_have_any_key(logs: Path) -> None:
    """Also those that parameters are named by; and the message may be named."""

    class Agent(BaseAgent):
        def run(self) -> None:
            with self.create_tracker().track_execution() as tracker:
                for log in (self, tracker):
                    log.log_event("event", message="other", self="s", agent_name="B", data={"a": 1}, execution_id="x")
                    log.log_event(message="named", level="warning", count=1)

    Agent().run()
    first, named, *others = (entry for entry in lines(logs) if "kind" not in entry)
    assert ("event", "other", "s", {"a": 1}) == tuple(first[key] for key in ("event", "message", "self", "data"))
    assert ("named", "warning", 1) == tuple(named[key] for key in ("event", "level", "count"))
    assert "message" not in named
    assert [first["event"], named["event"]] == [entry["event"] for entry in others]
    assert 1 == len({entry["execution_id"] for entry in (first, named, *others)})


@pytest.mark.parametrize("level", ["debug", "INFO", "warn", "critical", "exception", 10, "loud", None])
def test_an_event_of_any_level_is_written(logs: Path, level: Any) -> None:
    """An unknown one is kept beside."""
    tracker = ExecutionTracker("A")
    with tracker.track_execution():
        tracker.log_event("event", level, event_="x", status="s")
    (entry,) = (entry for entry in lines(logs) if "kind" not in entry)
    assert ("event", "x", "s") == (entry["event"], entry["event_"], entry["status"])
    assert entry["level"] in ("debug", "info", "warning", "error", "critical")
    assert (level if level in ("loud", None) else None) == entry.get("level_")


@calls
@pytest.mark.parametrize("tracker", [ExecutionTracker("A"), NoOpTracker()], ids=["tracking", "not tracking"])
def test_each_call_may_be_made_a_task(
    logs: Path, call: Callable[[ExecutionTracker], Any], kind: str | None, tracker: Any
) -> None:
    """As coroutines may, which is what they look like."""

    async def main() -> None:
        with tracker.track_execution(method="run"):
            await asyncio.create_task(call(tracker))
            async with asyncio.TaskGroup() as group:
                group.create_task(call(tracker))
            await asyncio.gather(call(tracker), call(tracker))
            await asyncio.wait_for(call(tracker), 5)

    asyncio.run(main())
    expected = 0 if isinstance(tracker, NoOpTracker) else 5
    assert expected == [entry.get("kind") for entry in lines(logs)].count(kind)


def test_a_copy_of_an_agent_tracks_on(logs: Path) -> None:
    """Frameworks copy their state, with the agents and trackers in it."""
    tracker = ExecutionTracker("A")
    with tracker.track_execution(method="run"):
        same = copy.deepcopy({"tracker": tracker})["tracker"]
        same.track_stage("copied")
        tracker.track_stage("own")
        same.set_output("fine")
    kinds_of_one = ["execution.started", "stage.started", "stage.started", "output", "execution.finished"]
    assert kinds_of_one == kinds(logs)
    assert 1 == len({entry["execution_id"] for entry in lines(logs)})
