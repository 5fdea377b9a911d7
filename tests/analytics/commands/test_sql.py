"""Test questions in SQL."""

import json
import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analytics.commands.terminal import seen
from analytics.stored import Stored, ago
from tracklog.analytics import ExecutionAnalytics
from tracklog.analytics.commands.group import tracklog
from tracklog.analytics.errors import StatementError


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with two executions."""
    stored.ingester()
    stored.executions(
        {"execution_id": "a", "agent_name": "Critic", "duration_ms": 1.23456, "created_at": ago(hours=1)},
        {"execution_id": "b", "agent_name": "it's; fine\x1b[2J", "created_at": ago(hours=2)},
    )
    return stored.url


def run(url: str, *arguments: str, given: str | None = None) -> Result:
    """Run a command."""
    return CliRunner().invoke(tracklog, ["sql", "--db", url, *arguments], input=given)


def text(url: str, *arguments: str, given: str | None = None) -> str:
    """Give what a command that succeeds prints."""
    result = run(url, *arguments, given=given)
    assert (0, "") == (result.exit_code, result.stderr)
    return result.stdout


def test_a_statement(url: str) -> None:
    """The rows come as a table, with rounded numbers and nothing that steers a terminal."""
    printed = text(url, "SELECT execution_id, agent_name, duration_ms FROM agent_executions ORDER BY 1")
    assert [
        ["execution_id", "agent_name", "duration_ms"],
        ["a", "Critic", "1.235"],
        ["b", "it's;", "fine\\x1b[2J"],
    ] == [line.split() for line in printed.splitlines()]


def test_formats(url: str) -> None:
    """Programs get raw numbers, in each format, and the fields they choose."""
    statement = "SELECT execution_id AS id, duration_ms AS took FROM agent_executions ORDER BY 1"
    assert "id,took\na,1.23456\nb,\n" == text(url, statement, "--format", "csv")
    assert [{"id": "a", "took": 1.23456}, {"id": "b", "took": None}] == json.loads(text(url, statement, "--json"))
    assert '{"took":1.23456}\n{"took":null}\n' == text(url, statement, "--format", "jsonl", "--fields", "took")


def test_statements_of_a_pipe(url: str) -> None:
    """Several statements are answered in their order; a semicolon in a text or a comment ends none."""
    given = (
        "SELECT 1 AS one;\n-- of him; or her\nSELECT count(*) AS many\nFROM agent_executions WHERE agent_name > 'a;';\n"
    )
    assert '{"one":1}\n{"many":1}\n' == text(url, "--format", "jsonl", given=given)


def test_statements_with_semicolons_of_their_own(postgres_database: str) -> None:
    """PostgreSQL has more sorts of texts; what only comments is no statement."""
    Stored(postgres_database)
    given = "SELECT $$a;b$$ AS x;\nSELECT $q$;$$;$q$ AS x; SELECT E'it\\';' AS x /* ; */; -- the end;\n"
    printed = text(postgres_database, "--format", "jsonl", given=given)
    assert [{"x": "a;b"}, {"x": ";$$;"}, {"x": "it';"}] == [json.loads(line) for line in printed.splitlines()]


def test_sums_are_numbers(url: str) -> None:
    """Also those that PostgreSQL has as decimals."""
    statement = "SELECT SUM(x) AS s, AVG(x) AS a FROM (SELECT CAST(1 AS bigint) AS x UNION SELECT 4) AS t"
    assert [{"s": 5, "a": 2.5}] == json.loads(text(url, statement, "--json"))


def test_at_most_so_many_rows(url: str) -> None:
    """None is a number too."""
    with ExecutionAnalytics(url) as analytics:
        statement = "SELECT execution_id FROM agent_executions"
        assert [0, 1, 2] == [len(analytics.run_sql(statement, limit)) for limit in (0, 1, None)]
        with pytest.raises(ValueError, match="limit"):
            analytics.run_sql(statement, -1)


def test_columns_of_the_same_name(url: str) -> None:
    """No column is lost where two have the same name."""
    assert [{"x": 1, "x_2": 2, "x_3": 3}] == json.loads(text(url, "SELECT 1 AS x, 2 AS x, 3 AS x", "--json"))


def test_no_rows(url: str) -> None:
    """Nothing found is said in words, or is nothing."""
    assert "No rows.\n" == text(url, "SELECT 1 WHERE 1 = 0")
    assert "" == text(url, "SELECT 1 WHERE 1 = 0", "--format", "jsonl")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM agent_executions",
        "UPDATE agent_executions SET agent_name = 'x'",
        "CREATE TABLE x (y int)",
        "DROP TABLE agent_executions",
        "COMMIT; DELETE FROM agent_executions",
        "COMMIT",
        "PRAGMA query_only = OFF; DELETE FROM agent_executions",
        "SET TRANSACTION READ WRITE; DELETE FROM agent_executions",
        "SET default_transaction_read_only = off; DELETE FROM agent_executions",
    ],
)
def test_nothing_is_written(url: str, statement: str) -> None:
    """No statement, and no row of them, changes the database."""
    run(url, given=statement)
    with ExecutionAnalytics(url) as analytics:
        assert ["Critic", "it's; fine\x1b[2J"] == [row.agent_name for row in analytics.get_recent_executions()]
        with pytest.raises(StatementError):
            analytics.run_sql(statement.rpartition("; ")[2].replace("COMMIT", "DROP TABLE agent_llm_calls"))


@pytest.mark.parametrize("begin", ["", "COMMIT; "])
@pytest.mark.parametrize("name", ["tracklog.db", "new.db"])
def test_no_other_file_is_written(tmp_path: Path, begin: str, name: str) -> None:
    """SQLite would attach any file, also itself, and write to that."""
    url = str(tmp_path / "tracklog.db")
    one = Stored(url)
    one.executions({"execution_id": "a", "created_at": ago(hours=1)})
    run(url, given=f"{begin}ATTACH '{tmp_path / name}' AS w; CREATE TABLE w.x (y); DELETE FROM w.agent_executions")
    run(url, given=f"{begin}VACUUM INTO '{tmp_path / 'copy.db'}'")
    assert "a" in text(url, "SELECT execution_id FROM agent_executions")
    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "copy.db").exists()
    assert "x" not in text(url, ".tables").split()


def test_a_wrong_statement(url: str) -> None:
    """What the database says of a wrong statement is told in a line."""
    result = run(url, "SELEC 1")
    assert 1 == result.exit_code
    assert result.stderr.startswith("tracklog: the database refuses the statement: ")
    assert 1 == result.stderr.count("\n")


def test_no_statement(url: str) -> None:
    """An empty pipe is a mistake, and the message says what to write."""
    result = run(url, given=" ;\n")
    assert 2 == result.exit_code
    assert "there is no statement" in result.stderr


def test_names(url: str) -> None:
    """Tables and columns can be looked up."""
    assert "agent_llm_calls" in text(url, ".tables").splitlines()
    assert ["tokens_used", "bigint"] in [line.split() for line in text(url, ".columns agent_llm_calls").splitlines()]
    assert "there is no table 'calls'" in run(url, ".columns calls").stderr


def test_a_table_ends(url: str) -> None:
    """A table shows its first rows and says so; other formats give all."""
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT i FROM n"
    lines = text(url, many).splitlines()
    assert ["1000", "", "These are the first 1,000 rows; --format csv, json or jsonl gives all."] == lines[-3:]
    assert 1501 == len(text(url, many, "--format", "csv").splitlines())


def test_rows_in_python(url: str) -> None:
    """Python gets records, and no more than it wants."""
    with ExecutionAnalytics(url) as analytics:
        assert [{"i": 1}] == analytics.run_sql("SELECT 1 AS i UNION ALL SELECT 2 ORDER BY 1", limit=1)


def test_the_prompt(url: str, tmp_path: Path) -> None:
    """At the prompt a statement may take lines, an error is told, and what was typed is known the next time."""
    typed = "SELECT execution_id\nFROM agent_executions ORDER BY 1;\nSELEC;\n.columns x\nSELECT 40 + 2 AS sum;\n.quit\n"
    screen = seen(100, "sql", "--db", url, typed=typed, settings={"XDG_STATE_HOME": str(tmp_path)})
    for part in ("read only", "execution_id", "refuses the statement", "there is no table 'x'", "42"):
        assert part in screen
    assert "SELECT 40 + 2 AS sum;" in (tmp_path / "tracklog" / "sql_history").read_text()


def test_a_long_statement_is_interrupted(url: str) -> None:
    """Ctrl-C ends a statement that takes long."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    code = "from tracklog.analytics.cli import main; main()"
    arguments = [sys.executable, "-c", code, "sql", "--no-pager", "--db", url, f"SELECT 40 + 2; {endless}"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, arguments)
    written = b""
    while b"42" not in written:
        written += os.read(terminal, 100)
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.close(terminal)
    assert (pid, 130) == (ended[0], os.waitstatus_to_exitcode(ended[1]))
