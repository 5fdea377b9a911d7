"""Which execution the running code belongs to, and how that comes along into threads."""

import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

if TYPE_CHECKING:
    from tracklog.processors.run import Run

P = ParamSpec("P")
T = TypeVar("T")

_current: "contextvars.ContextVar[Run | None]" = contextvars.ContextVar("tracklog_execution", default=None)

_MIRRORED: Final = ("execution_id", "agent_name")
"""Bound in structlog's own context too, so that every logger and renderer of the program shows them."""


def current_execution() -> "Run | None":
    """Give the execution that the running code belongs to; None outside of any."""
    return _current.get()


class Activation:
    """The time during which a run is the current one; left without a token, which another context would refuse."""

    __slots__ = ("_before", "_outer", "_run")

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._outer = _current.get()
        bound = get_contextvars()
        self._before = {name: bound[name] for name in _MIRRORED if name in bound}
        _current.set(run)
        bind_contextvars(execution_id=run.execution_id, agent_name=run.agent_name)

    def end(self) -> None:
        """Make the run before it the current one again, where it still is the current one itself."""
        if _current.get() is not self._run:
            return
        _current.set(self._outer)
        if get_contextvars().get("execution_id") == self._run.execution_id:
            unbind_contextvars(*_MIRRORED)
            if self._before:
                bind_contextvars(**self._before)


def carry(function: Callable[P, T]) -> Callable[P, T]:
    """Give a function that runs in the context of this call, on whichever thread: for `Thread` and executors.

    >>> from threading import Thread
    >>> thread = Thread(target=carry(print), args=("on the execution",))
    """
    context = contextvars.copy_context()

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        # A copy for each call: a context cannot be entered twice at a time.
        return context.copy().run(function, *args, **kwargs)

    return run


class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """A `ThreadPoolExecutor` whose work belongs to the execution that submitted it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit work; it runs in a copy of the caller's context."""
        return super().submit(carry(fn), *args, **kwargs)
