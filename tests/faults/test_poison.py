"""Rows that a database refuses: they cost themselves, and nothing else."""

import sqlite3
from pathlib import Path

import pytest

from conftest import PostgresServer
from faults import oracle
from faults.conftest import Record
from faults.oracle import Content, read_files, until_read
from faults.processes import Nursery, end
from faults.written import Hand


def refuse_poison(database: str, server: PostgresServer | None) -> None:
    """Let the database refuse any log row that says "poison"."""
    if server is None:
        with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
            connection.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON agent_execution_logs WHEN new.message = 'poison'"
                " BEGIN SELECT RAISE(ABORT, 'this is poison'); END"
            )
        connection.close()
        return
    name = database.partition("?")[0].rpartition("/")[2]
    server.execute(
        "ALTER TABLE agent_execution_logs ADD CONSTRAINT no_poison CHECK (message <> 'poison')", database=name
    )


@pytest.mark.parametrize("follow", [False, True])
def test_rows_that_the_database_refuses(
    database: str,
    nursery: Nursery,
    tmp_path: Path,
    record: Record,
    request: pytest.FixtureRequest,
    follow: bool,
) -> None:
    """Of 3000 lines in two files three are refused: they are in quarantine, all others in the database."""
    logs = tmp_path / "logs"
    logs.mkdir()
    nursery.run("ingest", "--once", logs, "--db", database)
    server = None if database.startswith("sqlite") else request.getfixturevalue("postgres_server")
    refuse_poison(database, server)
    one, other = Hand("one"), Hand("other", stamped=False)
    bad = [one.line(event="poison"), other.line(event="poison")]
    (logs / "one.jsonl").write_bytes(one.lines(700) + bad[0] + one.lines(799) + (last := one.line(event="poison")))
    (logs / "other.log").write_bytes(bad[1] + other.lines(1500))
    if follow:
        child = nursery.start("ingest", logs, "--db", database)
        until_read(database, logs)
        assert 0 == end(child)
    else:
        nursery.run("ingest", "--once", logs, "--db", database)
    content = read_files(logs)
    taken = Content([event for event in content.events if event.fields["event"] != "poison"])
    account = oracle.compare(database, taken.events)
    oracle.compare_positions(database, content)
    oracle.compare_writers(database, taken.events)
    quarantined = oracle.rows_of(database, "tracklog_quarantine")
    assert sorted((line.rstrip(b"\n") for line in (*bad, last)), key=len) == sorted(
        (bytes(row["head"]) for row in quarantined), key=len
    )
    assert {True} == {row["reason"].startswith("the database refuses it: ") for row in quarantined}
    record(account)
