"""Start the command line `tracklog`; it says what to install where its libraries are missing."""

import gc
import sys
from contextlib import suppress
from typing import Any, Final, TextIO, cast

EXTRA: Final = "pip install 'tracklog[ingester]'"
"""What installs all that the command line needs."""

_OBJECTS: Final = 100_000
"""After so many more objects Python looks for garbage; by itself, after 700."""


class _Messages:
    """A stream of messages: one that cannot be written, as on a full disk, is lost, and ends nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def main() -> None:
    """Run the command line, and end the process with one of the exit codes that `commands.exits` names."""
    # What is imported stays, and is not worth being looked through for garbage a dozen times: a tenth of a command.
    gc.set_threshold(_OBJECTS)
    try:
        from tracklog.analytics.commands.group import tracklog
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "tracklog":
            raise
        # Agents install processors only, and get this command with them.
        sys.stderr.write(f"tracklog: the command line needs {error.name}, which is not installed; run: {EXTRA}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Logs hold characters that a terminal of another encoding has not; an escape is better than a failure.
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is not None:
        sys.stderr = cast("TextIO", _Messages(sys.stderr))
    tracklog(prog_name="tracklog")
