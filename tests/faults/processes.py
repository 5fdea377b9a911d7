"""Real processes that the tests start, stop, kill and wait for."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from faults.failpoints import Failpoint

_TESTS: Final = Path(__file__).parents[1]
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(_TESTS), "PYTHONUNBUFFERED": "1"}
SECONDS: Final = 60
"""How long anything may take before it is taken for stuck."""


def until(condition: Callable[[], bool], what: str = "it did not happen in time", seconds: float = SECONDS) -> None:
    """Wait for a condition, and fail if it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


class Child:
    """An ingester that the nursery has started."""

    def __init__(self, nursery: "Nursery", pid: int, messages: Path) -> None:
        self._nursery = nursery
        self.pid = pid
        self._messages = messages
        self._code: int | None = None
        self.kilobytes = 0
        """Its largest resident set, once it has ended."""

    @property
    def messages(self) -> str:
        """Give what it has printed, all that it ran in this place before included."""
        return self._messages.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def is_stopped(self) -> bool:
        """Tell whether a signal has stopped it; also true of one that has ended."""
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
            return state in "TZX"
        return True

    def poll(self) -> int | None:
        """Give its exit code; None while it runs."""
        return self._wait(0)

    def wait(self, seconds: float = SECONDS) -> int:
        """Wait for its end, and give its exit code, negative for a signal."""
        code = self._wait(seconds)
        if code is None:
            self.send(signal.SIGKILL)
            self._wait(10)
            raise AssertionError(f"an ingester did not end in {seconds} s:\n{self.messages}")
        return code

    def kill(self) -> None:
        """Kill it, if it still runs."""
        if self.poll() is None:
            self.send(signal.SIGKILL)
            self._wait(10)

    def _wait(self, seconds: float) -> int | None:
        if self._code is None:
            answer = self._nursery.ask({"wait": self.pid, "seconds": seconds})
            if answer is not None:
                self._code, self.kilobytes = answer["code"], answer["kilobytes"]
        return self._code


class Nursery:
    """Start ingesters; see `faults.nursery`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def keep_messages_in(self, directory: Path) -> None:
        """Say where what ingesters print is kept from now on."""
        self._directory = directory

    def ask(self, command: Mapping[str, Any]) -> Any:
        """Give it a command, and give its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(
        self,
        *arguments: object,
        failpoint: Failpoint | None = None,
        count: Path | None = None,
        limits: Mapping[str, int] | None = None,
        constants: Mapping[str, Any] | None = None,
    ) -> Child:
        """Start `tracklog` with some arguments.

        :param count: A file to which it writes how often it came by each place.
        :param limits: Limits such as `RLIMIT_NOFILE`.
        :param constants: Constants of the ingester, such as `sqlite:BUSY_SECONDS`, with another value.
        """
        messages = self._directory / "messages.txt"
        answer = self.ask(
            {
                "arguments": [str(argument) for argument in arguments],
                "messages": str(messages),
                "place": failpoint.place if failpoint else "",
                "time": failpoint.time if failpoint else 0,
                "action": failpoint.action if failpoint else "",
                "count": str(count) if count is not None else "",
                "limits": dict(limits or {}),
                "constants": dict(constants or {}),
            }
        )
        return Child(self, answer["pid"], messages)

    def run(self, *arguments: object, expect: int = 0, **options: Any) -> Child:
        """Run `tracklog` to its end, and check its exit code."""
        child = self.start(*arguments, **options)
        code = child.wait()
        assert expect == code, child.messages
        return child

    def count(self, *arguments: object, **options: Any) -> dict[str, int]:
        """Run it to its end, and give how often it came by each place."""
        path = self._directory / "times.json"
        self.run(*arguments, count=path, **options)
        times: dict[str, int] = json.loads(path.read_text())
        return times

    def close(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=20)


@contextlib.contextmanager
def running(nursery: Nursery, *arguments: object, **options: Any) -> Iterator[Child]:
    """Run an ingester for the time of a block."""
    child = nursery.start(*arguments, **options)
    try:
        yield child
    finally:
        child.kill()


def end(child: Child) -> int:
    """Ask an ingester to end, and give its exit code."""
    child.send(signal.SIGTERM)
    return child.wait()


@contextlib.contextmanager
def program(path: Path, *arguments: object, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program of the tests for the time of a block."""
    process = subprocess.Popen(
        [sys.executable, str(path), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
