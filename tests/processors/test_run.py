"""What is logged of a run."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processors.written import kinds, line, lines, of_kind
from tracklog.processors import ExecutionLog, ExecutionStage, Run, configure, execution


@pytest.fixture
def log(logs: Path) -> ExecutionLog:
    return ExecutionLog(logs)


@pytest.fixture
def run(log: ExecutionLog) -> Run:
    return execution("A", method="m").start()


def last(logs: Path) -> dict[str, Any]:
    return lines(logs)[-1]


def test_relevance_is_written(run: Run, logs: Path) -> None:
    """As a plain truth value, whatever was passed."""
    run.relevance(1, 0.5, "why")  # type: ignore[arg-type]
    expected = {"should_respond": True, "confidence": 0.5, "reasoning": "why", "kind": "relevance"}
    assert expected.items() <= last(logs).items()


def test_a_stage_begins_and_ends(run: Run, logs: Path) -> None:
    """With its duration, and what the caller says of it."""
    run.stage("search", "searching", {"q": 1})
    run.complete_stage("search", data={"hits": 3})
    begun, done = lines(logs)[1:]
    assert ("stage.started", "search", "searching", {"q": 1}) == tuple(
        begun[key] for key in ("kind", "stage", "event", "data")
    )
    assert ("stage.completed", "search", "search completed", {"hits": 3}) == tuple(
        done[key] for key in ("kind", "stage", "event", "data")
    )
    assert done["duration_ms"] >= 0
    assert "duration_ms" not in begun


def test_a_stage_that_was_not_begun_has_no_duration(run: Run, logs: Path) -> None:
    """It is written all the same; a second end has none either."""
    run.complete_stage(ExecutionStage.POST_PROCESS)
    assert ("post_process", None) == (last(logs)["stage"], last(logs).get("duration_ms"))
    run.stage("x")
    run.fail_stage("x", "bad")
    run.fail_stage("x")
    first, second = of_kind(logs, "stage.failed")
    assert ("bad", "error", True) == (first["event"], first["level"], "duration_ms" in first)
    assert "duration_ms" not in second


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_stage_as_a_block_ends_with_it(run: Run, logs: Path, how: str) -> None:
    """Complete, or failed by the exception, which goes on."""

    async def work(error: Exception | None) -> None:
        if how == "sync":
            with run.stage("s"):
                if error:
                    raise error
        else:
            async with run.stage("s"):
                if error:
                    raise error

    asyncio.run(work(None))
    with pytest.raises(ValueError, match="bad"):
        asyncio.run(work(ValueError("bad")))
    assert ["stage.started", "stage.completed", "stage.started", "stage.failed"] == kinds(logs)[1:]
    assert last(logs)["event"] == "s failed: ValueError"
    assert all("duration_ms" in entry for entry in lines(logs)[2::2])


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_call_of_a_model_is_its_request_and_its_answer(run: Run, logs: Path, how: str) -> None:
    """By one id; the latency is measured, the counts are read."""
    answer = {"content": "hi", "usage": {"input_tokens": 3, "output_tokens": 4}}

    async def work() -> None:
        if how == "sync":
            with run.llm_call("gpt-5.1", {"messages": ["q"]}, provider="openai") as call:
                call.first_token()
                call.first_token()
                call.set_response(answer, finish_reason="stop")
        else:
            async with run.llm_call("gpt-5.1", {"messages": ["q"]}, provider="openai") as call:
                call.first_token()
                call.set_response(answer, finish_reason="stop")

    asyncio.run(work())
    request, response = lines(logs)[1:]
    assert {"model": "gpt-5.1", "provider": "openai", "request": {"messages": ["q"]}}.items() <= request.items()
    expected = {
        "call_id": request["call_id"],
        "model": "gpt-5.1",
        "provider": "openai",
        "response": answer,
        "input_tokens": 3,
        "output_tokens": 4,
        "finish_reason": "stop",
    }
    assert expected.items() <= response.items()
    assert 0 <= response["time_to_first_token_ms"] <= response["latency_ms"]
    assert ["llm.request", "llm.response"] == kinds(logs)[1:]


def test_counts_that_are_given_go_before_those_that_are_read(run: Run, logs: Path) -> None:
    """And so does a latency, and a model."""
    with run.llm_call("gpt-5.1") as call:
        call.set_response(
            {"usage": {"total_tokens": 9, "input_tokens": 4}},
            tokens_used=7,
            latency_ms=5.0,
            time_to_first_token_ms=2.0,
            model="gpt-5.1-2026",
        )
    expected = {
        "tokens_used": 7,
        "input_tokens": 4,
        "latency_ms": 5.0,
        "time_to_first_token_ms": 2.0,
        "model": "gpt-5.1-2026",
    }
    assert expected.items() <= last(logs).items()


def test_why_an_answer_ended_is_read_where_it_is_not_given(run: Run, logs: Path) -> None:
    """It stands in the answer, beside its counts."""
    answer = {"choices": [{"finish_reason": "length"}]}
    with run.llm_call("m") as call:
        call.set_response(answer)
    assert "length" == last(logs)["finish_reason"]
    with run.llm_call("m") as call:
        call.set_response(answer, finish_reason="stop")
    assert "stop" == last(logs)["finish_reason"]


def test_a_call_that_fails_is_written(run: Run, logs: Path) -> None:
    """The exception goes on; a text is as good."""
    with pytest.raises(ConnectionError), run.llm_call("m"):
        raise ConnectionError("away")
    with run.llm_call("m") as call:
        call.set_error("refused", latency_ms=3)
    first, second = of_kind(logs, "llm.error")
    assert ("ConnectionError", "away", "error") == (first["error_type"], first["error_message"], first["level"])
    assert first["latency_ms"] >= 0
    assert (None, "refused", 3) == (second.get("error_type"), second["error_message"], second["latency_ms"])
    assert of_kind(logs, "llm.response") == []


def test_a_call_without_an_answer_ended(run: Run, logs: Path) -> None:
    """Its block ended well, so that it did; an error after the answer is none of the call's."""
    with run.llm_call("m"):
        pass
    assert ["llm.request", "llm.response"] == kinds(logs)[1:]
    with pytest.raises(ValueError, match="parse"), run.llm_call("m") as call:  # noqa: PT012
        call.set_response("x")
        raise ValueError("parse")
    assert ["llm.request", "llm.response"] == kinds(logs)[3:]


def test_the_stage_of_a_call_has_a_duration(run: Run, logs: Path) -> None:
    """It begins with the request."""
    with run.llm_call("m"):
        pass
    run.complete_stage(ExecutionStage.LLM_CALL)
    assert ("llm_call", True) == (last(logs)["stage"], "duration_ms" in last(logs))


def test_calls_at_the_same_time_have_ids_of_their_own(run: Run, logs: Path) -> None:
    """Each answer has its request's."""

    async def ask(number: int) -> None:
        async with run.llm_call("m", number) as call:
            await asyncio.sleep(0)
            call.set_response(number)

    async def main() -> None:
        await asyncio.gather(*map(ask, range(10)))

    asyncio.run(main())
    asked = {entry["call_id"]: entry["request"] for entry in of_kind(logs, "llm.request")}
    assert len(asked) == 10
    assert asked == {entry["call_id"]: entry["response"] for entry in of_kind(logs, "llm.response")}


def test_a_request_is_as_it_was_when_it_was_sent(run: Run, logs: Path) -> None:
    """What is appended to the same list afterwards is not in it."""
    messages = ["q"]
    with run.llm_call("m", {"messages": messages}):
        messages.append("answer")
    assert {"messages": ["q"]} == of_kind(logs, "llm.request")[0]["request"]


def test_output_is_written_each_time(run: Run, logs: Path) -> None:
    """The last one counts, which readers know; none is written as none."""
    run.set_output({"a": 1})
    run.set_output(None)
    assert [{"a": 1}, None] == [entry.get("output_data") for entry in of_kind(logs, "output")]


CALLS: dict[str, Callable[[Run], Any]] = {
    "relevance": lambda run: run.relevance(True),
    "skip": lambda run: run.skip(),
    "stage": lambda run: run.stage("s"),
    "complete_stage": lambda run: run.complete_stage("s"),
    "fail_stage": lambda run: run.fail_stage("s"),
    "set_output": lambda run: run.set_output(1),
    "finish": lambda run: run.finish(),
    "llm_call": lambda run: run.llm_call("m").begin(),
    "set_response": lambda run: run.llm_call("m").set_response(1),
    "set_error": lambda run: run.llm_call("m").set_error("e"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_a_log_a_call_does_nothing(call: Callable[[Run], Any]) -> None:
    """An agent that is not set up works."""
    call(execution("A").start())


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_log_that_fails_costs_nothing_but_lines(
    log: ExecutionLog, monkeypatch: pytest.MonkeyPatch, call: Callable[[Run], Any]
) -> None:
    """Whatever goes wrong inside."""

    def fail(*_: object) -> None:
        raise RuntimeError("odd")

    for name in ("write", "__call__"):
        monkeypatch.setattr(ExecutionLog, name, fail)
    call(execution("A").start())


def test_lines_of_a_run_are_on_it_though_another_is_current(run: Run, logs: Path) -> None:
    """They say themselves whose they are."""
    with execution("B"):
        run.stage("s")
    (stage,) = of_kind(logs, "stage.started")
    assert (run.execution_id, "A") == (stage["execution_id"], stage["agent_name"])


def test_lifecycle_is_written_at_every_level(logs: Path) -> None:
    """A level keeps ordinary events out, and never what executions are told by."""
    configure(logs, console=False, level="critical")
    with execution("A") as run:
        run.stage("s")
    assert ["execution.started", "stage.started", "execution.finished"] == kinds(logs)


def test_nothing_that_is_none_is_written(run: Run, logs: Path) -> None:
    """A line has what there is."""
    run.relevance(True)
    assert {"confidence", "reasoning", "stage"}.isdisjoint(last(logs))
    assert "m" == line_of_start(logs)["method"]


def line_of_start(logs: Path) -> dict[str, Any]:
    return of_kind(logs, "execution.started")[0]


def test_a_run_says_which_it_is(run: Run, logs: Path) -> None:
    """For people, in a debugger."""
    assert f"<Run A {run.execution_id}>" == repr(run)
    assert line(logs)["kind"] == "execution.started"


def test_a_relevance_that_is_neither_true_nor_false(log: ExecutionLog, logs: Path) -> None:
    """An array has no truth: it is not known, and the agent goes on."""

    class Array:
        def __bool__(self) -> bool:
            raise ValueError("the truth of an array is ambiguous")

    with execution("A") as run:
        run.relevance(Array(), 0.7)  # type: ignore[arg-type]
    (relevance,) = of_kind(logs, "relevance")
    assert (0.7, None) == (relevance["confidence"], relevance.get("should_respond"))
    assert ["success"] == [entry["status"] for entry in of_kind(logs, "execution.finished")]


def test_a_call_that_is_not_entered_is_logged_with_its_answer(log: ExecutionLog, logs: Path) -> None:
    """The request too, once; how long it took is not known."""
    with execution("A") as run:
        run.llm_call("gpt-5.1", {"messages": ["hi"]}).set_response({"a": 1}, tokens_used=7)
        run.llm_call("gpt-5.1", {"messages": ["again"]}).set_error("it is away")
        assert run.open_call() is None
    requests, (response,), (error,) = (of_kind(logs, f"llm.{kind}") for kind in ("request", "response", "error"))
    assert [{"messages": ["hi"]}, {"messages": ["again"]}] == [entry["request"] for entry in requests]
    assert [entry["call_id"] for entry in requests] == [response["call_id"], error["call_id"]]
    assert "latency_ms" not in {**response, **error}


def test_a_call_that_is_not_entered_leaves_the_stage_its_time(run: Run, logs: Path) -> None:
    """The stage of the call was begun by itself."""
    run.stage(ExecutionStage.LLM_CALL)
    time.sleep(0.02)
    run.llm_call("m", {"messages": []}).set_response({"a": 1}, latency_ms=20)
    run.complete_stage(ExecutionStage.LLM_CALL)
    (complete,) = of_kind(logs, "stage.completed")
    assert complete["duration_ms"] >= 20
