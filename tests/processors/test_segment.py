"""A file of a writer's own, and a stream."""

import contextlib
import fcntl
import io
import os
import stat
import threading
from pathlib import Path

import pytest

from tracklog.processors import segment
from tracklog.processors.segment import Segment, Stream


def is_locked(path: Path) -> bool:
    """Ask as the ingester does."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def one(tmp_path: Path) -> Segment:
    return Segment.create(tmp_path / "deep" / "logs" / "a.jsonl")


def test_a_segment_is_private(one: Segment) -> None:
    """Others of the machine do not read it; its group does."""
    umask = os.umask(0)
    os.umask(umask)
    assert 0o640 & ~umask == stat.S_IMODE(one.path.stat().st_mode)
    assert 0o750 & ~umask == stat.S_IMODE(one.path.parent.stat().st_mode)


def test_a_segment_is_locked_while_it_is_open(one: Segment) -> None:
    """Closing it lets go."""
    assert is_locked(one.path)
    one.close()
    assert not is_locked(one.path)


def test_a_segment_is_not_inherited_by_programs(one: Segment) -> None:
    """A program that is started must not keep the lock."""
    assert not os.get_inheritable(one.descriptor)


def test_a_segment_takes_no_file_that_is_there(tmp_path: Path) -> None:
    """What somebody else wrote is left alone."""
    (tmp_path / "a.jsonl").write_text("mine")
    with pytest.raises(FileExistsError):
        Segment.create(tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text() == "mine"


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody draws conclusions from the lock."""

    def refuse(*_: object) -> None:
        raise OSError("no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert Segment.create(tmp_path / "a.jsonl").describe()["locked"] is False


def test_closing_twice_does_not_close_a_strangers_file(one: Segment, tmp_path: Path) -> None:
    """The number of a closed descriptor is soon another file's."""
    number = one.descriptor
    one.close()
    with (tmp_path / "other").open("w") as stranger:
        assert stranger.fileno() == number
        one.close()
        stranger.write("fine")
    assert (tmp_path / "other").read_text() == "fine"


def test_harm_from_outside_is_told(one: Segment) -> None:
    """A file that was renamed, removed, replaced or cut is not what it was."""
    one.write(b"hello")
    assert one.harm(5) is None
    os.truncate(one.path, 0)
    assert one.harm(5) == "truncated"
    renamed = one.path.rename(one.path.with_suffix(".1"))
    assert one.harm(0) == "renamed"
    one.path.write_text("another")
    assert one.harm(0) == "renamed"
    assert not one.is_unlinked()
    renamed.unlink()
    assert one.is_unlinked()


def test_a_stream_of_text_is_written_text() -> None:
    """A stream without a descriptor is written as it wants."""
    stream = io.StringIO()
    assert Stream(stream).write("ä\n".encode()) == 3
    assert stream.getvalue() == "ä\n"


def test_a_stream_of_bytes_is_written_bytes() -> None:
    """A stream without a descriptor is written as it wants."""
    stream = io.BytesIO()
    Stream(stream).write("ä\n".encode())
    assert stream.getvalue() == "ä\n".encode()


def test_what_the_program_wrote_before_comes_before(tmp_path: Path) -> None:
    """The program's own buffer is flushed first."""
    with (tmp_path / "out").open("w") as stream:
        stream.write("before\n")
        Stream(stream).write(b"line\n")
        stream.write("after\n")
    assert (tmp_path / "out").read_text() == "before\nline\nafter\n"


def test_a_full_pipe_is_waited_for() -> None:
    """A pipe that does not block is full for a moment when its reader is slow."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    threading.Timer(0.05, os.read, (reader, 65536)).start()
    with os.fdopen(writer, "wb", buffering=0) as stream:
        assert Stream(stream).write(b"line\n") == 5
    os.close(reader)


def test_a_stalled_pipe_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent does not wait anew for each line that nobody reads."""
    monkeypatch.setattr(segment, "_STREAM_WAIT_MS", 1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "wb", buffering=0) as file:
        stream = Stream(file)
        with contextlib.suppress(BlockingIOError):
            while True:
                stream.write(b"x" * 4096)
        assert stream.stalled
        monkeypatch.setattr(segment, "_STREAM_WAIT_MS", 60_000)
        with pytest.raises(BlockingIOError):
            stream.write(b"line\n")
        os.read(reader, 65536)
        assert stream.write(b"line\n") == 5
        assert not stream.stalled
    os.close(reader)
