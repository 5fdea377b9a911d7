"""Places at which an ingester can be made to fail, wrapped around it from outside: the program has no code for that.

A failpoint is a place, which time it is come by, and what happens there: the process kills itself, stops itself until
it is told to go on, or meets an error.
"""

import errno
import functools
import inspect
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, Final


class Action(StrEnum):
    """What happens at a failpoint."""

    KILL = "kill"
    """SIGKILL."""
    STOP = "stop"
    """SIGSTOP, until SIGCONT."""
    FAIL = "fail"
    """An error of the disk or of the network."""
    BREAK = "break"
    """An error that nobody expects."""
    DIE = "die"
    """An error that nobody can catch: a kill within the process of a test."""
    CALL = "call"
    """What the test wants to happen meanwhile."""


class Died(BaseException):
    """The end of an ingester that shares its process with a test."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """One place, at one time."""

    place: str
    time: int
    """1 for the first time it is come by."""
    action: Action


PLACES: Final = (
    "discover:Discovery.scan",
    "sources:open_file",
    "sources:identity_of",
    "sources:Source.is_same",
    "sources:Source.header",
    "sources:read_lines",
    "batch:decode",
    "files:Files.take",
    "files:Files.note",
    "worker:Worker.begin",
    "worker:Folding.tallies",
    "worker:Folding.rows",
    "worker:Folding.written",
    "store:limit_waiting",
    "bulk:fetch",
    "bulk:insert",
    "bulk:update",
    "bulk:Transaction.copied",
    "sqlalchemy:commit",
    "files:Files.committed",
    "verdicts:Judge.ask",
    "verdicts:Judge.convict",
    "verdicts:crash",
    "rollup:roll_up",
    "presence:note",
)
"""Where something can happen, both just before and just after: `bulk:insert<` and `bulk:insert>`."""


class Failpoints:
    """Come by the places, and fail where it is wanted; count them all."""

    def __init__(self, wanted: Failpoint | None = None) -> None:
        self.times: Counter[str] = Counter()
        self._wanted = wanted
        self._call: Callable[[], None] = lambda: None
        self._pid = os.getpid()

    def reach(self, place: str) -> None:
        """Come by a place."""
        self.times[place] += 1
        wanted = self._wanted
        if wanted is None or (wanted.place, wanted.time) != (place, self.times[place]):
            return
        if wanted.action is Action.KILL:
            os.kill(self._pid, signal.SIGKILL)
        elif wanted.action is Action.STOP:
            os.kill(self._pid, signal.SIGSTOP)
        elif wanted.action is Action.FAIL:
            raise OSError(errno.EIO, "a failpoint")
        elif wanted.action is Action.DIE:
            raise Died
        elif wanted.action is Action.CALL:
            self._call()
        else:
            raise RuntimeError("a failpoint")

    def arm(self, wanted: Failpoint | None, call: Callable[[], None] = lambda: None) -> None:
        """Want another failpoint from now on, and count anew."""
        self.times.clear()
        self._wanted = wanted
        self._call = call

    def install(self, put: Callable[[Any, str, Any], None] = setattr) -> None:
        """Wrap all places; `put` sets an attribute, for the rest of the process or for less."""
        for place in PLACES:
            owner, name = _find(place)
            put(owner, name, self._wrapped(place, getattr(owner, name)))

    def _wrapped(self, place: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def later(*args: Any, **kwargs: Any) -> Any:
                self.reach(f"{place}<")
                result = await function(*args, **kwargs)
                self.reach(f"{place}>")
                return result

            return later

        @functools.wraps(function)
        def now(*args: Any, **kwargs: Any) -> Any:
            self.reach(f"{place}<")
            result = function(*args, **kwargs)
            self.reach(f"{place}>")
            return result

        return now


def _find(place: str) -> tuple[Any, str]:
    module, _, path = place.partition(":")
    if module == "sqlalchemy":
        from sqlalchemy.engine.default import DefaultDialect

        return DefaultDialect, "do_commit"
    owner: Any = import_module(f"tracklog.ingester.{module}")
    *names, last = path.split(".")
    for name in names:
        owner = getattr(owner, name)
    return owner, last
