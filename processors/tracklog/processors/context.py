"""Which execution the running code belongs to, and how that comes along into threads."""

import contextlib
import contextvars
import functools
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

if TYPE_CHECKING:
    from tracklog.processors.run import Run

P = ParamSpec("P")
T = TypeVar("T")

_current: "contextvars.ContextVar[Activation | None]" = contextvars.ContextVar("tracklog_execution", default=None)

current_activation: "Final[Callable[[], Activation | None]]" = _current.get
"""Give the innermost activation here; each line asks."""

_MIRRORED: Final = ("execution_id", "agent_name")
"""Bound in structlog's own context too, so that every logger and renderer of the program shows them."""


def current_execution() -> "Run | None":
    """Give the execution that the running code belongs to; None outside of any."""
    activation = _current.get()
    return None if activation is None else activation.run


def enclosing_activations() -> "Iterator[Activation]":
    """Give the activations around the running code, from the innermost outwards."""
    activation = _current.get()
    while activation is not None:
        yield activation
        activation = activation.outer


class Activation:
    """The time during which a run is the current one; left without a token, which another context would refuse."""

    __slots__ = ("_before", "_ended", "_left", "_mirrored", "outer", "run")

    def __init__(self, run: "Run") -> None:
        self.run = run
        outer = _current.get()
        self.outer: Activation | None = outer
        """The one around it that has not ended, for those who look outwards."""
        self._before: Activation | None = outer
        """What was current before it."""
        self._ended = False
        self._left = False
        # A task that begins the next one, and so on for ever, must not hold all that have ended.
        while outer is not None:
            beyond = outer.outer
            while beyond is not None and beyond._ended:
                beyond = beyond.outer
            outer.outer = beyond
            outer = beyond
        bound = get_contextvars()
        self._mirrored = {name: bound[name] for name in _MIRRORED if name in bound}
        _current.set(self)
        bind_contextvars(execution_id=run.execution_id, agent_name=run.agent_name)

    def end(self) -> None:
        """Make what was current before it current again, where it still is the current one itself."""
        self._ended = True
        innermost = current = _current.get()
        while current is not None and current is not self and current._ended:
            current = current.outer  # It was left in another context.
        if innermost is None or current is not self:
            # Left out of order, or in another context.
            self._left = self in enclosing_activations()
            return
        last = self
        while (before := last._before) is not None and before._left:
            last = before
        self._before = None
        _current.set(before)
        if get_contextvars().get("execution_id") == innermost.run.execution_id:
            unbind_contextvars(*_MIRRORED)
            if last._mirrored:
                bind_contextvars(**last._mirrored)


_POOLS: Final = ("concurrent.futures.process", "multiprocessing.pool")
_has_registered = False


def _before_fork() -> None:
    """Have multiprocessing tell its children, where it is loaded: only it knows what they are for."""
    global _has_registered
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _has_registered:
        _has_registered = True
        util.register_after_fork(Activation, _leave_in_pool)


def _leave_in_pool(_: object) -> None:
    """Belong to no execution in a pool's process: it works for others than the one in which it was begun."""
    target = getattr(sys.modules["multiprocessing.process"].current_process(), "_target", None)
    if getattr(target, "__module__", None) in _POOLS and _current.get() is not None:
        _current.set(None)
        unbind_contextvars(*_MIRRORED)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)


class Entered(dict[Activation, None]):
    """What one context manager entered and did not leave, in order; its operations are atomic, as threads share one."""

    def enter(self, run: "Run") -> "Run":
        """Make a run the current one."""
        self[Activation(run)] = None
        return run

    def take(self) -> Activation | None:
        """Find what is being left: the innermost that was entered here; else the last one."""
        for activation in enclosing_activations():
            if activation in self:
                del self[activation]
                return activation
        with contextlib.suppress(KeyError):  # Left more often than it was entered.
            return self.popitem()[0]  # Left in another context than it was entered in.
        return None


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
