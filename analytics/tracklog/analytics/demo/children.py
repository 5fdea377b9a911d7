"""Start processes, and see to it that none of them outlives the demo."""

import contextlib
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import IO, Self

from tracklog.analytics.demo.directory import DemoError

_GRACE_SECONDS = 6
"""An ingester ends within five seconds of SIGTERM."""


class Child:
    """A process of the demo's; what it says on stderr is kept for the case that it fails."""

    def __init__(self, name: str, arguments: list[str], *, stdin: IO[str] | None = None) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile("w+", errors="backslashreplace")  # noqa: SIM115 -- closed with the child.
        self.process = subprocess.Popen(  # noqa: S603 -- our own modules.
            # -P: no module of the working directory stands in for one of the library's.
            [sys.executable, "-P", *arguments],
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )

    @property
    def stdout(self) -> IO[str]:
        """What it writes."""
        assert self.process.stdout is not None
        return self.process.stdout

    def wait(self, seconds: float) -> None:
        """Wait until it ends.

        :raises DemoError: It failed, or does not end.
        """
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise DemoError(f"the {self.name} does not come to an end") from None
        if self.process.returncode:
            raise self.failure()

    def failure(self) -> DemoError:
        """Give what went wrong with it, by the last it said."""
        self._stderr.seek(0)
        said = self._stderr.read().strip().splitlines()
        return DemoError(f"the {self.name} ended with {self.process.returncode}: {said[-1] if said else 'no message'}")

    def close(self) -> None:
        """Let go of its pipes; it has ended."""
        self.stdout.close()
        self._stderr.close()


class Children:
    """Processes that end when the block is left, however it is left."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(self, name: str, *arguments: str, stdin: IO[str] | None = None) -> Child:
        """Start Python with these arguments."""
        child = Child(name, list(arguments), stdin=stdin)
        self._children.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in self._children:
            child.process.terminate()
        for child in self._children:
            try:
                child.process.wait(_GRACE_SECONDS)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                child.process.kill()
                with contextlib.suppress(KeyboardInterrupt):
                    child.process.wait()
            child.close()
