"""Trackers: the calls by which an agent says what it does, awaited or not."""

import contextlib
from collections.abc import Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from tracklog.processors.context import Entered, enclosing_activations
from tracklog.processors.events import log_event
from tracklog.processors.executions import Id, begin
from tracklog.processors.ids import execution_id as new_execution_id
from tracklog.processors.run import LLMCall, Run
from tracklog.processors.states import ExecutionStage

T = TypeVar("T")


class Done(Coroutine[Any, Any, T], Generic[T]):
    """What a tracker's call gives: it is done already, and may be awaited, be made a task, or neither.

    >>> import asyncio
    >>> async def wait() -> int:
    ...     return await Done(3)
    >>> asyncio.run(wait())
    3
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, T]:
        return self.value
        yield

    def send(self, _value: Any) -> NoReturn:
        """Give the value, as a coroutine does that waits for nothing."""
        raise StopIteration(self.value)

    def throw(self, error: Any, *_: Any) -> NoReturn:
        """Raise an error, as such a coroutine does."""
        raise error

    def close(self) -> None:
        """Do nothing."""


class Tracked(AbstractContextManager["ExecutionTracker"], AbstractAsyncContextManager["ExecutionTracker"]):
    """One execution of a tracker's agent, as a context manager, sync or async."""

    def __init__(
        self, tracker: "ExecutionTracker", method: str | None, input_data: Any, call_reason: str | None, metadata: Any
    ) -> None:
        self._tracker = tracker
        self._how = {"method": method, "input_data": input_data, "call_reason": call_reason, "metadata": metadata}
        self._entered = Entered()

    def __enter__(self) -> "ExecutionTracker":
        self._entered.enter(self._tracker._begin(**self._how))
        return self._tracker

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        activation = self._entered.take()
        if activation is not None:
            activation.run.finish(exc)
            self._tracker._end(activation.run)
            activation.end()

    async def __aenter__(self) -> "ExecutionTracker":
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


class ExecutionTracker:
    """Track an agent's executions; one tracker may track several, also at the same time.

    A call belongs to the tracker's execution that is current where it is made; outside of any it is not recorded.

    :param agent_name: The agent.
    :param parent_execution_id: The parent, where it is not the execution around the tracked one.
    """

    def __init__(
        self,
        agent_name: str,
        vault_id: Id | None = None,
        conversation_id: Id | None = None,
        user_id: Id | None = None,
        parent_execution_id: Id | None = None,
    ) -> None:
        self.agent_name = agent_name
        self.vault_id = vault_id
        self.conversation_id = conversation_id
        self.user_id = user_id
        self.parent_execution_id = parent_execution_id
        self._next_id: str | None = new_execution_id()
        self._last_id = self._next_id
        self._runs: list[Run] = []

    @property
    def execution_id(self) -> str:
        """The id of the tracked execution; before it begins, the id that it will have."""
        run = self._run()
        return run.execution_id if run is not None else self._last_id

    def track_execution(
        self,
        method: str | None = None,
        input_data: Any = None,
        call_reason: str | None = None,
        metadata: Any = None,
    ) -> Tracked:
        """Track what happens inside: `async with tracker.track_execution(…)`, or without `async`."""
        return Tracked(self, method, input_data, call_reason, metadata)

    def track_should_respond(
        self, should_respond: bool, confidence: float | None = None, reasoning: str | None = None
    ) -> Done[None]:
        """Log whether the agent finds itself concerned; `confidence` is 0 to 1. If not, the execution is skipped."""
        if (run := self._run()) is not None:
            run.relevance(should_respond, confidence, reasoning)
        return Done(None)

    def track_stage(self, stage: ExecutionStage | str, message: str | None = None, data: Any = None) -> Done[None]:
        """Log that a stage begins."""
        if (run := self._run()) is not None:
            run.stage(stage, message, data)
        return Done(None)

    def complete_stage(self, stage: ExecutionStage | str, message: str | None = None, data: Any = None) -> Done[None]:
        """Log that a stage is complete, and how long it took."""
        if (run := self._run()) is not None:
            run.complete_stage(stage, message, data)
        return Done(None)

    def fail_stage(self, stage: ExecutionStage | str, message: str | None = None, data: Any = None) -> Done[None]:
        """Log that a stage failed, and how long it took."""
        if (run := self._run()) is not None:
            run.fail_stage(stage, message, data)
        return Done(None)

    def track_llm_request(
        self, model: str | None, request_data: Any = None, provider: str | None = None, call_id: str | None = None
    ) -> Done[str | None]:
        """Log a request to a language model; gives the call's id, by which its answer may be told apart."""
        if (run := self._run()) is None:
            return Done(None)
        call = run.llm_call(model, request_data, provider=provider, call_id=call_id)
        call.begin()
        return Done(call.call_id)

    def track_llm_response(
        self,
        response_data: Any = None,
        tokens_used: int | None = None,
        latency_ms: float | None = None,
        call_id: str | None = None,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        finish_reason: str | None = None,
        time_to_first_token_ms: float | None = None,
        model: str | None = None,
    ) -> Done[None]:
        """Log a language model's answer, to the request that is open here; without `latency_ms` it is measured."""
        if (call := self._open_call(call_id)) is not None:
            call.set_response(
                response_data,
                tokens_used=tokens_used,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cache_read_tokens=cache_read_tokens,
                cache_write_tokens=cache_write_tokens,
                reasoning_tokens=reasoning_tokens,
                finish_reason=finish_reason,
                latency_ms=latency_ms,
                time_to_first_token_ms=time_to_first_token_ms,
                model=model,
            )
        return Done(None)

    def track_llm_error(
        self, error: BaseException | str, latency_ms: float | None = None, call_id: str | None = None
    ) -> Done[None]:
        """Log that a request to a language model failed."""
        if (call := self._open_call(call_id)) is not None:
            call.set_error(error, latency_ms=latency_ms)
        return Done(None)

    def set_output(self, output: Any) -> Done[None]:
        """Log what the execution gave."""
        if (run := self._run()) is not None:
            run.set_output(output)
        return Done(None)

    def log_event(self, message: str | None = None, /, level: str = "info", **data: Any) -> Done[None]:
        """Log an event on the tracked execution; `message` may be named, and beside one any key may be data."""
        if (run := self._run()) is not None:
            log_event(self.agent_name, message, level, data, execution_id=run.execution_id)
        return Done(None)

    def _begin(self, **how: Any) -> Run:
        own, self._next_id = self._next_id, None
        run = begin(
            self.agent_name,
            vault_id=self.vault_id,
            conversation_id=self.conversation_id,
            user_id=self.user_id,
            parent_execution_id=self.parent_execution_id,
            execution_id=own,
            **how,
        )
        self._runs.append(run)
        self._last_id = run.execution_id
        return run

    def _end(self, run: Run) -> None:
        self._last_id = run.execution_id
        with contextlib.suppress(ValueError):
            self._runs.remove(run)

    def _run(self) -> Run | None:
        """Give the tracker's own execution that is current here, or around it; else the one begun last."""
        runs = self._runs.copy()
        if not runs:
            return None
        for activation in enclosing_activations():
            if activation.run in runs:
                return activation.run
        return runs[-1]

    def _open_call(self, call_id: str | None) -> LLMCall | None:
        """Find the request that is being answered; one that was never logged is a call of its own."""
        if (run := self._run()) is None:
            return None
        return run.open_call(call_id) or run.llm_call(None, call_id=call_id)


class NoOpTracker(ExecutionTracker):
    """A tracker that records nothing, for agents whose tracking is off."""

    def __init__(self, agent_name: str = "", *args: Any, **kwargs: Any) -> None:
        super().__init__(agent_name)

    def track_execution(
        self,
        method: str | None = None,
        input_data: Any = None,
        call_reason: str | None = None,
        metadata: Any = None,
    ) -> Any:
        """Do nothing."""
        return _Untracked(self)


class _Untracked:
    __slots__ = ("_tracker",)

    def __init__(self, tracker: NoOpTracker) -> None:
        self._tracker = tracker

    def __enter__(self) -> NoOpTracker:
        return self._tracker

    def __exit__(self, *exc_info: object) -> None:
        return None

    async def __aenter__(self) -> NoOpTracker:
        return self._tracker

    async def __aexit__(self, *exc_info: object) -> None:
        return None


class AgentTrackerFactory:
    """Make trackers for the agents of one conversation."""

    def __init__(
        self, vault_id: Id | None = None, conversation_id: Id | None = None, user_id: Id | None = None
    ) -> None:
        self.vault_id = vault_id
        self.conversation_id = conversation_id
        self.user_id = user_id

    def create_tracker(self, agent_name: str, parent_execution_id: Id | None = None) -> ExecutionTracker:
        """Make a tracker for an agent."""
        return ExecutionTracker(agent_name, self.vault_id, self.conversation_id, self.user_id, parent_execution_id)

    def __repr__(self) -> str:
        return f"AgentTrackerFactory({self.vault_id!r}, {self.conversation_id!r}, {self.user_id!r})"
