"""Give the fault tests their processes, and print what they counted."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.length import LENGTH
from faults.oracle import Account
from faults.processes import Nursery


@dataclasses.dataclass(slots=True)
class Tally:
    """What a scenario has been through, on both databases."""

    runs: int = 0
    lines: int = 0
    kills: int = 0
    lost: int = 0
    doubled: int = 0


_tallies: dict[str, Tally] = {}

Record = Callable[..., None]
"""Take what a run counted: its `Account`, and how many `kills`."""


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Give a function that adds a run to its scenario's line in the table."""
    name = request.node.originalname.removeprefix("test_").replace("_", " ")

    def add(account: Account, *, kills: int = 0, runs: int = 1) -> None:
        tally = _tallies.setdefault(name, Tally())
        tally.runs += runs
        tally.lines += account.lines
        tally.kills += kills
        tally.lost += account.lost
        tally.doubled += account.doubled

    return add


@pytest.fixture(scope="session")
def _nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


@pytest.fixture
def nursery(_nursery: Nursery, tmp_path: Path) -> Nursery:
    """Give what starts ingesters; their messages are the test's own."""
    messages = tmp_path / ".messages"
    messages.mkdir()
    _nursery.keep_messages_in(messages)
    return _nursery


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of a long run, as it stands in docs/reliability.md."""
    if not LENGTH or not _tallies:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line("| scenario | runs | lines | kills | lost | doubled |")
    terminalreporter.write_line("|---|---:|---:|---:|---:|---:|")
    for name, tally in sorted(_tallies.items()):
        numbers = " | ".join(f"{number:,}" for number in dataclasses.astuple(tally))
        terminalreporter.write_line(f"| {name} | {numbers} |")
