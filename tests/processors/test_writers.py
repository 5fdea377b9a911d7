"""The writers of a process: one for each place, whatever becomes of the process."""

import fcntl
import io
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from processors.written import Line, all_lines, events, files, of_kind, run_program, start_program, wait_for
from tracklog.processors import ExecutionLog, writers
from tracklog.processors.writer import Settings

HEAD = """
import os, signal, sys, threading
import structlog
from tracklog.processors import *
configure(sys.argv[1], console=False)
log = structlog.get_logger()
"""


def run(body: str, logs: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that logs; it must end well and say nothing."""
    done = run_program(HEAD + body, logs, **environment)
    assert (done.stderr, done.returncode) == ("", 0), done
    return done


def by_file(logs: Path) -> list[list[Line]]:
    """Give the lines of each file, each of which begins with its header."""
    found = [[orjson.loads(line) for line in file.read_bytes().splitlines() if line] for file in sorted(logs.iterdir())]
    assert {"writer.opened"} == {lines[0]["kind"] for lines in found}
    for lines in found:
        assert len({line["writer"] for line in lines}) == 1
    return found


def reasons(logs: Path) -> list[Any]:
    """Give how each file ends."""
    return sorted(str(lines[-1].get("reason")) for lines in by_file(logs))


def assert_complete(logs: Path) -> None:
    """No line of any writer is missing, or there twice."""
    numbers: dict[str, list[int]] = {}
    for line in all_lines(logs):
        numbers.setdefault(line["writer"], []).append(line["seq"])
    for seqs in numbers.values():
        assert [*range(1, len(seqs) + 1)] == sorted(seqs)


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


# One for each place


def test_one_directory_has_one_writer(logs: Path, tmp_path: Path) -> None:
    """However it is named; another has another."""
    settings = Settings("test")
    (tmp_path / "link").symlink_to(logs)
    logs.mkdir()
    writer = writers.writer_for(logs, settings)
    assert writer is writers.writer_for(str(logs), Settings("other"))
    assert writer is writers.writer_for(f"{logs}/../logs/", settings)
    assert writer is writers.writer_for(tmp_path / "link", settings)
    assert writer is not writers.writer_for(tmp_path / "other", settings)


def test_a_directory_is_where_it_was_named(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that changes its directory goes on in the same place."""
    monkeypatch.chdir(tmp_path)
    log = ExecutionLog("logs")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log(None, "info", {"event": "hello"})
    assert events(logs) == ["hello"]


def test_one_stream_has_one_writer() -> None:
    """Two logs to stdout number their lines together."""
    stream = io.StringIO()
    for name in ("one", "two"):
        ExecutionLog(stream=stream)(None, "info", {"event": name})
    assert [1, 2, 3] == [orjson.loads(line)["seq"] for line in stream.getvalue().splitlines()]


# The end of a process


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('bad')", 1),
        ("threading.Thread(target=log.info, args=('thread',)).start()", 0),
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", 0),
    ],
)
def test_a_process_that_ends_closes_its_file(logs: Path, end: str, code: int) -> None:
    """The last line says so, and the executions that were open have ended with it."""
    done = run_program(f"{HEAD}\nwith execution('A'):\n    {end}", logs)
    assert code == done.returncode
    assert reasons(logs) == ["exit"]
    assert_complete(logs)
    (finished,) = of_kind(logs, "execution.finished")
    assert ("failed" if code else "success") == finished["status"]


def test_a_process_that_is_killed_leaves_whole_lines_and_no_lock(logs: Path) -> None:
    """In the midst of a call; the kernel lets go. What Linux leaves of the last line ends where a page does."""
    program = """
with execution("A") as run, run.llm_call("m", {"q": "x" * 5000}):
    print("ready", flush=True)
    while True:
        log.info("line", filler="x" * 3000)
"""
    process = start_program(HEAD + program, logs)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    wait_for(lambda: files(logs)[0].stat().st_size > 100_000)
    assert is_locked(files(logs)[0])
    process.kill()
    process.communicate()
    assert not is_locked(files(logs)[0])
    data = files(logs)[0].read_bytes()
    whole = data[: data.rindex(b"\n") + 1]
    assert len(data) == len(whole) or len(data) % mmap.PAGESIZE == 0
    assert [*range(1, whole.count(b"\n") + 1)] == [orjson.loads(line)["seq"] for line in whole.splitlines()]
    assert b"execution.finished" not in data


def test_a_process_that_leaves_at_once_has_its_lines(logs: Path) -> None:
    """`os._exit` runs nothing any more: there is no last line, and all that was logged."""
    run("log.info('hello'); os._exit(0)", logs)
    assert events(logs) == ["hello"]
    assert reasons(logs) == ["None"]


LATE = {
    "atexit before": (
        "import atexit; atexit.register(log.info, 'late')",
        ["hello", "late"],
    ),
    "thread at shutdown": (
        "main = threading.main_thread()\n"
        "def late():\n    main.join()\n    log.info('late')\n"
        "threading.Thread(target=late).start()",
        ["hello", "late"],
    ),
    "del at teardown": (
        "class Late:\n"
        "    def __init__(self): self.log = log.bind()\n"
        "    def __del__(self): self.log.info('late')\n"
        "keep = Late()",
        ["hello", "late"],
    ),
    "cycle at teardown": (
        "class Late:\n"
        "    def __init__(self): self.log = log.bind(); self.itself = self\n"
        "    def __del__(self): self.log.info('late')\n"
        "sys.keep = Late()",
        None,
    ),
    "del with an execution": (
        "class Late:\n"
        "    def __init__(self): self.recipe = execution('Late'); self.recipe.__enter__()\n"
        "    def __del__(self): self.recipe.__exit__(None, None, None)\n"
        "keep = Late()",
        ["hello"],
    ),
    "a generator at teardown": (
        "@execution('Late')\ndef late():\n    try:\n        yield 1\n    finally:\n        log.info('late')\n"
        "keep = late()\nnext(keep)",
        ["hello", "late"],
    ),
}


@pytest.mark.parametrize(("end", "expected"), LATE.values(), ids=LATE)
@pytest.mark.parametrize("before", [True, False], ids=["used", "unused"])
def test_what_is_logged_at_the_very_end_is_written(
    logs: Path, end: str, expected: list[str] | None, before: bool
) -> None:
    """Where Python still can; each file has its header, and nothing is said on stderr."""
    run(f"log.info('hello')\n{end}" if before else end, logs)
    if not logs.exists():
        assert expected is None
        return
    by_file(logs)
    assert_complete(logs)
    if expected is not None:
        assert [event for event in expected if before or event != "hello"] == events(logs)


def test_a_daemon_thread_may_log_to_the_very_end(logs: Path) -> None:
    """Python stops it somewhere: the process ends, says nothing, and no line is torn or without a header before it."""
    run(
        """
begun = threading.Event()
def work():
    while True:
        log.info("line", filler="x" * 1000)
        begun.set()
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
""",
        logs,
    )
    found = [path.read_bytes() for path in logs.iterdir()]
    for data in filter(None, found):  # Stopped between making the file and its header, it leaves an empty one.
        assert data.endswith(b"\n")
        assert orjson.loads(data.splitlines()[0])["kind"] == "writer.opened"
    assert_complete(logs)


def test_a_handler_of_sigterm_may_log_and_end(logs: Path) -> None:
    """As services do; the file is closed."""
    program = """
def stop(*_):
    log.info("stopping")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with execution("A"):
    print("ready", flush=True)
    while True:
        log.info("line")
"""
    process = start_program(HEAD + program, logs)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert (stderr, process.returncode) == ("", 0)
    assert events(logs).count("stopping") == 1
    assert reasons(logs) == ["exit"]
    assert ["success"] == [entry["status"] for entry in of_kind(logs, "execution.finished")]
    last = all_lines(logs)[-1]
    # The line that the handler came into may be lost; it is counted, also where it was written just before.
    assert last["seq"] - len(all_lines(logs)) <= last["lines_dropped"] <= 1


def test_an_unhandled_sigterm_ends_as_a_kill_does(logs: Path) -> None:
    """Nothing is written of it, and the lock is free."""
    process = start_program(HEAD + "log.info('hello'); print(flush=True); signal.pause()", logs)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert events(logs) == ["hello"]
    assert not is_locked(files(logs)[0])


# Forks


def test_a_child_has_a_file_of_its_own(logs: Path) -> None:
    """From its first line on; the parent's goes on without a gap."""
    run(
        """
log.info("before")
if os.fork() == 0:
    log.info("child")
    sys.exit()
os.wait()
log.info("after")
""",
        logs,
    )
    found = sorted([line["event"] for line in lines[1:-1]] for lines in by_file(logs))
    assert [["before", "after"], ["child"]] == found
    assert reasons(logs) == ["exit", "exit"]
    assert_complete(logs)
    headers = of_kind(logs, "writer.opened")
    assert len({header["pid"] for header in headers}) == 2


def test_a_fork_before_the_first_line_is_nothing_special(logs: Path) -> None:
    """And a child that does not log has no file."""
    run("if os.fork() == 0:\n    sys.exit()\nos.wait()\nlog.info('parent')", logs)
    assert events(logs) == ["parent"]
    assert len(by_file(logs)) == 1


def test_a_run_that_was_inherited_is_not_ended_by_the_child(logs: Path) -> None:
    """It is the parent's; what the child logs inside is on it, what it begins is below it."""
    run(
        """
with execution("A") as a, a.llm_call("m", {}):
    if os.fork() == 0:
        log.info("child")
        a.stage("never")
        a.set_output("never")
        with execution("B"):
            pass
        sys.exit()
    os.wait()
""",
        logs,
    )
    assert 2 == len(of_kind(logs, "execution.started")) == len(of_kind(logs, "execution.finished"))
    a, b = sorted(of_kind(logs, "execution.started"), key=lambda line: str(line["agent_name"]))
    assert a["execution_id"] == b["parent_execution_id"]
    assert a["writer"] != b["writer"]
    assert a["execution_id"] == next(line for line in all_lines(logs) if line["event"] == "child")["execution_id"]
    ends = {line["agent_name"]: line["writer"] for line in of_kind(logs, "execution.finished")}
    assert {"A": a["writer"], "B": b["writer"]} == ends
    assert 1 == len(of_kind(logs, "llm.request")) == len(of_kind(logs, "llm.response"))
    assert of_kind(logs, "stage.started") == of_kind(logs, "output") == []
    assert_complete(logs)


def test_a_fork_after_an_execution(logs: Path) -> None:
    """The child begins without one."""
    run(
        """
with execution("A"):
    pass
if os.fork() == 0:
    log.info("child")
    sys.exit()
os.wait()
""",
        logs,
    )
    (child,) = (line for line in all_lines(logs) if line["event"] == "child")
    assert "execution_id" not in child
    assert_complete(logs)


def test_a_child_does_not_keep_its_parents_lock(logs: Path) -> None:
    """A parent that dies is seen to be dead, though its child lives on."""
    program = """
log.info("hello")
if os.fork() == 0:
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
os.wait()
"""
    process = start_program(HEAD + program, logs)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    assert is_locked(files(logs)[0])
    process.kill()
    process.wait()
    assert not is_locked(files(logs)[0])
    process.stdin.close()
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


def test_forks_under_threads_that_log(logs: Path) -> None:
    """Eight threads log while twenty children are made: none hangs, no line is lost or torn."""
    run(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
stop = threading.Event()
def work(number):
    count = 0
    while not stop.is_set() or count < 100:
        log.info("thread", number=number, count=(count := count + 1), filler="x" * 500)
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for number in range(20):
    if os.fork() == 0:
        with execution("Child"):
            log.info("child", number=number)
        sys.stdout.flush()
        import tracklog.processors.writers as writers
        writers._close_all()
        os._exit(0)
for _ in range(20):
    assert os.wait()[1] == 0
stop.set()
for thread in threads:
    thread.join()
""",
        logs,
    )
    assert [*range(20)] == sorted(line["number"] for line in all_lines(logs) if line["event"] == "child")
    counts: dict[int, list[int]] = {}
    for line in all_lines(logs):
        if line["event"] == "thread":
            counts.setdefault(line["number"], []).append(line["count"])
    assert len(counts) == 8
    for numbers in counts.values():
        assert [*range(1, len(numbers) + 1)] == numbers
    assert len(by_file(logs)) == 21
    assert_complete(logs)


def test_a_child_of_a_child(logs: Path) -> None:
    """Each generation has its own."""
    run(
        """
log.info("one")
if os.fork() == 0:
    log.info("two")
    if os.fork() == 0:
        log.info("three")
        sys.exit()
    os.wait()
    sys.exit()
os.wait()
""",
        logs,
    )
    assert [["one"], ["three"], ["two"]] == sorted([line["event"] for line in lines[1:-1]] for lines in by_file(logs))
    assert reasons(logs) == ["exit"] * 3


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_close_their_files(logs: Path, tmp_path: Path, method: str) -> None:
    """Though they end without running what atexit knows; a pool's too."""
    script = tmp_path / "program.py"
    script.write_text(
        f"""
import multiprocessing, sys
import structlog
from tracklog.processors import *

def work(number):
    configure(sys.argv[1], console=False)
    with execution("Child", input_data=number):
        structlog.get_logger().info("inside")
    return number

if __name__ == "__main__":
    configure(sys.argv[1], console=False)
    structlog.get_logger().info("parent")
    context = multiprocessing.get_context("{method}")
    process = context.Process(target=work, args=(0,))
    process.start()
    process.join()
    with context.Pool(2) as pool:
        assert pool.map(work, range(1, 5)) == [1, 2, 3, 4]
        pool.close()
        pool.join()
"""
    )
    done = subprocess.run(
        [sys.executable, script, logs], capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert [*range(5)] == sorted(line["input_data"] for line in of_kind(logs, "execution.started"))
    assert {"exit"} == set(reasons(logs))
    assert 3 <= len(by_file(logs)) <= 4
    assert_complete(logs)


def test_a_program_that_is_started_holds_no_lock(logs: Path) -> None:
    """`subprocess` and `exec` take no descriptor along."""
    process = start_program(
        HEAD
        + """
log.info("hello")
os.set_inheritable(0, True)
os.execv(sys.executable, [sys.executable, "-c", "print('other', flush=True); input()"])
""",
        logs,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "other\n"
    assert not is_locked(files(logs)[0])
    process.communicate("\n", timeout=60)


def test_a_stream_is_shared_with_children(logs: Path) -> None:
    """A container's stdout takes the lines of all its processes, each with its own writer."""
    done = run_program(
        """
import os, sys
import structlog
from tracklog.processors import configure
configure(stream=sys.stdout, console=False)
log = structlog.get_logger()
log.info("before")
if os.fork() == 0:
    log.info("child")
    sys.exit()
os.wait()
log.info("after")
"""
    )
    assert (done.stderr, done.returncode) == ("", 0)
    found: dict[str, list[Line]] = {}
    for line in map(orjson.loads, done.stdout.splitlines()):
        found.setdefault(line["writer"], []).append(line)
    assert [["before", "after"], ["child"]] == [[line["event"] for line in lines[1:-1]] for lines in found.values()]
    for lines in found.values():
        assert [*range(1, len(lines) + 1)] == [line["seq"] for line in lines]
        assert ("writer.opened", "exit") == (lines[0]["kind"], lines[-1]["reason"])


def test_an_interpreter_within_the_process_has_a_writer_of_its_own(logs: Path) -> None:
    """Where there are some, and orjson can be loaded in them."""
    program = """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    try:
        import _interpreters as interpreters
    except ImportError:
        print("none")
        sys.exit()
log.info("main")
code = f'''
import structlog
from tracklog.processors import configure, execution
configure({sys.argv[1]!r}, console=False)
with execution("Sub"):
    structlog.get_logger().info("sub")
'''
one = interpreters.create()
try:
    failed = interpreters.run_string(one, code)
except Exception as error:
    failed = error
if failed:
    print("none", failed)
    sys.exit()
interpreters.destroy(one)
log.info("main again")
"""
    done = run_program(HEAD + program, logs)
    if done.stdout.startswith("none"):
        pytest.skip(done.stdout)
    assert (done.stderr, done.returncode) == ("", 0)
    assert [["main", "main again"], ["execution started", "sub", "execution finished"]] == sorted(
        (
            [line["event"] for line in lines if not str(line.get("kind")).startswith("writer")]
            for lines in by_file(logs)
        ),
        key=len,
    )
    assert_complete(logs)
