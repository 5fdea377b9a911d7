"""Stamped lines, whole, and what happens when that cannot be."""

import contextlib
import fcntl
import io
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import pytest

from processors.written import all_lines, events, files, of_kind, run_program
from tracklog.processors import ExecutionLog, program
from tracklog.processors.segment import Segment
from tracklog.processors.writer import Settings, Writer

BODY = b'{"event":"e"}'


class Clock:
    """The time, as a test sets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = time.time_ns()
        self.steady = time.monotonic_ns()
        monkeypatch.setattr(time, "time_ns", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.steady)

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += int(seconds * 1e9)
        self.steady += int(seconds * 1e9)

    def step(self, seconds: float) -> None:
        """Set the clock, as no time passes."""
        self.wall += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def make(logs: Path) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def new(**settings: Any) -> Writer:
        made.append(Writer(logs, Settings("test", **settings)))
        return made[-1]

    yield new
    for writer in made:
        writer.close()


@pytest.fixture
def writer(make: Callable[..., Writer]) -> Writer:
    return make()


def seqs(logs: Path) -> list[int]:
    return [line["seq"] for line in all_lines(logs)]


def reasons(logs: Path) -> list[str]:
    return [line["reason"] for line in of_kind(logs, "writer.closed")]


def test_nothing_is_made_before_the_first_line(writer: Writer, logs: Path) -> None:
    """A program that is only imported leaves no files."""
    writer.close()
    assert not logs.exists()


def test_a_file_has_a_header_lines_and_an_end(writer: Writer, logs: Path) -> None:
    """The first line says who writes, the last that it ended well; all are numbered."""
    writer.write(BODY)
    writer.close("exit")
    first, line, last = all_lines(logs)
    assert [1, 2, 3] == [first["seq"], line["seq"], last["seq"]]
    assert {writer.id} == {first["writer"], line["writer"], last["writer"]}
    status = files(logs)[0].stat()
    expected = {
        "kind": "writer.opened",
        "format": 1,
        "segment": 1,
        "service": "test",
        "pid": os.getpid(),
        "host": os.uname().nodename,
        "device": status.st_dev,
        "inode": status.st_ino,
        "locked": True,
    }
    assert expected.items() <= first.items()
    assert first["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    expected_end = {"kind": "writer.closed", "reason": "exit", "segment": 1, "lines_written": 2, "lines_dropped": 0}
    assert expected_end.items() <= last.items()


def test_a_file_is_named_after_service_start_writer_and_segment(writer: Writer, logs: Path, clock: Clock) -> None:
    """So that a directory can be read by people, and sorted."""
    clock.wall = 1_790_000_000_123_456_789
    writer.write(BODY)
    (file,) = files(logs)
    assert f"test.20260921T141320Z.{writer.id}.0001.jsonl" == file.name


def test_a_line_begins_with_its_stamp(writer: Writer, logs: Path, clock: Clock) -> None:
    """The time is UTC with microseconds."""
    clock.wall = 1_790_000_000_000_456_789
    writer.write(b'{"a":1}')
    line = files(logs)[0].read_bytes().splitlines()[1]
    assert b'{"timestamp":"2026-09-21T14:13:20.000456Z","writer":"%s","seq":2,"a":1}' % writer.id.encode() == line


def test_a_small_step_of_the_clock_is_not_followed(writer: Writer, logs: Path, clock: Clock) -> None:
    """Timestamps of one writer never go back."""
    writer.write(BODY)
    clock.step(-59)
    writer.write(BODY)
    clock.step(10)
    writer.write(BODY)
    clock.step(60)
    writer.write(BODY)
    times = [line["timestamp"] for line in all_lines(logs)]
    assert times == sorted(times)
    assert times[1] == times[2] == times[3] < times[4]
    assert len(files(logs)) == 1


def test_a_large_step_back_begins_a_new_writer(writer: Writer, logs: Path, clock: Clock) -> None:
    """Its file has the new time; the old one ends, and stays locked, as its executions are not orphans."""
    writer.write(BODY)
    old = writer.id
    clock.step(-3600)
    writer.write(BODY)
    assert writer.id != old
    by_writer: dict[str, list[Any]] = {}
    for line in all_lines(logs):
        by_writer.setdefault(line["writer"], []).append((line["seq"], line.get("reason")))
    assert {old: [(1, None), (2, None), (3, "clock")], writer.id: [(1, None), (2, None)]} == by_writer
    (old_file,) = logs.glob(f"*{old}*")
    with old_file.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_large_file_is_followed_by_the_next(make: Callable[..., Writer], logs: Path) -> None:
    """Numbers go on across segments; each but the last ends with its reason."""
    writer = make(max_bytes=1500)
    for _ in range(40):
        writer.write(BODY)
    writer.close()
    assert len(files(logs)) > 3
    assert list(range(1, len(seqs(logs)) + 1)) == seqs(logs)
    assert events(logs) == ["e"] * 40
    assert [*["rotated"] * (len(files(logs)) - 1), "closed"] == reasons(logs)
    numbers = [line["segment"] for line in of_kind(logs, "writer.opened")]
    assert numbers == [line["segment"] for line in of_kind(logs, "writer.closed")] == [*range(1, len(numbers) + 1)]
    for file in files(logs):
        lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
        assert ("writer.opened", "writer.closed") == (lines[0]["kind"], lines[-1]["kind"])


def test_an_old_file_is_followed_by_the_next(make: Callable[..., Writer], logs: Path, clock: Clock) -> None:
    """At its age, which the steady clock tells."""
    writer = make(max_age=60)
    writer.write(BODY)
    clock.step(3600)
    clock.pass_(59)
    writer.write(BODY)
    assert len(files(logs)) == 1
    clock.pass_(2)
    writer.write(BODY)
    assert len(files(logs)) == 2


def test_the_next_file_is_locked_before_the_last_is_let_go(
    make: Callable[..., Writer], logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no moment at which the writer seems gone."""
    writer = make(max_bytes=1)
    writer.write(BODY)
    seen = []
    close = Segment.close

    def look_and_close(segment: Segment) -> None:
        for file in files(logs):
            with file.open() as handle, contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                seen.append(file)
        close(segment)

    monkeypatch.setattr(Segment, "close", look_and_close)
    writer.write(BODY)
    monkeypatch.undo()
    assert len(files(logs)) == 2
    assert seen == []


def test_a_renamed_file_is_followed_by_a_new_one(writer: Writer, logs: Path, clock: Clock) -> None:
    """An outside rotation is noticed a second later, and the old file gets its end."""
    writer.write(BODY)
    files(logs)[0].rename(logs / "moved.jsonl.1")
    writer.write(BODY)
    clock.pass_(1.1)
    writer.write(BODY)
    writer.close()
    moved = [orjson.loads(line) for line in (logs / "moved.jsonl.1").read_bytes().splitlines()]
    assert [1, 2, 3, 4] == [line["seq"] for line in moved]
    assert moved[-1]["reason"] == "renamed"
    assert [5, 6, 7] == seqs(logs)


def test_a_removed_file_is_followed_by_a_new_one(writer: Writer, logs: Path, clock: Clock) -> None:
    """Nothing more is written where nobody can read it."""
    writer.write(BODY)
    files(logs)[0].unlink()
    clock.pass_(1.1)
    writer.write(BODY)
    assert [3, 4] == seqs(logs)


def test_a_removed_directory_is_made_again(writer: Writer, logs: Path, clock: Clock) -> None:
    """Also when all of it is gone."""
    writer.write(BODY)
    shutil.rmtree(logs)
    clock.pass_(1.1)
    writer.write(BODY)
    assert events(logs) == ["e"]


def test_a_truncated_file_is_followed_by_a_new_one(writer: Writer, logs: Path, clock: Clock) -> None:
    """What copytruncate does is noticed a second later."""
    for _ in range(3):
        writer.write(BODY)
    os.truncate(files(logs)[0], 0)
    clock.pass_(1.1)
    writer.write(BODY)
    writer.close()
    assert ["truncated", "closed"] == reasons(logs)
    assert [5, 6, 7, 8] == seqs(logs)


def test_a_closed_writer_opens_again(writer: Writer, logs: Path) -> None:
    """A late line is not lost, and closing twice is fine."""
    writer.write(BODY)
    writer.close()
    writer.close()
    writer.write(BODY)
    assert [1, 2, 3, 4, 5] == seqs(logs)
    assert [1, 2] == [line["segment"] for line in of_kind(logs, "writer.opened")]


def test_a_line_that_could_not_be_encoded_leaves_a_gap(
    writer: Writer, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its number is missing, the count says so, and one message."""
    writer.write(BODY)
    writer.drop(ValueError("odd"))
    writer.drop(ValueError("odd"))
    writer.write(BODY)
    writer.close()
    assert [1, 2, 5, 6] == seqs(logs)
    assert (4 - 1, 2) == (all_lines(logs)[-1]["lines_written"], all_lines(logs)[-1]["lines_dropped"])
    assert capsys.readouterr().err.count("odd") == 1


def test_a_directory_that_cannot_be_made_costs_nothing_but_lines(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is raised, it is said once, tried again once a second, and mended by itself."""
    (tmp_path / "logs").write_text("a file where a directory is to be")
    writer = Writer(tmp_path / "logs" / "deep", Settings("test"))
    for _ in range(5):
        writer.write(BODY)
        clock.pass_(1.1)
    said = capsys.readouterr().err
    assert said.count("tracklog:") == 1
    assert str(tmp_path / "logs" / "deep") in said
    (tmp_path / "logs").unlink()
    clock.pass_(1.1)
    writer.write(BODY)
    writer.close()
    assert [6, 7, 8] == seqs(tmp_path / "logs" / "deep")
    assert all_lines(tmp_path / "logs" / "deep")[-1]["lines_dropped"] == 5


def test_opening_is_tried_once_a_second(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand lines do not ask a sick disk a thousand times."""
    asked = []

    def refuse(path: Path) -> Segment:
        asked.append(path)
        raise OSError("sick")

    monkeypatch.setattr(Segment, "create", refuse)
    writer = Writer(tmp_path, Settings("test"))
    for _ in range(10):
        writer.write(BODY)
    clock.pass_(1.1)
    writer.write(BODY)
    assert len(asked) == 2


def test_without_stderr_nothing_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service of Windows has none, and one may be closed."""
    (tmp_path / "logs").write_text("a file")
    for stderr in (None, closed_stream()):
        monkeypatch.setattr(sys, "stderr", stderr)
        Writer(tmp_path / "logs", Settings("test")).write(BODY)


def closed_stream() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def test_where_no_new_file_can_be_made_the_old_one_goes_on(
    make: Callable[..., Writer],
    logs: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A directory that became read-only costs no line; it is said once, and rotated when it can be."""
    writer = make(max_bytes=300)
    writer.write(BODY)
    create = Segment.create

    def refuse(path: Path) -> Segment:
        raise PermissionError("read-only")

    monkeypatch.setattr(Segment, "create", refuse)
    for _ in range(20):
        writer.write(BODY)
        clock.pass_(0.4)
    assert len(files(logs)) == 1
    assert capsys.readouterr().err.count("going on in the old one") == 1
    monkeypatch.setattr(Segment, "create", create)
    clock.pass_(1.1)
    writer.write(BODY)
    writer.close()
    assert list(range(1, len(seqs(logs)) + 1)) == seqs(logs)
    assert events(logs) == ["e"] * 22


class Disk:
    """What a disk takes; put in place of `os.write` for the files of segments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.piece: int | None = None
        self.after: Callable[[], None] = lambda: None
        write = Segment.write

        def write_some(segment: Segment, data: bytes) -> int:
            if self.room is not None:
                data = data[: self.room]
                self.room -= len(data)
                if not data:
                    raise OSError(28, "No space left on device")
            written = write(segment, data[: self.piece])
            after, self.after = self.after, lambda: None
            after()
            return written

        monkeypatch.setattr(Segment, "write", write_some)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_short_write_is_finished(writer: Writer, logs: Path, disk: Disk) -> None:
    """A line that is taken piece by piece is whole."""
    disk.piece = 7
    writer.write(BODY)
    assert events(logs) == ["e"]


def test_a_line_that_cannot_be_finished_costs_itself_only(
    writer: Writer, logs: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next one begins on a line of its own."""
    writer.write(BODY)
    disk.room = 40
    writer.write(BODY)
    writer.write(BODY)
    disk.room = None
    writer.write(BODY)
    writer.close()
    raw = files(logs)[0].read_bytes().splitlines()
    good = [orjson.loads(line) for line in raw if line.endswith(b"}")]
    assert [1, 2, 5, 6] == [line["seq"] for line in good]
    assert len(raw) == len(good) + 1
    assert (3, 2) == (good[-1]["lines_written"], good[-1]["lines_dropped"])
    assert capsys.readouterr().err.count("No space left") == 1


def test_each_episode_of_failure_is_said(writer: Writer, disk: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    """A second one is news."""
    for room in (None, 0, None, 0):
        disk.room = room
        writer.write(BODY)
        writer.write(BODY)
    disk.room = None
    assert capsys.readouterr().err.count("No space left") == 2


def test_a_file_whose_header_does_not_fit_is_not_left(writer: Writer, logs: Path, disk: Disk, clock: Clock) -> None:
    """A file that does not say whose it is would be nobody's; it is begun anew."""
    disk.room = 50
    writer.write(BODY)
    assert list(logs.iterdir()) == []
    disk.room = None
    clock.pass_(1.1)
    writer.write(BODY)
    assert [2, 3] == seqs(logs)
    assert all_lines(logs)[0]["kind"] == "writer.opened"


def test_a_file_whose_header_cannot_be_made_is_not_left(
    writer: Writer, logs: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever fails; it is begun anew, and the line in between is counted."""

    def fail() -> dict[str, Any]:
        raise RuntimeError("odd machine")

    monkeypatch.setattr(program, "describe", fail)
    writer.write(BODY)
    assert list(logs.iterdir()) == []
    assert capsys.readouterr().err.count("odd machine") == 1
    monkeypatch.undo()
    writer.close()
    writer.write(BODY)
    assert [2, 3] == seqs(logs)
    assert "writer.opened" == all_lines(logs)[0]["kind"]
    assert of_kind(logs, "writer.opened")[0]["segment"] == 1


def test_a_full_disk_never_raises(logs: Path) -> None:
    """On a real file with a real limit of its size, the lines that fit are whole and the agent goes on."""
    program = """
import resource, signal, sys
from tracklog.processors import configure, execution
import structlog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
configure(sys.argv[1], console=False)
log = structlog.get_logger()
with execution("A"):
    for number in range(200):
        log.info("line", number=number)
print("went on")
"""
    done = run_program(program, logs)
    assert done.stdout == "went on\n"
    assert done.stderr.count("tracklog:") == 1
    assert "File too large" in done.stderr
    whole = [line for line in files(logs)[0].read_bytes().split(b"\n")[:-1] if line]
    assert len(whole) > 10
    assert [*range(1, len(whole) + 1)] == [orjson.loads(line)["seq"] for line in whole]


def test_durability_fsync_syncs_each_line(make: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line waits for the disk."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    writer = make(durability="fsync")
    writer.write(BODY)
    writer.write(BODY)
    assert len(synced) == 3


def test_threads_do_not_mix_their_lines(make: Callable[..., Writer], logs: Path) -> None:
    """All lines are whole and numbered without gaps; times do not go back, also while files change."""
    writer = make(max_bytes=20_000)
    bodies = [orjson.dumps({"event": name, "filler": "x" * size}) for name, size in (("a", 3), ("b", 300), ("c", 3000))]

    def write(body: bytes) -> None:
        for _ in range(200):
            writer.write(body)

    threads = [threading.Thread(target=write, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = all_lines(logs)
    assert [*range(1, len(lines) + 1)] == [line["seq"] for line in lines]
    assert sorted(events(logs)) == ["a"] * 200 + ["b"] * 200 + ["c"] * 200
    times = [line["timestamp"] for line in lines]
    assert times == sorted(times)


def test_a_signals_handler_may_log(make: Callable[..., Writer], logs: Path) -> None:
    """Wherever in a line or a rotation it comes, no line is lost, and the order of times is that of numbers."""
    writer = make(max_bytes=3000)
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        writer.write(b'{"event":"signal"}')

    old = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        written = 0
        end = time.monotonic() + 2
        while time.monotonic() < end:
            writer.write(BODY)
            written += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    writer.close()
    lines = sorted(all_lines(logs), key=lambda line: line["seq"])
    assert handled > 100
    assert events(logs).count("signal") == handled
    assert events(logs).count("e") == written
    assert [*range(1, len(lines) + 1)] == [line["seq"] for line in lines]
    times = [line["timestamp"] for line in lines]
    assert times == sorted(times)


def test_a_signals_handler_between_two_parts_of_a_line_costs_that_line_only(
    writer: Writer, logs: Path, disk: Disk
) -> None:
    """Its own line is whole; the one it came into is counted as lost."""
    writer.write(BODY)
    disk.piece, disk.after = 20, lambda: interrupt()

    def interrupt() -> None:
        disk.piece = None
        writer.write(b'{"event":"signal"}')

    writer.write(BODY)
    writer.write(b'{"event":"next"}')
    writer.close()
    good = [orjson.loads(line) for line in files(logs)[0].read_bytes().splitlines() if line.endswith(b"}")]
    assert ["e", "signal", "next"] == [line["event"] for line in good if "kind" not in line]
    assert good[-1]["lines_dropped"] == 1


def test_an_exception_of_a_signals_handler_leaves_a_writer_that_works(make: Callable[..., Writer], logs: Path) -> None:
    """Control-C in the midst of logging: what is logged while the program ends is there and whole."""

    class Interrupted(BaseException):
        pass

    def handle(*_: object) -> None:
        raise Interrupted

    writer = make(max_bytes=600)
    old = signal.signal(signal.SIGALRM, handle)
    caught = 0
    try:
        for number in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + number * 0.000001)
                for _ in range(10_000):
                    writer.write(BODY)
            except Interrupted:
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    for _ in range(3):
        writer.write(b'{"event":"last"}')
    writer.close()
    assert caught > 100
    raw = [line for file in files(logs) for line in file.read_bytes().splitlines() if line]
    good = [line for line in raw if line.endswith(b"}")]
    assert [orjson.loads(line)["event"] for line in good].count("last") == 3
    numbers = [orjson.loads(line)["seq"] for line in good]
    assert len(set(numbers)) == len(numbers)
    assert numbers[-1] - len(numbers) <= orjson.loads(good[-1])["lines_dropped"]


def fill(writer: Writer) -> None:
    """Write until the next line begins a new segment."""
    writer.write(BODY)
    while writer._size < writer._full:
        writer.write(BODY)


@pytest.mark.parametrize(
    ("before", "broken_off"),
    [
        pytest.param(lambda writer: None, lambda writer: writer.write(BODY), id="the first line"),
        pytest.param(lambda writer: writer.write(BODY), lambda writer: writer.write(BODY), id="a line"),
        pytest.param(fill, lambda writer: writer.write(BODY), id="rotation"),
        pytest.param(lambda writer: writer.write(BODY), lambda writer: writer.close(), id="the end"),
    ],
)
def test_wherever_a_signals_handler_breaks_off_what_comes_next_is_written(
    before: Callable[[Writer], None],
    broken_off: Callable[[Writer], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Python runs handlers as a function begins and as one of C's has returned: the exception comes at each in turn."""

    class Interrupted(BaseException):
        pass

    def raise_at(place: int) -> bool:
        """Break off at the `place`th of these; tells whether there are so many."""
        logs = tmp_path / str(place)
        writer = Writer(logs, Settings("test", max_bytes=600))
        before(writer)
        left = place

        def handle(frame: FrameType, what: str, _: object) -> None:
            nonlocal left
            if what in ("call", "c_return") and frame.f_code.co_filename.startswith(os.path.dirname(program.__file__)):
                left -= 1
                if left == 0:
                    raise Interrupted

        sys.setprofile(handle)
        try:
            with contextlib.suppress(Interrupted):
                broken_off(writer)
        finally:
            sys.setprofile(None)
        for _ in range(3):
            writer.write(b'{"event":"last"}')
        writer.close()
        good = [orjson.loads(line) for file in files(logs) for line in file.read_bytes().splitlines() if line]
        assert [line["event"] for line in good].count("last") == 3, place
        numbers = [line["seq"] for line in good]
        assert len(set(numbers)) == len(numbers), place
        assert numbers[-1] - len(numbers) <= good[-1]["lines_dropped"], place
        return left <= 0

    places = 0
    while raise_at(places + 1):
        places += 1
    assert places > 5
    assert capsys.readouterr().err == ""


def test_a_line_that_was_broken_off_before_it_was_written_is_counted(
    writer: Writer, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its number, and so the count says that it is missing."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    writer.write(BODY)
    monkeypatch.setattr(writer, "_emit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.write(BODY)
    monkeypatch.undo()
    writer.close()
    assert [1, 2, 4] == seqs(logs)
    assert (2, 1) == (all_lines(logs)[-1]["lines_written"], all_lines(logs)[-1]["lines_dropped"])


def test_a_stream_takes_the_same_lines() -> None:
    """With a header that says that it is no file, and an end."""
    stream = io.StringIO()
    writer = Writer(stream, Settings("test"))
    writer.write(BODY)
    writer.close("exit")
    first, line, last = map(orjson.loads, stream.getvalue().splitlines())
    assert {"kind": "writer.opened", "device": None, "inode": None, "locked": False}.items() <= first.items()
    assert ("e", 2) == (line["event"], line["seq"])
    assert (last["kind"], last["reason"]) == ("writer.closed", "exit")


def test_a_closed_stream_costs_its_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is raised, and it is said once."""
    writer = Writer(closed_stream(), Settings("test"))
    writer.write(BODY)
    writer.write(BODY)
    assert capsys.readouterr().err.count("tracklog:") == 1
    assert (3, 0) == (writer._seq, writer._written_lines)


def test_a_pipe_that_nobody_reads_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each line, nor when a part of one is taken; once a line is taken whole, the next may wait again."""
    waits: list[int] = []

    class Poll:
        def __init__(self) -> None:
            self._poll = poll()
            self.register = self._poll.register

        def poll(self, milliseconds: int) -> Any:
            waits.append(milliseconds)
            return self._poll.poll(0)

    poll = select.poll
    monkeypatch.setattr(select, "poll", Poll)
    body = orjson.dumps({"event": "x" * 9000})
    reader, descriptor = os.pipe()
    os.set_blocking(descriptor, False)
    with os.fdopen(descriptor, "wb", buffering=0) as stream:
        writer = Writer(stream, Settings("test"))
        for _ in range(50):
            writer.write(body)
        assert [1000, *[0] * (len(waits) - 1)] == waits
        assert len(waits) > 40
        waits.clear()
        data = os.read(reader, 5000)
        writer.write(body)
        writer.write(body)
        assert {0} == set(waits)
        waits.clear()
        data += os.read(reader, 1 << 20)
        for _ in range(20):
            writer.write(body)
        assert [1000, *[0] * (len(waits) - 1)] == waits
        data += os.read(reader, 1 << 20)
        writer.close()
    data += os.read(reader, 1 << 20)
    os.close(reader)
    good = [orjson.loads(line) for line in data.splitlines() if line.startswith(b"{") and line.endswith(b"}")]
    assert ("writer.closed", True) == (good[-1]["kind"], good[-1]["lines_dropped"] > 50)
    assert good[-1]["seq"] == good[-1]["lines_written"] + good[-1]["lines_dropped"] + 1
    assert len({line["seq"] for line in good}) == len(good) == good[-1]["lines_written"] + 1


def test_a_file_that_is_never_too_old(logs: Path) -> None:
    """An age without an end is one; a number that is none is not."""
    log = ExecutionLog(logs, max_age=float("inf"), max_bytes=1 << 80)
    log.write({"event": "one"})
    assert ["writer opened", "one"] == [entry["event"] for entry in all_lines(logs)]
    for wrong in ({"max_age": float("nan")}, {"max_bytes": float("nan")}, {"max_age": 0}):
        with pytest.raises(ValueError, match="more than nothing"):
            ExecutionLog(logs, **wrong)
