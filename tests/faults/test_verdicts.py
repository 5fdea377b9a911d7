"""Who is said to have crashed has; who lives, in whatever process, is left alone."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import PostgresServer
from faults import processes_of_agents
from faults.conftest import Record
from faults.length import long_or_short
from faults.oracle import compare_files, rows_of, until_read
from faults.processes import ENVIRONMENT, Nursery, end, program, running, until
from faults.proxy import Mode, proxied
from faults.written import Hand
from tracklog.processors.program import boot_id

AGENTS = Path(processes_of_agents.__file__)


def wait_until_ready(agent: "subprocess.Popen[bytes]") -> None:
    """Wait until an agent says that it is where it was asked to be."""
    assert agent.stdout is not None
    assert b"ready\n" == agent.stdout.readline()


def statuses(database: str) -> dict[str, str]:
    """Give the status of each agent's execution."""
    return {row["agent_name"]: row["status"] for row in rows_of(database, "agent_executions")}


@pytest.mark.parametrize("how", ["before-parent", "before-child", "inside", "after", "spawn"])
def test_processes_that_fork_and_spawn(
    database: str, nursery: Nursery, tmp_path: Path, record: Record, how: str
) -> None:
    """Whoever has forked, and whoever of them has ended: an execution whose process lives is running."""
    logs, copies = tmp_path / "logs", tmp_path / "copies"
    with program(AGENTS, logs, how) as agent:
        wait_until_ready(agent)
        shutil.copytree(logs, copies)
        for _ in range(2):
            nursery.run("ingest", "--once", logs, copies, "--db", database, "--stale-after", "0s")
            assert "running" == statuses(database)["Living"]
        assert statuses(database).get("Ended", "success") == "success"
        agent.communicate(timeout=20)
    nursery.run("ingest", "--once", logs, copies, "--db", database)
    assert "success" == statuses(database)["Living"]
    record(compare_files(database, logs, copies))


CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts")
"""What starts a program among processes, mounts and names of its own, as a container does."""


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode != 0,
    reason="needs unshare, and the right to make namespaces",
)
def test_containers_that_share_a_volume(database: str, nursery: Nursery, tmp_path: Path, record: Record) -> None:
    """An agent in another container, where the volume has another path, can be asked all the same."""
    logs, inner = tmp_path / "logs", tmp_path / "inner"
    logs.mkdir()
    inner.mkdir()
    inside = (
        f'hostname other && mount --bind "{logs}" "{inner}" && exec "{sys.executable}" "{AGENTS}" "{inner}" abandon'
    )
    with subprocess.Popen(
        [*CONTAINER, "sh", "-c", inside], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as agent:
        wait_until_ready(agent)
        for _ in range(2):
            nursery.run("ingest", "--once", logs, "--db", database, "--stale-after", "0s")
            assert {"Living": "llm_request"} == statuses(database)
        agent.kill()
        agent.wait()

        def is_crashed() -> bool:
            nursery.run("ingest", "--once", logs, "--db", database)
            return statuses(database) == {"Living": "crashed"}

        until(is_crashed, seconds=20)
    record(compare_files(database, logs), kills=1)


@pytest.mark.parametrize("how", ["exec", "orphan"])
def test_processes_that_are_no_more(database: str, nursery: Nursery, tmp_path: Path, record: Record, how: str) -> None:
    """Replaced by another program, or survived by a child: nobody writes the end of the execution any more."""
    logs = tmp_path / "logs"
    with program(AGENTS, logs, how) as agent:
        wait_until_ready(agent)
        nursery.run("ingest", "--once", logs, "--db", database)
        assert {"crashed"} == set(statuses(database).values())
        agent.communicate(timeout=20)
    record(compare_files(database, logs))


def test_a_killed_agent(database: str, nursery: Nursery, tmp_path: Path, record: Record) -> None:
    """Within seconds it is `crashed`, with its last stage and the call in flight; a late line overrules that."""
    logs = tmp_path / "logs"
    logs.mkdir()
    with running(nursery, "ingest", logs, "--db", database) as child:
        with program(AGENTS, logs, "abandon") as agent:
            wait_until_ready(agent)
            until_read(database, logs)
            assert "llm_request" == statuses(database)["Living"]
            agent.kill()
            agent.wait()
            until(lambda: statuses(database) == {"Living": "crashed"}, seconds=10)
        (execution,) = rows_of(database, "agent_executions")
        assert "llm_call" == execution["current_stage"]
        (call,) = rows_of(database, "agent_llm_calls")
        assert ("model", None) == (call["model"], call["end_key"])
        late = Hand("late")
        (logs / "late.jsonl").write_bytes(
            late.line(
                execution_id=execution["execution_id"],
                kind="execution.finished",
                status="success",
                timestamp="2099-01-01T00:00:00Z",
            )
        )
        until(lambda: statuses(database) == {"Living": "success"}, seconds=10)
        assert 0 == end(child)
    record(compare_files(database, logs), kills=1)


def test_a_killed_agent_whose_file_was_removed(database: str, nursery: Nursery, tmp_path: Path) -> None:
    """It cannot be asked any more, so that silence speaks; while its file is there, nobody says that it is late."""
    logs, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    elsewhere.mkdir()

    def status(*paths: Path) -> str:
        nursery.run("ingest", "--once", *paths, "--db", database, "--stale-after", "0s")
        return statuses(database)["Living"]

    with program(AGENTS, logs, "abandon") as agent:
        wait_until_ready(agent)
        time.sleep(1.1)  # Silence is counted in whole seconds.
        assert "llm_request" == status(logs)
        assert "llm_request" == status(elsewhere)  # By an ingester of other directories.
        agent.kill()
        agent.wait()
    for file in logs.iterdir():
        file.unlink()
    assert "timeout" == status(logs)


def test_a_killed_agent_of_whose_file_only_a_copy_was_read(database: str, nursery: Nursery, tmp_path: Path) -> None:
    """A copy has no lock that could be asked, so that silence speaks."""
    logs, copies = tmp_path / "logs", tmp_path / "copies"
    with program(AGENTS, logs, "abandon") as agent:
        wait_until_ready(agent)
        shutil.copytree(logs, copies)
        agent.kill()
        agent.wait()
    shutil.rmtree(logs)
    time.sleep(1.1)  # Silence is counted in whole seconds.
    nursery.run("ingest", "--once", copies, "--db", database, "--stale-after", "0s")
    assert "timeout" == statuses(database)["Living"]


def header(path: Path) -> dict[str, object]:
    """Say in a file's first line what a writer says that held its lock, and is gone."""
    status = path.stat()
    return {
        "kind": "writer.opened",
        "segment": 1,
        "boot_id": boot_id(),
        "device": status.st_dev,
        "inode": status.st_ino,
        "locked": True,
        "execution_id": None,
    }


def test_a_header_whose_commit_was_not_answered(
    postgres_server: PostgresServer, postgres_database: str, nursery: Nursery, tmp_path: Path, record: Record
) -> None:
    """The file was open before its header was there, and the commit's reply did not come: its writer is known."""
    logs = tmp_path / "logs"
    logs.mkdir()
    path, hand = logs / "a.jsonl", Hand("w")
    path.touch()
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    with (
        proxied(postgres_server.socket) as proxy,
        running(
            nursery, "ingest", logs, "--db", proxy.url(name), constants={"ingester:_BACKOFF": [0.02, 0.1]}
        ) as child,
    ):
        until(lambda: any(entry.is_symlink() and entry.resolve() == path for entry in descriptors(child.pid)))
        proxy.mode, proxy.marker = Mode.CUT_AFTER, b"execution.started"
        path.write_bytes(hand.line(**header(path)) + hand.line(kind="execution.started", agent_name="A"))
        until_read(postgres_database, logs)
        assert 1 == proxy.cut
        until(lambda: statuses(postgres_database) == {"A": "crashed"}, seconds=10)
        assert 0 == end(child), child.messages
    record(compare_files(postgres_database, logs), kills=proxy.cut)


def descriptors(pid: int) -> list[Path]:
    """Give the links to what a process has open."""
    return list(Path(f"/proc/{pid}/fd").iterdir())


def test_many_writers_are_gone_at_once(database: str, nursery: Nursery, tmp_path: Path, record: Record) -> None:
    """After a night without an ingester each of more than a thousand dead writers has its verdict."""
    logs = tmp_path / "logs"
    logs.mkdir()
    count = long_or_short(5000, 1200)
    for number in range(count):
        hand = Hand(f"w{number}")
        path = logs / f"{number}.jsonl"
        path.touch()
        path.write_bytes(hand.line(**header(path)) + hand.line(kind="execution.started", agent_name="A"))
    nursery.run("ingest", "--once", logs, "--db", database)
    assert [count] == [sum(row["status"] == "crashed" for row in rows_of(database, "agent_executions"))]
    record(compare_files(database, logs))
