"""Show long answers in a pager, on a terminal."""

import functools
import io
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import click

from tracklog.analytics.commands import settings

if TYPE_CHECKING:
    import subprocess

_LESS_OPTIONS: Final = "FRX"
"""Of `less`, unless LESS says otherwise: show colours, leave the text on the screen, and end at once if it fits."""

_SEQUENCES: Final = re.compile(r"\x1b(?:\[[0-9;]*m|\]8;[^\x1b\x07]*(?:\x1b\\|\x07))")
"""What takes no room on a terminal: colours and links."""


def pages(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --no-pager; what it prints goes through a pager if a terminal is too low for it."""

    @click.option("--no-pager", is_flag=True, help="Print long answers straight to the terminal.")
    @functools.wraps(command)
    def run(*args: Any, no_pager: bool, **options: Any) -> None:
        with paged(no_pager=no_pager):
            command(*args, **options)

    return run


@contextmanager
def paged(*, no_pager: bool = False) -> Iterator[None]:
    """Let what is printed here go through a pager if a terminal is too low for it."""
    command = None if no_pager else _chosen()
    if command is None:
        yield
        return
    terminal = sys.stdout
    pager = _Pager(command, terminal)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(pager), terminal.encoding, terminal.errors)
    try:
        yield
    finally:
        try:
            with suppress(BrokenPipeError):  # Whoever read has read enough.
                sys.stdout.flush()
        finally:
            sys.stdout = terminal
            pager.finish()


def _chosen() -> list[str] | None:
    """Give the pager's command as it is set; None where nobody would see it, or wants none."""
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    named = next((os.environ[name] for name in ("TRACKLOG_PAGER", "PAGER") if name in os.environ), None)
    if named is None:
        named = settings.value("pager")
    try:
        command = shlex.split(named)
    except ValueError:  # A quote that does not end.
        return None
    return command if command and command != ["cat"] and shutil.which(command[0]) else None


class _Pager(io.RawIOBase):
    """A terminal that starts a pager as soon as more is written than it shows at once."""

    def __init__(self, command: list[str], terminal: Any) -> None:
        self._command = command
        self._terminal = terminal
        self._held = bytearray()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_left = False

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def isatty(self) -> bool:
        """Say that people read along."""
        return True

    def fileno(self) -> int:
        """Give the terminal's descriptor."""
        return int(self._terminal.fileno())

    def write(self, block: Any, /) -> int:
        """Hold a block back, or give it to the pager.

        :raises BrokenPipeError: The pager was left.
        """
        data = bytes(block)
        if self._is_left:
            return len(data)
        if self._process is None:
            self._held += data
            if not _fits(self._held.decode(self._terminal.encoding, "replace")):
                self._start()
        else:
            self._give(data)
        return len(data)

    def finish(self) -> None:
        """Print what was held back, or wait until the pager is left."""
        if self._process is None:
            self._print_held()
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's.
        try:
            if self._process.stdin is not None:
                with suppress(BrokenPipeError):
                    self._process.stdin.close()
            self._process.wait()
        finally:
            signal.signal(signal.SIGINT, before)

    def _start(self) -> None:
        import subprocess

        try:
            self._process = subprocess.Popen(  # noqa: S603 -- it is the user's own choice.
                self._command, stdin=subprocess.PIPE, env={"LESS": _LESS_OPTIONS, "LV": "-c", **os.environ}
            )
        except OSError:
            self._print_held()
            return
        held, self._held = self._held, bytearray()
        self._give(held)

    def _give(self, data: bytes | bytearray) -> None:
        try:
            self._process.stdin.write(data)  # type: ignore[union-attr]  # It was started with a pipe.
            self._process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            self._is_left = True
            raise

    def _print_held(self) -> None:
        held, self._held = self._held, bytearray()
        self._terminal.buffer.write(held)
        self._terminal.flush()


def _fits(text: str) -> bool:
    """Whether a terminal shows it all, with a line for what is typed next."""
    from rich.cells import cell_len

    size = shutil.get_terminal_size()
    lines = text.count("\n")
    if lines < size.lines:  # Lines that are too wide take several.
        lines = sum(max(1, -(-cell_len(_SEQUENCES.sub("", line)) // size.columns)) for line in text.splitlines())
    return lines < size.lines
