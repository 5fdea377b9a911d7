"""Track an execution: `execution` around a block or on a function, and `pending` for an agent that was selected."""

import asyncio
import concurrent.futures
import contextlib
import functools
import inspect
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar, cast
from uuid import UUID

from tracklog.processors.context import Activation, Entered
from tracklog.processors.ids import execution_id as new_execution_id
from tracklog.processors.ids import id_text, name_text, plain_text
from tracklog.processors.line import Kind
from tracklog.processors.propagate import current_parent
from tracklog.processors.run import Identity, Run, write_line

F = TypeVar("F", bound=Callable[..., Any])

Id = str | UUID


@dataclass(frozen=True, slots=True, eq=False)
class execution:  # noqa: N801
    """Track an execution of an agent: as a context manager, sync or async, or as a decorator.

    It says how; each time it is entered it begins a run of its own, also on many threads and in many tasks at a time.
    What is logged inside belongs to that run. An exception that leaves the block is logged and goes on: a TimeoutError
    makes the execution `timeout`, any other `failed`.

    >>> with execution("Critic", method="review", input_data={"chapter": 3}) as run:
    ...     run.set_output("fine")

    :param agent_name: The agent.
    :param method: What it was asked to do; a decorator takes the function's name.
    :param vault_id: With `conversation_id` and `user_id` what it belongs to; those not given are the parent's.
    :param input_data: What it was given; anything, best what JSON can hold.
    :param call_reason: Why it was called.
    :param metadata: What else is to be kept of it.
    :param execution_id: The id that `pending` gave; else a new one is made.
    :param parent_execution_id: The parent, where it is not the execution around this one.
    """

    agent_name: str
    method: str | None = field(default=None, kw_only=True)
    vault_id: Id | None = field(default=None, kw_only=True)
    conversation_id: Id | None = field(default=None, kw_only=True)
    user_id: Id | None = field(default=None, kw_only=True)
    input_data: Any = field(default=None, kw_only=True)
    call_reason: str | None = field(default=None, kw_only=True)
    metadata: Any = field(default=None, kw_only=True)
    execution_id: Id | None = field(default=None, kw_only=True)
    parent_execution_id: Id | None = field(default=None, kw_only=True)
    _entered: Entered = field(default_factory=Entered, init=False, repr=False)

    def __post_init__(self) -> None:
        if type(self.agent_name) is not str and inspect.isroutine(self.agent_name):
            raise TypeError(f'the agent of {self.agent_name!r} has no name; decorate it with @execution("NAME")')

    def start(self, method: str | None = None) -> Run:
        """Begin a run that is not made the current one."""
        return begin(
            self.agent_name,
            method=self.method or method,
            vault_id=self.vault_id,
            conversation_id=self.conversation_id,
            user_id=self.user_id,
            input_data=self.input_data,
            call_reason=self.call_reason,
            metadata=self.metadata,
            execution_id=self.execution_id,
            parent_execution_id=self.parent_execution_id,
        )

    def __enter__(self) -> Run:
        return self._entered.enter(self.start())

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        activation = self._entered.take()
        if activation is not None:
            activation.run.finish(exc)
            activation.end()

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, function: F) -> F:
        """Track each call of a function, a coroutine function, a generator or an async generator.

        What a function gives to be awaited or read, as one behind another decorator does, is tracked to its end.
        """
        if isinstance(function, (classmethod, staticmethod)):
            return cast(F, type(function)(self(function.__func__)))
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"an execution tracks a function, not {function!r}; decorate one of its methods")
        name = getattr(function, "__name__", None)  # A partial has none.
        if inspect.isasyncgenfunction(function):
            return cast(F, _async_generator(lambda: self.start(name), function))
        if inspect.isgeneratorfunction(function):
            return cast(F, _generator(lambda: self.start(name), function))
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with _UntilEnd(self.start(name)):
                    return await function(*args, **kwargs)

            return cast(F, run_async)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            tracked = self.start(name)
            with _Active(tracked):
                try:
                    result = function(*args, **kwargs)
                except BaseException as error:
                    tracked.finish(error)
                    raise
                return _tracked(tracked, result)

        return cast(F, run)


def _tracked(run: Run, result: Any) -> Any:
    """Give what a call gave; the run ends with it, where it is work that is still to be done."""
    if inspect.iscoroutine(result):
        return _awaited(run, result)
    if inspect.isasyncgen(result):
        return _read_once(run, result, _async_generator(lambda: run, lambda: result)())
    if inspect.isgenerator(result) and not inspect.isawaitable(result):
        return _read_once(run, result, _generator(lambda: run, lambda: result)())
    if isinstance(result, (asyncio.Future, concurrent.futures.Future)) and not result.done():
        result.add_done_callback(functools.partial(_finish_with, run))
    elif isinstance(result, (asyncio.Future, concurrent.futures.Future)):
        _finish_with(run, result)
    else:
        run.finish()
    return result


def _read_once(run: Run, given: Any, tracked: Any) -> Any:
    """Give a tracked generator in the place of another; where nobody begins to read it, the run ends with it."""
    tracked.__name__, tracked.__qualname__ = given.__name__, given.__qualname__
    weakref.finalize(tracked, run.finish)
    return tracked


def _finish_with(run: Run, future: "asyncio.Future[Any] | concurrent.futures.Future[Any]") -> None:
    # To ask for it by `exception()` is to have it taken for seen, and asyncio would not complain any more.
    run.finish(asyncio.CancelledError() if future.cancelled() else future._exception)


def _generator(
    start: Callable[[], Run], function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Track a generator: its run is the current one while it works, and not while its reader does."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        tracked = start()
        step: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                with _Active(tracked):
                    try:
                        value = step()
                    except StopIteration as stop:
                        tracked.finish()
                        return stop.value
                try:
                    sent = yield value
                    step = functools.partial(generator.send, sent)
                except GeneratorExit:
                    with _Active(tracked):
                        generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001
                    step = functools.partial(generator.throw, error)
        except BaseException as error:
            tracked.finish(error)
            raise

    return run


def _async_generator(
    start: Callable[[], Run], function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Track an async generator, as `_generator` does a plain one."""

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        tracked = start()
        step: Callable[[], Any] = functools.partial(generator.asend, None)
        left: BaseException | None = None
        try:
            while True:
                with _Active(tracked):
                    try:
                        value = await step()
                    except StopAsyncIteration:
                        tracked.finish()
                        return
                try:
                    sent = yield value
                    step = functools.partial(generator.asend, sent)
                except GeneratorExit:
                    with _Active(tracked):
                        await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001
                    # Who waits for its next value is cancelled there. Here nobody waits: it was left, and whoever
                    # was to close it is cancelled at the end of the loop.
                    left = error if isinstance(error, asyncio.CancelledError) else None
                    step = functools.partial(generator.athrow, error)
        except BaseException as error:
            tracked.finish(None if error is left else error)
            raise

    return run


class _Active:
    """Make a run the current one for a while."""

    __slots__ = ("_activation", "_run")

    def __init__(self, run: Run) -> None:
        self._run = run

    def __enter__(self) -> Run:
        self._activation = Activation(self._run)
        return self._run

    def __exit__(self, *exc_info: object) -> None:
        self._activation.end()


class _UntilEnd(_Active):
    """Make a run the current one until it ends."""

    def __exit__(self, *exc_info: object) -> None:
        self._run.finish(cast("BaseException | None", exc_info[1]))
        super().__exit__(*exc_info)


async def _awaited(run: Run, work: Coroutine[Any, Any, Any]) -> Any:
    with _UntilEnd(run):
        return await work


def begin(
    agent_name: str,
    *,
    method: str | None = None,
    vault_id: Id | None = None,
    conversation_id: Id | None = None,
    user_id: Id | None = None,
    input_data: Any = None,
    call_reason: str | None = None,
    metadata: Any = None,
    execution_id: Id | None = None,
    parent_execution_id: Id | None = None,
) -> Run:
    """Begin a run below the current execution, or below the parent that is named."""
    own = id_text(execution_id) or new_execution_id()
    around = current_parent()
    named = id_text(parent_execution_id)
    parent = named or (around.execution_id if around is not None else None)
    root: str | None
    depth: int | None
    if parent is None:
        root, depth = own, 0
    elif around is not None and around.execution_id == parent:
        root, depth = around.root_execution_id, None if around.depth is None else around.depth + 1
    else:
        root, depth = None, None  # Somebody else's child: whose root that is, the records will tell.
    identity = Identity(
        own,
        plain_text(agent_name),
        method,
        name_text(vault_id) or (around.vault_id if around is not None else None),
        name_text(conversation_id) or (around.conversation_id if around is not None else None),
        name_text(user_id) or (around.user_id if around is not None else None),
        parent,
        root,
        depth,
    )
    return Run(identity, call_reason=call_reason, input_data=input_data, metadata=metadata)


def pending(
    agent_name: str,
    *,
    call_reason: str | None = None,
    method: str | None = None,
    vault_id: Id | None = None,
    conversation_id: Id | None = None,
    user_id: Id | None = None,
) -> str:
    """Log that an agent was selected, and give the id to begin it with: `execution(…, execution_id=…)`."""
    execution_id = new_execution_id()
    around = current_parent()
    with contextlib.suppress(Exception):  # Counted by the writer; the caller goes on.
        write_line(
            Kind.EXECUTION_PENDING,
            "execution pending",
            "info",
            method,
            {
                "execution_id": execution_id,
                "agent_name": plain_text(agent_name),
                "method": method,
                "vault_id": name_text(vault_id) or (around.vault_id if around is not None else None),
                "conversation_id": name_text(conversation_id)
                or (around.conversation_id if around is not None else None),
                "user_id": name_text(user_id) or (around.user_id if around is not None else None),
                "parent_execution_id": around.execution_id if around is not None else None,
                "call_reason": call_reason,
            },
        )
    return execution_id
