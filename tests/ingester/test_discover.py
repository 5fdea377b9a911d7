"""Which files there are."""

import asyncio
import gzip
import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from tracklog.ingester.discover import Discovery, watch
from tracklog.ingester.read import open_file


def found(*paths: Path) -> set[str]:
    errors: list[str] = []
    discovery = Discovery([str(path) for path in paths], lambda path, error: errors.append(path))
    names = {Path(one.path).name for one in discovery.scan()}
    assert [] == errors
    return names


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.log", "a.log.1", "a.log.2.gz", "a.jsonl-20261123.zst", "a.ndjson", "A.LOG", "a.1.log"]
)
def test_logs_are_told_by_their_names(tmp_path: Path, name: str) -> None:
    """Also rotated and compressed ones, and empty ones."""
    (tmp_path / name).touch()
    assert {name} == found(tmp_path)


def test_what_begins_like_a_log_is_one(tmp_path: Path) -> None:
    """A file of any name that begins with a JSON object is taken; others in a directory are not."""
    (tmp_path / "out").write_text('{"event": "e"}\n')
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "tracklog.db").write_bytes(b"SQLite format 3\x00")
    (tmp_path / ".hidden.log").touch()
    (tmp_path / "out.1.gz").write_bytes(gzip.compress(b'{"event": "e"}\n', mtime=0))
    (tmp_path / "image.gz").write_bytes(gzip.compress(b"\x89PNG", mtime=0))
    assert {"out", "out.1.gz"} == found(tmp_path)


@pytest.mark.parametrize("whole", [b'{"event": "e"}\n', gzip.compress(b'{"event": "e"}\n', mtime=0)])
def test_what_is_being_written_is_looked_at_again(tmp_path: Path, whole: bytes) -> None:
    """As long as there is too little of a file to tell what it is."""
    (tmp_path / "out").write_bytes(whole[:1])
    (tmp_path / "more").write_bytes(whole[:3])
    discovery = Discovery([str(tmp_path)], lambda path, error: None)
    list(discovery.scan())
    for name in ("out", "more"):
        (tmp_path / name).write_bytes(whole)
    assert ["more", "out"] == [Path(file.path).name for file in discovery.scan()]


def test_a_file_that_is_named_is_taken(tmp_path: Path) -> None:
    """Whoever names a file means it."""
    path = tmp_path / "notes.txt"
    path.write_text("nothing")
    assert {"notes.txt"} == found(path)


def test_directories_are_walked_and_circles_end(tmp_path: Path) -> None:
    """Logs in deeper directories, and behind links to named ones, are found; a circle of links is no trap."""
    deep = tmp_path / "logs" / "one" / "two"
    deep.mkdir(parents=True)
    (deep / "a.log").touch()
    (deep / "up").symlink_to(tmp_path / "logs")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.log").touch()
    (tmp_path / "logs" / "linked").symlink_to(elsewhere)
    assert {"a.log", "b.log"} == found(tmp_path / "logs", elsewhere)


def test_a_file_of_several_names_is_found_once(tmp_path: Path) -> None:
    """A link to a log is not another log."""
    (tmp_path / "a.log").touch()
    os.link(tmp_path / "a.log", tmp_path / "b.log")
    (tmp_path / "c.log").symlink_to(tmp_path / "a.log")
    (tmp_path / "dangling.log").symlink_to(tmp_path / "nowhere")
    assert 1 == len(found(tmp_path, tmp_path / "a.log"))


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    """Whoever may write into a log directory does not choose what the ingester reads; who names the target does."""
    logs, secrets = tmp_path / "logs", tmp_path / "secrets"
    for directory in (logs, secrets):
        directory.mkdir()
    (secrets / "a.log").write_bytes(b"{}\n")
    (logs / "own.log").write_bytes(b"{}\n")
    (logs / "out.log").symlink_to(secrets / "a.log")
    (logs / "out").symlink_to(secrets)
    (logs / "in.log").symlink_to(logs / "own.log")
    refused: dict[str, str] = {}

    def found(*paths: Path) -> list[str]:
        discovery = Discovery(list(map(str, paths)), lambda path, error: refused.update({path: str(error)}))
        return sorted(os.path.basename(file.path) for file in discovery.scan())

    assert ["own.log"] == found(logs)
    assert {str(logs / "out.log"), str(logs / "out")} == refused.keys()
    assert f"it leads out to {secrets}" in refused[str(logs / "out")]
    assert ["a.log", "own.log"] == found(logs, secrets)
    assert ["a.log"] == found(logs / "out.log")


def test_what_was_replaced_by_a_link_is_not_opened(tmp_path: Path) -> None:
    """Between the look and the opening."""
    (tmp_path / "secret").write_bytes(b"{}\n")
    (tmp_path / "a.log").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        open_file(str(tmp_path / "a.log"))


def test_what_would_block_is_no_log(tmp_path: Path) -> None:
    """A pipe named like a log is left alone."""
    os.mkfifo(tmp_path / "pipe.log")
    assert set() == found(tmp_path)


def test_the_database_is_never_opened(tmp_path: Path) -> None:
    """Under whatever name it lies among the logs: to close it again would let go of SQLite's locks on it."""
    database = tmp_path / "a.log"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    (tmp_path / "link.log").symlink_to(database)
    (tmp_path / "b.log").touch()
    discovery = Discovery([str(tmp_path), str(database)], lambda path, error: None, str(database))
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    assert ["b.log"] == [Path(one.path).name for one in discovery.scan()]
    connection.close()
    assert [] == [path for path in opened if path.startswith(str(database))]


def test_a_missing_path_is_told(tmp_path: Path) -> None:
    """What does not exist, or is neither file nor directory, is not found, and can be asked for."""
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(b"{}\n", mtime=0))
    os.mkfifo(tmp_path / "pipe")
    paths = [str(tmp_path / "no"), str(tmp_path), str(tmp_path / "pipe"), "/dev/null"]
    discovery = Discovery(paths, lambda path, error: None)
    assert [str(tmp_path / "no"), str(tmp_path / "pipe"), "/dev/null"] == discovery.missing()
    assert 1 == len(list(discovery.scan()))


def test_a_watch_tells_of_changes_and_ends(tmp_path: Path) -> None:
    """A new line, also in a directory made later, wakes whoever waits; and the watch ends when it is told to."""

    async def run() -> None:
        changed, stop = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(watch([str(tmp_path)], changed, stop))
        await _until_watching(tmp_path, changed)
        for path in (tmp_path / "a.log", tmp_path / "later" / "b.log"):
            changed.clear()
            path.parent.mkdir(exist_ok=True)
            path.write_text("{}\n")
            await asyncio.wait_for(changed.wait(), 5)
        stop.set()
        await asyncio.wait_for(task, 5)

    asyncio.run(run())


def test_a_directory_that_comes_later_is_watched(tmp_path: Path) -> None:
    """An ingester that starts before the agents have made their directory follows it all the same."""
    logs = tmp_path / "logs"

    async def run() -> None:
        changed, stop = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(watch([str(logs)], changed, stop))
        await asyncio.sleep(0)
        for _ in range(2):  # Also one that was removed and made again.
            logs.mkdir()
            changed.clear()
            await _until_watching(logs, changed)
            shutil.rmtree(logs)
            changed.clear()
            await asyncio.wait_for(changed.wait(), 5)
        stop.set()
        await asyncio.wait_for(task, 5)

    asyncio.run(run())


def test_what_lies_beside_a_file_that_was_named_is_of_no_interest(tmp_path: Path) -> None:
    """It may be a home directory, and a whole directory be watched as well."""
    home, logs = tmp_path / "home", tmp_path / "logs"
    (home / "deep").mkdir(parents=True)
    logs.mkdir()
    (home / "a.log").write_text("{}\n")

    async def run() -> None:
        changed, stop = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(watch([str(home / "a.log"), str(logs)], changed, stop))
        for directory in (home, logs):
            changed.clear()
            await _until_watching(directory, changed)
        await asyncio.sleep(0.5)
        changed.clear()
        (home / "deep" / "b.log").write_text("{}\n")
        await asyncio.sleep(0.5)
        assert not changed.is_set()
        (home / "a.log").write_text("{}\n{}\n")
        await asyncio.wait_for(changed.wait(), 5)
        stop.set()
        await asyncio.wait_for(task, 5)

    asyncio.run(run())


async def _until_watching(directory: Path, changed: asyncio.Event) -> None:
    """Write until the watch, which starts on a thread of its own, tells of it."""
    for number in range(200):
        (directory / "probe.log").write_text(str(number))
        try:
            await asyncio.wait_for(changed.wait(), 0.05)
        except TimeoutError:
            continue
        return
    raise AssertionError("the watch never told of anything")
