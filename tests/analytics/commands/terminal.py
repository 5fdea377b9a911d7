"""Run commands on a terminal."""

import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path
from typing import Any, Final

_TRACKLOG: Final = (sys.executable, "-c", "from tracklog.analytics.cli import main; main()")

_LEFT_OUT: Final = ("COLUMNS", "LINES", "NO_COLOR")

_PATIENCE: Final = 30.0
"""Seconds in which something must come."""


class Terminal:
    """A command on a terminal of its own.

    :param settings: The environment's variables that are to be otherwise.
    """

    def __init__(
        self,
        width: int,
        *arguments: str,
        height: int = 500,
        settings: Mapping[str, str] = {},
        program: Sequence[str] = _TRACKLOG,
        directory: Path | None = None,
    ) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            environment = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
            environment |= {"TERM": "xterm-256color", **settings}
            os.chdir(directory or ".")
            os.execve(program[0], [*program, *arguments], environment)
        self.written = b""
        self.left: list[Any] = []
        """The terminal's settings after the command's end."""

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self.descriptor, text.encode())

    def until(self, text: str) -> str:
        """Read until a text has been written, however it is coloured and wrapped; gives what was read."""
        began, deadline = len(self.written), time.monotonic() + _PATIENCE
        while text not in _plain(self.written[began:]) and text.encode() not in self.written[began:]:
            assert self._read(deadline), f"{text!r} is not in {self.written[began:]!r}"
        return self.written[began:].decode(errors="replace")

    def end(self) -> tuple[str, int]:
        """Wait for its end; gives all it wrote, and its exit code."""
        deadline = time.monotonic() + _PATIENCE
        while self._read(deadline):
            pass
        self.left = termios.tcgetattr(self.descriptor)
        os.close(self.descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.written.decode().replace("\r\n", "\n"), code

    def _read(self, deadline: float) -> bool:
        try:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"goes on for {_PATIENCE} s after {self.written[-4096:]!r}")
            block = os.read(self.descriptor, 1 << 16)
        except OSError:  # How Linux says that the other end was closed.
            return False
        self.written += block
        return bool(block)


def _plain(written: bytes) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode(errors="replace"))
    return " ".join(text.split())


def seen(
    width: int,
    *arguments: str,
    height: int = 500,
    exit_code: int = 0,
    settings: Mapping[str, str] = {},
    typed: str = "",
) -> str:
    """Run a command on a terminal of so many columns, and give all it wrote.

    :param typed: What somebody types meanwhile.
    """
    terminal = Terminal(width, *arguments, height=height, settings=settings)
    terminal.type(typed)
    written, code = terminal.end()
    assert exit_code == code
    return written
