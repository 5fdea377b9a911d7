"""From an execution to its lines, and from a line to its execution."""

import gzip
import json
import re
from pathlib import Path

import pytest

from analytics.commands.searcher import LINES, Searcher, searched
from ingester.lines import dumps


@pytest.fixture
def search(database: str, tmp_path: Path) -> Searcher:
    """Give two executions of which one failed, in a plain and a compressed file."""
    return searched(database, tmp_path)


def written(*numbers: int) -> list[str]:
    """Give the lines of these numbers as they stand in the files."""
    return dumps(*(LINES[number - 1] for number in numbers)).decode().splitlines()


def test_the_lines_of_an_execution(search: Searcher) -> None:
    """They come as they were written, from all files, also compressed ones."""
    assert written(1, 3, 5, 6, 7, 8) == search.run("lines", "e1").stdout.splitlines()
    assert written(2, 4, 9) == search.run("lines", "e2", "--tree").stdout.splitlines()
    (first, *_) = json.loads(search.run("lines", "e2", "--json").stdout)
    assert (len(dumps(LINES[0])), written(2)[0]) == (first["line_offset"], first["text"])


def test_lines_that_are_gone(search: Searcher) -> None:
    """What does not stand there any more is told, and nothing else is printed in its place."""
    path = search.logs / "a.jsonl"
    path.write_bytes(path.read_bytes().replace(b"reading", b"writing").replace(b'"seq":3', b'"seq":4'))
    (search.logs / "b.jsonl.gz").unlink()
    done = search.run("lines", "e1", code=1)
    assert written(1, 5, 6, 7) == done.stdout.splitlines()
    assert f"a line of it is not in {path} any more" in done.stderr
    assert f"a line of it is not in {search.logs / 'b.jsonl.gz'} any more" in done.stderr


def test_lines_of_files_that_were_rotated(search: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed or compressed since they were read, files are found beside their names, and nothing else is taken."""
    path = search.logs / "a.jsonl"
    (search.logs / "a.jsonl.2.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.write_bytes(dumps(LINES[1]))
    assert written(1, 3, 5, 6, 7, 8) == search.run("lines", "e1").stdout.splitlines()
    monkeypatch.chdir(search.logs)
    (search.logs / "b.jsonl.gz").rename("b.jsonl.3.gz")
    assert re.search(r"^Logged in +a\.jsonl\.2\.gz", search.run("show", "e1").stdout, re.MULTILINE)
    assert "b.jsonl.3.gz at byte 0 (1 line)" in search.run("show", "e1").stdout
    (search.logs / "a.jsonl.2.gz").unlink()
    (search.logs / "a.jsonl-20261123").write_bytes(dumps(*LINES[:7]))
    assert "a.jsonl-20261123:1 to line 7 (5 lines)" in search.run("show", "e1").stdout


def test_the_execution_of_a_line(search: Searcher) -> None:
    """A line is named as editors and grep name it; one of no execution, or that there is not, is told."""
    for place, expected in (("a.jsonl:3", "e1"), ("a.jsonl:4", "e2"), ("b.jsonl.gz:2", "e2")):
        answer = json.loads(search.run("show", "--at", str(search.logs / place), "--json").stdout)
        assert expected == answer["execution"]["execution_id"]
    for place, said in (
        ("b.jsonl.gz:3", "belongs to no execution"),
        ("a.jsonl:8", "no line 8"),
        ("c:1", "No such file"),
    ):
        assert said in search.run("show", "--at", str(search.logs / place), code=3).stderr
    for arguments in (["--at", "a.jsonl"], ["--at", "a.jsonl:0"], [], ["e1", "--at", "a.jsonl:1"]):
        search.run("show", *arguments, code=2)


def test_names_for_the_newest(search: Searcher) -> None:
    """`@last` and `@last-failed` stand for an id."""
    for name, expected in (("@last", "e2"), ("@last-failed", "e1")):
        answer = json.loads(search.run("show", name, "--json").stdout)
        assert expected == answer["execution"]["execution_id"]


def test_a_command_that_there_is_not(search: Searcher) -> None:
    """It is told which one may have been meant."""
    assert "Did you mean grep?" in search.run("gerp", code=2).stderr
    assert "Did you mean" not in search.run("xyzzy", code=2).stderr
