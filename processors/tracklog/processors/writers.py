"""The writers of this process: one for each place, closed at its end, and left to the parent by a fork."""

import atexit
import os
import threading
from pathlib import Path
from typing import IO, Any, Final

from tracklog.processors.writer import Settings, Writer

_FORK_WAIT_S: Final = 1.0
"""How long a fork waits for another thread's line. It takes microseconds; a signal's handler may never let go."""

_by_place: dict[str, Writer] = {}
_registering = threading.Lock()
_locked: dict[int, list[Writer]] = {}
"""By thread: the writers whose lock it holds while it forks."""


def writer_for(place: str | os.PathLike[str] | IO[Any], settings: Settings) -> Writer:
    """Give this process's writer for a directory or a stream: one, whoever asks; the last one's settings hold."""
    if isinstance(place, (str, os.PathLike)):
        target: Path | IO[Any] = Path(os.path.realpath(os.fspath(place)))
        key = str(target)
    else:
        target, key = place, f"stream {id(place)}"
    with _registering:
        writer = _by_place.get(key)
        if writer is None:
            writer = _by_place[key] = Writer(target, settings)
        else:
            writer.use(settings)
        return writer


def _close_all() -> None:
    for writer in list(_by_place.values()):
        writer.close("exit")


def _before_fork() -> None:
    """Wait until no other thread is between two steps: the child must know of every file that it inherits."""
    writers = list(_by_place.values())
    _locked[threading.get_ident()] = [writer for writer in writers if writer.lock.acquire(timeout=_FORK_WAIT_S)]


def _after_fork_in_parent() -> None:
    for writer in _locked.pop(threading.get_ident(), ()):
        writer.lock.release()


def _after_fork_in_child() -> None:
    global _registering
    _registering = threading.Lock()
    _locked.clear()
    for writer in list(_by_place.values()):
        writer.leave_to_parent()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
