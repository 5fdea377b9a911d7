"""Setting structlog up."""

import io
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from processors.written import events, files, kinds, line, lines, of_kind
from tracklog.processors import ExecutionLog, configure, execution, processor


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr one; in the test itself, as pytest puts its own there before."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_what_is_logged_is_written(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To files, and nowhere else; the log is given back."""
    log = configure(logs, service="my service")
    assert isinstance(log, ExecutionLog)
    structlog.contextvars.bind_contextvars(request="r1")
    structlog.get_logger().info("hello", count=3, stack_info=True)
    assert {"event": "hello", "level": "info", "count": 3, "request": "r1"}.items() <= line(logs).items()
    assert "test_configuration.py" in line(logs)["stack"]
    assert files(logs)[0].name.startswith("my-service.")
    assert ("", "") == tuple(capsys.readouterr())


@pytest.mark.parametrize("console", [True, False])
def test_a_logger_of_a_module_has_its_name(logs: Path, monkeypatch: pytest.MonkeyPatch, console: bool) -> None:
    """As the documentation of structlog makes them; other arguments are allowed as well."""
    terminal(monkeypatch)
    configure(logs, console=console)
    structlog.get_logger("some.module", a=1).info("hello")
    structlog.get_logger(5, "odd").info("hello")
    structlog.stdlib.get_logger("another").bind(b=2).info("hello")
    assert ["some.module", None, "another"] == [entry.get("logger") for entry in lines(logs)]
    assert (1, 2) == (lines(logs)[0]["a"], lines(logs)[2]["b"])


@pytest.mark.parametrize("level", ["warning", "WARNING", logging.WARNING])
def test_events_below_the_level_are_left_out(logs: Path, level: Any) -> None:
    """Lifecycle is not."""
    configure(logs, level=level)
    log = structlog.get_logger()
    with execution("A"):
        log.info("hidden")
        log.warning("shown")
        log.error("shown too")
    assert ["shown", "shown too"] == events(logs)
    assert ["execution.started", None, None, "execution.finished"] == kinds(logs)


@pytest.mark.parametrize("level", ["loud", "", "5", 15, 60, -1, 5.5, None])
def test_an_unknown_level_is_said(logs: Path, level: Any) -> None:
    """With those there are; and nothing is set up."""
    with pytest.raises(ValueError, match="is no level; write debug, info"):
        configure(logs, level=level)
    assert processor._default is None


def test_a_terminal_shows_events_and_short_lines_of_the_lifecycle(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, without payloads and secrets."""
    stderr = terminal(monkeypatch)
    configure(logs)
    with execution("Critic", method="review", input_data="payload") as run:
        structlog.get_logger().info("hello", count=3)
        run.skip("because of password=hunter2 " + "x" * 200, 0.25)
        with run.llm_call("gpt-5.1", {"q": "payload"}) as call:
            call.set_response({"a": "payload"}, tokens_used=7)
        run.set_output("payload")
    shown = stderr.getvalue().splitlines()
    assert len(shown) == 6
    for text, part in zip(
        shown,
        ("Critic.review execution started", "hello", "0.25", "gpt-5.1", "tokens_used", "skipped"),
        strict=True,
    ):
        assert part in text
    assert "payload" not in stderr.getvalue()
    assert "hunter2" not in stderr.getvalue()
    assert all(len(text) < 400 for text in shown)


@pytest.mark.parametrize(
    ("console", "terminal", "shown"), [(None, True, 2), (None, False, 0), (True, False, 2), (False, True, 0)]
)
def test_a_console_is_where_it_is_wanted(
    logs: Path, monkeypatch: pytest.MonkeyPatch, console: bool | None, terminal: bool, shown: int
) -> None:
    """By default on a terminal; colours only there."""
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure(logs, console=console, level="info")
    with execution("A"):
        structlog.get_logger().debug("hidden")
    assert shown == len(stream.getvalue().splitlines())
    if shown:
        assert ("\x1b[" in stream.getvalue()) == terminal


@pytest.mark.parametrize("level", ["warning", "error"])
def test_the_consoles_level_holds_for_lifecycle_too(logs: Path, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """The file has all; people see what they asked for."""
    stderr = terminal(monkeypatch)
    configure(logs, level=level)
    with pytest.raises(ValueError, match="bad"), execution("A"):
        raise ValueError("bad")
    assert ["execution.started", "execution.finished"] == kinds(logs)
    (shown,) = stderr.getvalue().splitlines()
    assert "ValueError" in shown


@pytest.mark.parametrize("gone", ["closed", "none", "later"])
def test_a_console_that_is_gone_costs_nothing(logs: Path, monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    """A daemon has closed its stderr, and logs on."""
    stream = Terminal()
    if gone == "later":
        monkeypatch.setattr(sys, "stderr", stream)
    else:
        monkeypatch.setattr(sys, "stderr", None if gone == "none" else stream)
    configure(logs)
    stream.close()
    with execution("A"):
        structlog.get_logger().info("hello")
    assert events(logs) == ["hello"]


def test_a_stream_takes_the_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path, logs: Path) -> None:
    """In a container; there is no directory then."""
    stream = io.StringIO()
    configure(logs, stream=stream)
    with execution("A"):
        structlog.get_logger().info("hello")
    found = [orjson.loads(text) for text in stream.getvalue().splitlines()]
    assert ["writer opened", "execution started", "hello", "execution finished"] == [entry["event"] for entry in found]
    assert [1, 2, 3, 4] == [entry["seq"] for entry in found]
    assert not logs.exists()


def test_setting_up_again_goes_on_elsewhere(logs: Path, tmp_path: Path) -> None:
    """And twice in the same place goes on in the same file."""
    configure(logs)
    structlog.get_logger().info("one")
    configure(logs)
    structlog.get_logger().info("two")
    configure(tmp_path / "other")
    with execution("A"):
        structlog.get_logger().info("three")
    assert ["one", "two"] == events(logs)
    assert len(files(logs)) == 1
    assert ["three"] == events(tmp_path / "other")
    assert len(lines(tmp_path / "other")) == 3


def test_options_reach_the_writer(logs: Path) -> None:
    """Size, words and durability."""
    configure(logs, max_bytes=2000, redact=["ssn"], durability="fsync")
    for number in range(30):
        structlog.get_logger().info("hello", ssn="123-45", number=number)
    assert len(files(logs)) > 2
    assert {"[redacted]"} == {entry["ssn"] for entry in lines(logs)}
    assert len(of_kind(logs, "writer.closed")) == len(files(logs)) - 1


@pytest.mark.parametrize("console", [True, False])
def test_its_loggers_are_pickled(logs: Path, console: bool) -> None:
    """As arguments of a process's function."""
    configure(logs, console=console)
    log = structlog.get_logger().bind(a=1)
    pickle.loads(pickle.dumps(log)).info("hello")
    assert (1, "hello") == (line(logs)["a"], line(logs)["event"])


@pytest.mark.parametrize("method", ["debug", "info", "warning", "warn", "error", "critical", "fatal", "exception"])
def test_every_method_of_a_logger_works(logs: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Also those that only some loggers have."""
    stderr = terminal(monkeypatch)
    for console in (True, False):
        configure(logs, console=console, level="debug")
        getattr(structlog.get_logger(), method)("hello")
    assert ["hello", "hello"] == events(logs)
    assert stderr.getvalue().count("hello") == 1


def test_setting_up_again_holds_for_loggers_that_have_logged(logs: Path, tmp_path: Path) -> None:
    """Those of a module, which were there before: where, from which level on, without which words, and where shown."""
    log, other = structlog.get_logger("a"), tmp_path / "other"
    configure(logs, console=False)
    log.info("one")
    bound = log.bind(kept=1)
    bound.info("two")
    configure(other, console=False, level="debug", redact=["ssn"])
    log.debug("three", ssn="123-45")
    bound.debug("four", ssn="123-45")
    configure(other, console=False, level="error", redact=["ssn"])
    log.info("five")
    bound.info("six")
    assert ["one", "two"] == events(logs)
    assert [("three", "[redacted]"), ("four", "[redacted]")] == [(line["event"], line["ssn"]) for line in lines(other)]


def test_a_console_that_comes_later(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger that has logged without one shows what it logs; and no more when that is gone."""
    stderr, log = terminal(monkeypatch), structlog.get_logger()
    for number, console in enumerate((False, True, False)):
        configure(logs, console=console)
        log.info(f"event {number}")
    assert "event 1" in stderr.getvalue()
    assert 1 == len(stderr.getvalue().splitlines())


def test_tests_capture_what_is_logged(logs: Path) -> None:
    """By structlog's own means, also after setting up twice, and from a logger that has logged."""
    log = structlog.get_logger()
    for _ in range(2):
        configure(logs, console=False)
        log.info("hello")
    with structlog.testing.capture_logs() as captured:
        log.info("captured", a=1)
    log.info("goodbye")
    assert [{"event": "captured", "a": 1, "log_level": "info"}] == captured
    assert ["hello", "hello", "goodbye"] == events(logs)


def test_the_same_place_with_other_settings(logs: Path) -> None:
    """They hold from then on, in a new file; whoever asks for the same goes on in the old one."""
    log = structlog.get_logger()
    for service in ("one", "one", "two"):
        configure(logs, console=False, service=service)
        log.info("hello", of=service)
    one, two = files(logs)
    assert [2, 1] == [path.read_text().count('"of":') for path in (one, two)]
    assert ["one", "two"] == [path.name.partition(".")[0] for path in (one, two)]
    assert ["one", "two"] == [header["service"] for header in of_kind(logs, "writer.opened")]


def test_the_console_does_not_show_what_variables_hold(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As rich would, where it is installed."""
    stderr = terminal(monkeypatch)
    configure(logs)
    try:
        held = "hunter" + "2"
        raise ValueError("bad")
    except ValueError:
        structlog.get_logger().exception("it failed")
    assert "ValueError: bad" in stderr.getvalue()
    assert held not in stderr.getvalue()


@pytest.mark.parametrize("stream", [None, object()])
@pytest.mark.parametrize("console", [None, True])
def test_a_stderr_that_is_no_file(
    logs: Path, monkeypatch: pytest.MonkeyPatch, stream: object, console: bool | None
) -> None:
    """Programs put their own there, or none."""
    monkeypatch.setattr(sys, "stderr", stream)
    configure(logs, console=console)
    structlog.get_logger().info("hello")
    assert ["hello"] == events(logs)
