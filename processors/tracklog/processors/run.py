"""One run of an agent: what it is, and what is logged of it."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tracklog.processors import console, process
from tracklog.processors.ids import plain_text, short_id
from tracklog.processors.line import Kind
from tracklog.processors.processor import default_log, traceback_of
from tracklog.processors.states import ExecutionStage, ExecutionStatus
from tracklog.processors.usage import counts_of, finish_reason_of


@dataclass(frozen=True, slots=True)
class Identity:
    """Which execution it is, and whose child; None where that is not known."""

    execution_id: str
    agent_name: str
    method: str | None = None
    vault_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    parent_execution_id: str | None = None
    root_execution_id: str | None = None
    depth: int | None = None


def write_line(kind: Kind, event: str, level: str, method: str | None, fields: Mapping[str, Any]) -> None:
    """Write a lifecycle line, whatever the log level, and show it; fields that are None are left out."""
    log = default_log()
    if log is None:
        return
    line = {"level": level, "event": event, "logger": "tracklog", "kind": kind}
    line.update((name, value) for name, value in fields.items() if value is not None)
    written = log.write(line)
    if written is not None:
        console.show(level, method, written)


class Run:
    """A run of an agent, from its start to its end.

    Its calls write lines and never raise. After a fork the child's copy of a run writes nothing: the process that began
    it ends it.
    """

    def __init__(self, identity: Identity, *, call_reason: str | None, input_data: Any, metadata: Any) -> None:
        self.identity = identity
        # No properties: each ordinary line that is logged inside asks for them.
        self.execution_id = identity.execution_id
        """The execution's id."""
        self.agent_name = identity.agent_name
        """The agent's name."""
        self._process = process.token()
        self._began = time.perf_counter_ns()
        self._status: ExecutionStatus | None = None
        self._finished = False
        self.has_output = False
        """Whether it was told what it gave."""
        self._stages: dict[str, int] = {}
        self._calls: list[LLMCall] = []
        self._write(
            Kind.EXECUTION_STARTED,
            "execution started",
            "info",
            method=identity.method,
            vault_id=identity.vault_id,
            conversation_id=identity.conversation_id,
            user_id=identity.user_id,
            parent_execution_id=identity.parent_execution_id,
            root_execution_id=identity.root_execution_id,
            depth=identity.depth,
            call_reason=call_reason,
            input_data=input_data,
            metadata=metadata,
        )

    def __deepcopy__(self, memo: object) -> "Run":
        return self  # Who copies an agent with its tracker goes on with the same execution.

    def __repr__(self) -> str:
        return f"<Run {self.identity.agent_name} {self.execution_id}>"

    def relevance(self, should_respond: bool, confidence: float | None = None, reasoning: str | None = None) -> None:
        """Log whether the agent finds itself concerned; `confidence` is 0 to 1. If not, the execution is skipped."""
        try:
            responds = bool(should_respond)
        except Exception:  # noqa: BLE001
            responds = None  # What has no truth, such as an array, says nothing.
        self._status = ExecutionStatus.SKIPPED if responds is False else None
        self._write(
            Kind.RELEVANCE,
            "relevance checked",
            "info",
            should_respond=responds,
            confidence=confidence,
            reasoning=reasoning,
        )

    def skip(self, reason: str | None = None, confidence: float | None = None) -> None:
        """Log that the agent does not respond, and why; when its block ends, the execution is skipped."""
        self.relevance(False, confidence, reason)

    def stage(self, stage: ExecutionStage | str, message: str | None = None, data: Any = None) -> "Stage":
        """Log that a stage begins; as a context manager, also how it ends and how long it took."""
        name = plain_text(stage)
        self._stages[name] = time.perf_counter_ns()
        self._write(Kind.STAGE_STARTED, message or f"{name} started", "info", stage=name, data=data)
        return Stage(self, name)

    def complete_stage(self, stage: ExecutionStage | str, message: str | None = None, data: Any = None) -> None:
        """Log that a stage is complete, with its duration if it was begun here."""
        name = plain_text(stage)
        self._write(
            Kind.STAGE_COMPLETED,
            message or f"{name} completed",
            "info",
            stage=name,
            duration_ms=self._stage_duration(name),
            data=data,
        )

    def fail_stage(self, stage: ExecutionStage | str, message: str | None = None, data: Any = None) -> None:
        """Log that a stage failed, with its duration if it was begun here."""
        name = plain_text(stage)
        self._write(
            Kind.STAGE_FAILED,
            message or f"{name} failed",
            "error",
            stage=name,
            duration_ms=self._stage_duration(name),
            data=data,
        )

    def llm_call(
        self, model: str | None, request: Any = None, *, provider: str | None = None, call_id: str | None = None
    ) -> "LLMCall":
        """Log a call of a language model, as a context manager: the request when it is entered, then the answer.

        >>> from tracklog.processors import execution
        >>> async def ask(llm, messages):
        ...     with execution("Critic") as run, run.llm_call("gpt-5.1", {"messages": messages}) as call:
        ...         call.set_response(await llm.chat(messages))
        """
        return LLMCall(self, model, request, provider, call_id)

    def open_call(self, call_id: str | None = None) -> "LLMCall | None":
        """Give the call that is waiting for its answer: by its id, or this context's, or the last one made."""
        if call_id is not None:
            return next((call for call in self._calls if call.call_id == call_id), None)
        own = _call.get()
        if own is not None and own in self._calls:
            return own
        return self._calls[-1] if self._calls else None

    def set_output(self, output: Any) -> None:
        """Log what the execution gave."""
        self.has_output = True
        self._write(Kind.OUTPUT, "output set", "info", output_data=output)

    def finish(self, error: BaseException | None = None) -> None:
        """Log the end: by an exception that leaves the block, or without one. Only the first end counts."""
        if self._finished:
            return
        self._finished = True
        status = self._end_status(error)
        failed = status in (ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT)
        self._write(
            Kind.EXECUTION_FINISHED,
            f"execution {status}" if status is not ExecutionStatus.SUCCESS else "execution finished",
            "error" if failed else "info",
            status=status,
            duration_ms=(time.perf_counter_ns() - self._began) / 1e6,
            error_type=type(error).__name__ if failed and error is not None else None,
            error_message=_message_of(error) if failed and error is not None else None,
            exception=traceback_of(error) if failed and error is not None else None,
        )

    def _end_status(self, error: BaseException | None) -> ExecutionStatus:
        if isinstance(error, TimeoutError):
            return ExecutionStatus.TIMEOUT
        # A generator that nobody reads on, and a program that ends as it should, have not failed.
        clean = error is None or isinstance(error, GeneratorExit)
        if clean or (isinstance(error, SystemExit) and error.code in (None, 0)):
            return self._status or ExecutionStatus.SUCCESS
        return ExecutionStatus.FAILED

    def _stage_duration(self, name: str) -> float | None:
        began = self._stages.pop(name, None)
        return None if began is None else (time.perf_counter_ns() - began) / 1e6

    def _write(self, kind: Kind, event: str, level: str, **fields: Any) -> None:
        if self._process is not process.token():
            return
        try:
            identity = self.identity
            own = {"execution_id": identity.execution_id, "agent_name": identity.agent_name}
            write_line(kind, event, level, identity.method, own | fields)
        except Exception:  # noqa: BLE001
            pass  # The writer has counted what is lost; the agent goes on.


class Stage:
    """A stage that has begun, as a context manager."""

    __slots__ = ("_name", "_run")

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            self._run.complete_stage(self._name)
        else:
            self._run.fail_stage(self._name, f"{self._name} failed: {type(exc).__name__}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


class LLMCall:
    """A call of a language model."""

    def __init__(self, run: Run, model: str | None, request: Any, provider: str | None, call_id: str | None) -> None:
        self.call_id = call_id or short_id()
        self._run = run
        self._model = model
        self._request = request
        self._provider = provider
        self._began: int | None = None
        self._first_token_ms: float | None = None
        self._ended = False

    def begin(self) -> None:
        """Log the request; done by entering the call."""
        self._began = began = time.perf_counter_ns()
        self._run._calls.append(self)
        self._run._stages[ExecutionStage.LLM_CALL] = began
        _call.set(self)
        self._log_request()

    def _log_request(self) -> None:
        # Not held any longer than it must be: with all its messages it may be large.
        request, self._request = self._request, None
        self._write(
            Kind.LLM_REQUEST,
            "llm request",
            "info",
            model=self._model,
            provider=self._provider,
            request=request,
        )

    def first_token(self) -> None:
        """Note that the first token of a streamed answer has come."""
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()

    def set_response(
        self,
        response: Any,
        *,
        tokens_used: int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        finish_reason: str | None = None,
        latency_ms: float | None = None,
        time_to_first_token_ms: float | None = None,
        model: str | None = None,
    ) -> None:
        """Log the answer; token counts and why it ended are read from it if not given, and the latency is measured.

        Of a call that was not entered the request is logged with it, and the latency is not known.
        """
        given = {
            "tokens_used": tokens_used,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cache_read_tokens": cache_read_tokens,
            "cache_write_tokens": cache_write_tokens,
            "reasoning_tokens": reasoning_tokens,
        }
        self._end(
            Kind.LLM_RESPONSE,
            "llm response",
            "info",
            model=model or self._model,
            provider=self._provider,
            response=response,
            finish_reason=finish_reason_of(response) if finish_reason is None else finish_reason,
            latency_ms=self._elapsed_ms() if latency_ms is None else latency_ms,
            time_to_first_token_ms=self._first_token_ms if time_to_first_token_ms is None else time_to_first_token_ms,
            **counts_of(response, given),
        )

    def set_error(self, error: BaseException | str, *, latency_ms: float | None = None) -> None:
        """Log that the call failed."""
        is_text = isinstance(error, str)
        self._end(
            Kind.LLM_ERROR,
            "llm error",
            "error",
            model=self._model,
            provider=self._provider,
            error_type=None if is_text else type(error).__name__,
            error_message=error if is_text else _message_of(error),
            latency_ms=self._elapsed_ms() if latency_ms is None else latency_ms,
        )

    def _end(self, kind: Kind, event: str, level: str, **fields: Any) -> None:
        self._ended = True
        if self._began is None and self._request is not None:
            self._log_request()
        with contextlib.suppress(ValueError):
            self._run._calls.remove(self)
        self._write(kind, event, level, **fields)

    def _write(self, kind: Kind, event: str, level: str, **fields: Any) -> None:
        self._run._write(kind, event, level, call_id=self.call_id, **fields)

    def _elapsed_ms(self) -> float | None:
        """Give the time since the request; of an answer to none that was logged it is not known."""
        return None if self._began is None else (time.perf_counter_ns() - self._began) / 1e6

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if exc is not None:
            self.set_error(exc)
        else:
            self.set_response(None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


_call: ContextVar[LLMCall | None] = ContextVar("tracklog_llm_call", default=None)


def _message_of(error: BaseException | str) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001
        return "(its message cannot be shown)"
    return text or ("cancelled" if isinstance(error, asyncio.CancelledError) else "")
