"""The command `grep`: on files, with a database and without, and in the database alone."""

from pathlib import Path

import pytest

from analytics.commands.searcher import LINES, Searcher, searched
from ingester import kept
from ingester.lines import dumps, stamped


@pytest.fixture
def search(database: str, tmp_path: Path) -> Searcher:
    """Give two executions of which one failed, in a plain and a compressed file."""
    return searched(database, tmp_path)


def test_each_line_has_its_execution(search: Searcher) -> None:
    """A line that is found stands with its file and number, and what became of its execution."""
    first, second, third = search.run("grep", "reading").stdout.splitlines()
    assert first.startswith(f"{search.logs / 'a.jsonl'}:3: ")
    assert first.endswith("Editor  failed  parse  –  e1  reading chapter  chapter=1")
    assert second.endswith("Critic  success  complete  1.5 s  e2  reading chapter  chapter=2")
    assert third.startswith(f"{search.logs / 'b.jsonl.gz'}:3: ")
    assert third.endswith("of no execution, reading")


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (("reading chapter",), [3, 4]),
        (("READING", "-i"), [3, 4, 10]),
        (("chapter.:[12]",), [3, 4]),
        (("chapter.:[12]", "-F"), []),
        (("who is Mara?", "-F"), [5]),
        (("", "--agent", "Critic"), [2, 4, 9]),
        (("", "--status", "failed"), [1, 3, 5, 6, 7, 8]),
        (("", "--conversation", "c2"), [2, 4, 9]),
        (("", "--vault", "none"), []),
        (("execution_id", "-v"), [10]),
        (("e1", "-v", "--agent", "Critic"), [2, 4, 9]),
        (("reading", "--since", "2026-01-01T10:00:00.004Z"), [4, 10]),
        (("reading", "--until", "2026-01-01T10:00:00.004Z"), [3]),
        (("reading", "--since", "1h"), []),
    ],
)
def test_what_is_found(search: Searcher, arguments: tuple[str, ...], numbers: list[int]) -> None:
    """Patterns and filters choose among all lines, whatever file they stand in; nothing found is no failure."""
    assert numbers == [answer["log"]["seq"] for answer in search.json("grep", *arguments)]
    assert f"{len(numbers)}\n" == search.run("grep", "-c", *arguments).stdout


def test_json_has_line_and_record(search: Searcher) -> None:
    """One object a line: the place, the whole log line, and the execution's record."""
    (answer,) = search.json("grep", "who is Mara", str(search.logs))
    assert (str(search.logs / "a.jsonl"), 5) == (answer["file"], answer["line"])
    assert len(dumps(*LINES[:4])) == answer["offset"]
    assert {"ask": "who is Mara?"} == answer["log"]["request"]
    assert ("e1", "failed", "Editor") == tuple(answer["execution"][k] for k in ("execution_id", "status", "agent_name"))


def test_executions_only(search: Searcher) -> None:
    """In a pipe these are ids, one a line, each once."""
    assert "e1\ne2\n" == search.run("grep", "-l", "r").stdout
    assert [("e1", 1), ("e2", 1)] == [
        (one["execution_id"], one["lines"]) for one in search.json("grep", "-l", "ding c")
    ]


def test_lines_of_the_same_execution_around_it(search: Searcher) -> None:
    """Whatever others wrote in between."""
    answers = search.json("grep", "-C", "1", "who is Mara")
    assert [3, 5, 6] == [answer["line"] for answer in answers]
    assert [True, False, True] == [answer["is_context"] for answer in answers]
    assert ["e1"] * 3 == [answer["execution_id"] for answer in answers]


def test_what_a_payload_holds_is_shown(search: Searcher) -> None:
    """Where the message does not have the match, the line's text around it is shown."""
    (line,) = search.lines("grep", "who is Mara")
    assert '{"ask":"who is Mara?"}' in line


def test_control_characters_are_written_out(search: Searcher) -> None:
    """What a log line holds cannot steer a terminal."""
    (line,) = search.lines("grep", "parsing")
    assert line.endswith("parsing \\x1b[31m")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("reading chapter",), ["e1", "e2"]),
        (("READING CHAPTER", "-i", "--agent", "Critic"), ["e2"]),
        (("who is Mara?", "-F"), ["e1"]),
        (("the sister",), ["e1"]),
        (("no JSON",), ["e1"]),
        (("manuscript",), ["e1"]),
        (("reading|sister|JSON", "--status", "failed"), ["e1", "e1", "e1"]),
        (("reading", "-v", "--agent", "Critic"), ["e2", "e2"]),
    ],
)
def test_in_the_database(search: Searcher, arguments: tuple[str, ...], found: list[str]) -> None:
    """Where the files are gone, messages, data and payloads are looked through as they were stored."""
    for path in search.logs.iterdir():
        path.unlink()
    answers = search.json("grep", *arguments, "--in", "db")
    assert found == [answer["execution_id"] for answer in answers]
    assert f"{len(found)}\n" == search.run("grep", *arguments, "--in", "db", "-c").stdout


def test_many_lines_in_the_database(database: str, tmp_path: Path) -> None:
    """All of them come, a portion at a time."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.jsonl").write_bytes(dumps(*(stamped("w", n + 1, execution_id=f"e{n % 7}") for n in range(1234))))
    kept.ingest(database, logs)
    assert "1234\n" == Searcher(database, logs).run("grep", "line", "--in", "db", "-c").stdout
    assert 1234 == len(Searcher(database, logs).json("grep", "line"))


def test_without_a_database(search: Searcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are found all the same, and speak for themselves."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    search.environment["TRACKLOG_DATABASE_URL"] = ""
    answers = search.json("grep", "reading|started|finished", "../logs", "--agent", "Critic")
    assert [(2, None)] == [(answer["log"]["seq"], answer["execution"]) for answer in answers]
    (line,) = search.lines("grep", "chapter.:1", "../logs")
    assert "  e1  reading chapter  chapter=1  … " in line
    done = search.run("grep", "reading", "../logs", "--status", "failed", code=5)
    assert "there is no database" in done.stderr
    assert "name the log files" in search.run("grep", "reading", code=2).stderr


def test_a_database_that_is_away(search: Searcher) -> None:
    """One that was configured is missed with a word, one that was named is needed."""
    search.environment["TRACKLOG_DATABASE_URL"] = "/nowhere/x.db"
    done = search.run("grep", "reading", str(search.logs))
    assert 3 == len(done.stdout.splitlines())
    assert "tracklog: going on without the database: there is no database at /nowhere/x.db" in done.stderr
    search.run("grep", "reading", str(search.logs), "--db", "/nowhere/x.db", code=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("call(",), "with -F it is taken as it is"),
        (("a", "-F", "-e"), "contradict"),
        (("a", "x", "--in", "db"), "leave out PATH"),
        (("a", "--since", "soon"), "is no moment"),
    ],
)
def test_wrong_usage(search: Searcher, arguments: tuple[str, ...], message: str) -> None:
    """It is said what to do."""
    assert message in " ".join(search.run("grep", *arguments, code=2).stderr.split())


def test_a_path_that_is_not_there(search: Searcher) -> None:
    """It is named, with the exit code that says so."""
    assert "there is no file or directory /nowhere" in search.run("grep", "a", "/nowhere", code=3).stderr
