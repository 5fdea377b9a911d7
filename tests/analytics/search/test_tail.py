"""Test reading the last lines of files, and following them."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracklog.analytics.search.tail import Follower, Part, backwards
from tracklog.ingester.discover import Discovery
from tracklog.ingester.identify import compression_of


def complain(path: str, error: OSError) -> None:
    """Let nothing go wrong."""
    raise AssertionError(f"{path}: {error}")


def followed(directory: Path) -> Follower:
    """Begin to follow a directory."""
    follower = Follower(Discovery([str(directory)], complain).scan, complain)
    follower.start()
    return follower


def new(follower: Follower) -> list[bytes]:
    """Give the lines that have come."""
    return [line for _, line in follower.new_lines()]


LINE = st.binary(max_size=300).filter(
    lambda line: (
        not {10, 0, 13} & set(line) and compression_of(line) is None
    )  # A file with such a beginning is no text.
) | st.integers(1, 200_000).map(lambda n: b"x" * n)


@given(st.lists(LINE, max_size=8))
def test_backwards(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """A file's lines come from the last to the first, whatever their lengths."""
    path = tmp_path_factory.mktemp("logs") / "a.log"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + b"without an end")
    end = sum(len(line) + 1 for line in lines)
    assert [line for line in reversed(lines) if line] == list(backwards(Part(str(path), end, 0.0)))


def test_backwards_through_a_compressed_file(tmp_path: Path) -> None:
    """A compressed file is read as well."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert [b"two", b"one"] == list(backwards(Part(str(path), path.stat().st_size, 0.0)))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a log of a line and a half."""
    path = tmp_path / "a.log"
    path.write_bytes(b"old\nha")
    return path


def append(path: Path, data: bytes) -> None:
    """Write to a file's end."""
    with path.open("ab") as file:
        file.write(data)


def test_a_file_that_is_cut_while_its_lines_are_taken(log: Path) -> None:
    """What is there then is new, however long it is; and a copy of what was taken is none."""
    before = b"".join(b"a line number %d of a file that is copied and cut\n" % number for number in range(40))
    append(log, before)
    follower = followed(log.parent)
    append(log, b"one\n")
    coming = follower.new_lines()
    assert b"one" == next(coming)[1]
    shutil.copy(log, log.with_suffix(".log.1"))
    log.write_bytes(b"another\n" * 1000)
    assert [] == list(coming)
    assert [b"another"] * 1000 == new(follower)
    append(log, b"two\n")
    assert [b"two"] == new(follower)


def test_what_is_appended_comes_once(log: Path) -> None:
    """Whole lines come, each once, as soon as they have ended."""
    follower = followed(log.parent)
    assert [] == new(follower)
    append(log, b"lf\nnew\nbeg")
    assert [b"half", b"new"] == new(follower)
    assert [] == new(follower)
    append(log, b"un\n")
    assert [b"begun"] == new(follower)


def test_a_new_file_is_followed(log: Path) -> None:
    """A file that is made later is read from its beginning."""
    follower = followed(log.parent)
    (log.parent / "b.log").write_bytes(b"first\n")
    assert [b"first"] == new(follower)


def test_rotation_by_renaming(log: Path) -> None:
    """A file that was renamed goes on under its new name, and its successor begins."""
    follower = followed(log.parent)
    log.rename(log.with_suffix(".log.1"))
    append(log.with_suffix(".log.1"), b"lf\n")
    append(log, b"next\n")
    assert [b"half", b"next"] == sorted(new(follower))


def test_truncation(log: Path) -> None:
    """A file that was cut begins anew."""
    follower = followed(log.parent)
    os.truncate(log, 0)
    assert [] == new(follower)
    append(log, b"anew\n")
    assert [b"anew"] == new(follower)


def test_what_was_compressed_was_there_before(log: Path) -> None:
    """A compressed copy brings nothing new."""
    follower = followed(log.parent)
    with gzip.open(log.with_suffix(".log.1.gz"), "wb") as file:
        file.write(log.read_bytes())
    assert [] == new(follower)


def test_a_file_that_is_gone(log: Path) -> None:
    """A file that was deleted is no error, and one of the same name is another."""
    follower = followed(log.parent)
    log.unlink()
    assert [] == new(follower)
    shutil.copy(__file__, log.with_suffix(".py"))
    append(log, b"another\n")
    assert [b"another"] == new(follower)


def test_a_file_that_cannot_be_read(log: Path) -> None:
    """It is told of once, however often it is tried, and read from its beginning as soon as it can be."""
    told: list[str] = []
    found = list(Discovery([str(log.parent)], complain).scan())
    follower = Follower(lambda: iter(found), lambda path, _error: told.append(path))
    away = log.rename(log.with_suffix(".away"))
    assert [] == follower.start()
    assert [] == new(follower) + new(follower)
    assert [str(log)] == told
    away.rename(log)
    assert [b"old"] == new(follower)
    append(log, b"lf\n")
    found[:] = Discovery([str(log.parent)], complain).scan()
    log.rename(away)
    assert [] == new(follower)
    assert [str(log)] * 2 == told


def content(word: str) -> bytes:
    """Give lines that are longer than what a file is known by."""
    return b"".join(f"{word} {number}\n".encode() for number in range(500))


def test_another_file_of_the_same_inode(log: Path) -> None:
    """A file that was written anew, and is longer by the next look, begins at its first line."""
    follower = followed(log.parent)
    with log.open("r+b") as file:
        file.write(b"another\nfile\n")
    assert [b"another", b"file"] == new(follower)


def test_a_copy_brings_what_was_not_given(log: Path) -> None:
    """Of a copy, as copytruncate makes it, only what the file had not yet given is new."""
    log.write_bytes(content("old"))
    follower = followed(log.parent)
    append(log, b"late\n")
    shutil.copy(log, log.with_suffix(".log.1"))
    log.write_bytes(b"anew\n")
    assert [b"anew", b"late"] == sorted(new(follower))


def test_a_copy_that_is_being_made(log: Path) -> None:
    """A copy that is seen half is the same copy when it is whole."""
    log.write_bytes(content("old"))
    follower = followed(log.parent)
    copy = log.with_suffix(".log.1")
    copy.write_bytes(b"")
    assert [] == new(follower)
    append(copy, content("old")[:2000])
    assert [] == new(follower)
    append(copy, content("old")[2000:] + b"late\n")
    assert [b"late"] == new(follower)


def test_files_that_begin_alike(log: Path) -> None:
    """A file that only begins as another one is no copy."""
    log.write_bytes(content("same") + content("one"))
    follower = followed(log.parent)
    other = content("same") + content("two")
    log.with_suffix(".log.1").write_bytes(other)
    assert other.splitlines() == new(follower)


def test_a_file_that_was_cut_in_part(log: Path) -> None:
    """A file that was cut begins anew, also where its first lines are the same."""
    log.write_bytes(content("old"))
    follower = followed(log.parent)
    os.truncate(log, len(b"old 0\n"))
    assert [b"old 0"] == new(follower)
    append(log, b"anew\n")
    assert [b"anew"] == new(follower)
