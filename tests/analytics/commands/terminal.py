"""Run commands on a terminal."""

import os
import pty
import struct
import sys
from collections.abc import Mapping
from fcntl import ioctl
from termios import TIOCSWINSZ


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
    :param settings: The environment's variables that are to be otherwise.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        ioctl(1, TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", **settings}
        code = "from tracklog.analytics.cli import main; main()"
        os.execve(
            sys.executable,
            [sys.executable, "-c", code, *arguments],
            {**environment, "TERM": "xterm-256color", **settings},
        )
    os.write(terminal, typed.encode())
    written = b""
    while True:
        try:
            block = os.read(terminal, 1 << 16)
        except OSError:  # How Linux says that the other end was closed.
            break
        if not block:
            break
        written += block
    os.close(terminal)
    assert exit_code == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return written.decode().replace("\r\n", "\n")
