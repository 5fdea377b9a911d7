"""Start the command line `tracklog`; it says what to install where its libraries are missing."""

import gc
import sys
from typing import Final

EXTRA: Final = "pip install 'tracklog[ingester]'"
"""What installs all that the command line needs."""

_OBJECTS: Final = 100_000
"""After so many more objects Python looks for garbage; by itself, after 700."""


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
    tracklog(prog_name="tracklog")
