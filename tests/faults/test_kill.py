"""An ingester that fails at any of its steps, in any way, loses nothing and doubles nothing."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import PostgresServer
from faults.conftest import Record
from faults.failpoints import Action, Failpoint
from faults.length import long_or_short
from faults.oracle import Account, compare_files, compress, integrity_of
from faults.processes import Nursery, until
from faults.written import Hand
from ingester import kept
from ingester.lines import wrapped

Constants = dict[str, Any]

WHOLE: Constants = {}
SMALL: Constants = {"files:_BATCH_BYTES": 1000, "files:_TURN_BYTES": 1000, "read:_STEP_BYTES": 1000}
"""So that each file takes several batches, and the next one is read and folded ahead."""

BACKLOG: Constants = {"files:_BATCH_BYTES": 30_000, "files:_TURN_BYTES": 30_000, "read:_STEP_BYTES": 8_000}
"""So that some thousand lines are one."""
LARGE_BACKLOG: Constants = {"files:_BATCH_BYTES": 300_000, "files:_TURN_BYTES": 300_000, "read:_STEP_BYTES": 80_000}
"""So that the executions of a batch are many, too."""

IMPATIENT: Constants = {
    # A stopped ingester holds its locks as long as the other waits for them; that need not take half a minute here.
    "store:_TIMEOUTS": ["SET LOCAL lock_timeout = '300ms'", "SET LOCAL idle_in_transaction_session_timeout = '1s'"],
    "sqlite:BUSY_SECONDS": 0.3,
}


class Case:
    """A directory of logs for one failpoint: some read before, some not."""

    def __init__(self, root: Path, name: str) -> None:
        self.directory = root / name
        self.directory.mkdir(parents=True)
        self._hands = [Hand(f"{name}-{place}", stamped=place != 2) for place in range(4)]

    def _path(self, place: int) -> Path:
        return self.directory / f"{place}.jsonl"

    def begin(self) -> None:
        """Write what is read before: whole files, and one with half a line at its end."""
        for place in (0, 1, 2):
            self._path(place).write_bytes(self._hands[place].lines(7))

    def go_on(self) -> None:
        """Write what is read when it happens: more in the files, a new one, a compressed one, and a bad line."""
        for place in (0, 2, 3):
            with self._path(place).open("ab") as file:
                file.write(self._hands[place].lines(9) + (b"no line\n" if place == 3 else b""))
        compress(self._path(1))


def sampled(times: dict[str, int], number: int) -> list[tuple[str, int]]:
    """Give each place, just before and just after, some of the times that it is come by."""
    chosen = []
    for place, count in sorted(times.items()):
        every = range(1, count + 1)
        many = long_or_short(12, 1)
        chosen += [(place, time) for time in (every if count <= many else random.Random(number).sample(every, many))]
    return chosen


def prepare(
    nursery: Nursery, database: str, root: Path, action: Action, constants: Constants
) -> tuple[list[Case], list[Failpoint]]:
    """Find out what an ingester comes by, and make a directory for each failpoint, read once."""
    trial = Case(root, "trial")
    trial.begin()
    nursery.run("ingest", "--once", trial.directory, "--db", database)
    trial.go_on()
    times = nursery.count("ingest", "--once", trial.directory, "--db", database, constants=constants)
    print("seed", len(action))
    places = sampled(times, len(action))
    if not long_or_short(1, 0):
        random.Random(len(action)).shuffle(places)
        places = places[:8]
    failpoints = [Failpoint(place, time, action) for place, time in places]
    cases = [
        Case(root, f"{point.place[:-1].replace(':', '-')}-{point.time}-{ord(point.place[-1])}") for point in failpoints
    ]
    for case in cases:
        case.begin()
    nursery.run("ingest", "--once", *(case.directory for case in cases), "--db", database)
    for case in cases:
        case.go_on()
    return [trial, *cases], failpoints


@pytest.mark.parametrize("constants", [WHOLE, SMALL], ids=["whole", "small"])
@pytest.mark.parametrize("action", [Action.KILL, Action.FAIL, Action.BREAK])
def test_it_fails_at_any_step(
    database: str, nursery: Nursery, tmp_path: Path, record: Record, action: Action, constants: Constants
) -> None:
    """Killed, met by an error of disk or network, or by one that nobody expects: the next one makes it whole."""
    (_, *cases), failpoints = prepare(nursery, database, tmp_path / "logs", action, constants)
    kills = 0
    for case, failpoint in zip(cases, failpoints, strict=True):
        arguments = ("ingest", "--once", case.directory, "--db", database)
        child = nursery.start(*arguments, failpoint=failpoint, constants=constants)
        code = child.wait()
        if action is Action.KILL:
            assert -signal.SIGKILL == code, failpoint
        elif action is Action.FAIL:
            assert code in (0, 1, 5), child.messages
        kills += 1
        nursery.run(*arguments)
    account = compare_files(database, tmp_path / "logs")
    record(account, kills=kills, runs=kills)


@pytest.mark.parametrize("constants", [WHOLE, SMALL], ids=["whole", "small"])
def test_it_is_stopped_while_another_takes_over(
    database: str, nursery: Nursery, tmp_path: Path, record: Record, constants: Constants
) -> None:
    """Stopped at any step, overtaken by another ingester and let go on, it changes nothing that is there already."""
    (_, *cases), failpoints = prepare(nursery, database, tmp_path / "logs", Action.STOP, constants)
    for case, failpoint in zip(cases, failpoints, strict=True):
        arguments = ("ingest", "--once", case.directory, "--db", database)
        first = nursery.start(*arguments, failpoint=failpoint, constants=IMPATIENT | constants)
        until(first.is_stopped)
        assert first.poll() is None, failpoint
        # Of SQLite nobody can take the lock that a stopped process holds; that is told, and changes nothing.
        second = nursery.start(*arguments, constants=IMPATIENT | constants)
        assert second.wait() in (0, 5), second.messages
        first.send(signal.SIGCONT)
        assert first.wait() in (0, 5), first.messages
        nursery.run(*arguments)
    account = compare_files(database, tmp_path / "logs")
    record(account, runs=len(cases))


def test_a_backlog_is_killed_again_and_again(database: str, nursery: Nursery, tmp_path: Path, record: Record) -> None:
    """While it is read ahead: plain files, one that a runtime has split lines in, and a compressed one."""
    logs, whole = tmp_path / "logs", f"sqlite:///{tmp_path}/whole.db"
    logs.mkdir()
    for place in range(4):
        lines = Hand(f"w{place}", chance=random.Random(place)).lines(long_or_short(20_000, 2_000))
        (logs / f"{place}.log").write_bytes(wrapped(lines, 70) if place == 2 else lines)
    compress(logs / "3.log")
    # Lines of long ago are not judged: their verdicts would be of different moments.
    command = ("ingest", "--once", logs, "--stale-after", "36500d", "--db")
    chance, kills = random.Random(1), 0
    nursery.run(*command, whole)
    while True:
        child = nursery.start(*command, database, constants=BACKLOG)
        deadline = time.monotonic() + chance.uniform(0.1, 0.4) * (1 + kills / 20)  # So that it comes to an end.
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if child.poll() is not None:
            break
        child.kill()
        kills += 1
    assert 0 == child.wait(), child.messages
    assert kills > 1
    expected, there = kept.contents(whole), kept.contents(database)
    assert expected == there
    record(Account(len(there["agent_execution_logs"]), 0, 0), kills=kills)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_processes_beside_are_killed_at_any_moment(
    nursery: Nursery, postgres_server: PostgresServer, tmp_path: Path, record: Record, kind: str
) -> None:
    """One or both of those that write: the ingester does what they have not done, and that once."""
    logs, whole = tmp_path / "logs", f"sqlite:///{tmp_path}/whole.db"
    logs.mkdir()
    number_of_lines, constants = (4_000, BACKLOG) if kind == "sqlite" else (8_000, LARGE_BACKLOG)
    for place in range(3):
        (logs / f"{place}.log").write_bytes(Hand(f"w{place}", chance=random.Random(place)).lines(number_of_lines))
    command = ("ingest", "--once", logs, "--stale-after", "36500d", "--db")
    nursery.run(*command, whole)
    expected, chance, kills = kept.contents(whole), random.Random(2), 0
    for number in range(long_or_short(60, 6)):
        name = None if kind == "sqlite" else postgres_server.create_database()
        database = f"sqlite:///{tmp_path}/{number}.db" if name is None else postgres_server.url(name)
        child = nursery.start(*command, database, constants=constants)
        deadline = time.monotonic() + chance.uniform(0.1, 0.5)
        while child.poll() is None and (time.monotonic() < deadline or not beside(child.pid)):
            time.sleep(0.002)
        for pid in beside(child.pid)[: chance.randint(1, 2)]:
            os.kill(pid, signal.SIGKILL)
            kills += 1
        assert 0 == child.wait(), child.messages
        assert expected == kept.contents(database)
        if name is None:
            assert [("ok",)] == integrity_of(database)
        else:
            postgres_server.drop_database(name)
    assert kills > 1
    record(Account(len(expected["agent_execution_logs"]), 0, 0), kills=kills)


def beside(pid: int) -> list[int]:
    """Give the processes that an ingester has started."""
    try:
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())]
    except OSError:
        return []
