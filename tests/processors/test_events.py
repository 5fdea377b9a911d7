"""Events of an agent: recorded exactly once, whatever the program's loggers let through."""

import gc
import io
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict

from processors.written import events, line, lines
from tracklog.processors import BaseAgent, ExecutionLog, configure, execution
from tracklog.processors.events import log_event


def loggers(logs: Path) -> dict[str, Any]:
    """Give ways in which a program may have set its loggers up."""
    native = structlog.make_filtering_bound_logger
    silent = structlog.testing.ReturnLoggerFactory()
    stdlib: dict[str, Any] = {
        "wrapper_class": structlog.stdlib.BoundLogger,
        "logger_factory": structlog.stdlib.LoggerFactory(),
    }
    log = ExecutionLog(logs)
    merge, level = structlog.contextvars.merge_contextvars, structlog.processors.add_log_level

    def fail(*_: object) -> EventDict:
        raise RuntimeError("somebody's processor")

    def drop(*_: object) -> EventDict:
        raise structlog.DropEvent

    return {
        "open": {"processors": [merge, level, log], "logger_factory": silent},
        "closed": {"processors": [log], "wrapper_class": native(logging.CRITICAL), "logger_factory": silent},
        "without a log": {"processors": [merge], "logger_factory": silent},
        "drops before": {"processors": [drop, log], "logger_factory": silent},
        "drops behind": {"processors": [log, drop], "logger_factory": silent},
        "fails before": {"processors": [fail, log], "logger_factory": silent},
        "fails behind": {"processors": [log, fail], "logger_factory": silent},
        "another log": {"processors": [ExecutionLog(logs)], "logger_factory": silent},
        "stdlib": {"processors": [level, log, structlog.processors.JSONRenderer()], **stdlib},
        "stdlib closed": {"processors": [structlog.stdlib.filter_by_level, log, structlog.processors.JSONRenderer()]}
        | stdlib,
        "async": {
            "processors": [level, log],
            "wrapper_class": structlog.stdlib.AsyncBoundLogger,
            "logger_factory": silent,
        },
    }


@pytest.mark.parametrize(
    "name",
    [
        "open",
        "closed",
        "without a log",
        "drops before",
        "drops behind",
        "fails before",
        "fails behind",
        "another log",
        "stdlib",
        "stdlib closed",
        "async",
    ],
)
def test_an_event_is_recorded_exactly_once(logs: Path, name: str) -> None:
    """Below the level, dropped, or failing: on its execution, with its data."""
    handler = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(handler)
    structlog.configure(**loggers(logs)[name])
    with execution("A") as run:
        log_event("A", "event", "debug", {"count": 1})
    gc.collect()  # An async logger's coroutine that nobody waits for would warn here.
    (entry,) = (entry for entry in lines(logs) if "kind" not in entry)
    expected = {"event": "event", "level": "debug", "count": 1, "execution_id": run.execution_id, "agent_name": "A"}
    assert expected.items() <= entry.items()


def test_every_logger_of_the_program_sees_an_event(logs: Path) -> None:
    """It is an ordinary event to them."""
    ExecutionLog(logs)
    with structlog.testing.capture_logs() as captured, execution("A") as run:
        log_event("A", "event", "warning", {"count": 1})
    expected = {"event": "event", "count": 1, "log_level": "warning", "execution_id": run.execution_id}
    assert [expected | {"agent_name": "A"}] == captured


def test_an_event_without_a_log_or_an_execution_raises_nothing(logs: Path) -> None:
    """It goes where the program's loggers put it."""
    with structlog.testing.capture_logs() as captured:
        log_event("A", "event", "info", {})
    assert [{"event": "event", "agent_name": "A", "log_level": "info"}] == captured
    ExecutionLog(logs)
    log_event("A", "event", "info", {})
    assert "execution_id" not in line(logs)


def test_data_under_the_events_own_names_are_kept(logs: Path) -> None:
    """Beside it."""
    configure(logs, console=False)
    log_event("A", "event", "info", {"event": "other", "level": 5, "agent_name": "B", "exc_info": None})
    assert ("event", "other", "info", 5, "A") == tuple(
        line(logs)[key] for key in ("event", "event_", "level", "level_", "agent_name")
    )


class Fails:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("level", [Fails(), 55, object(), b"info", [], True], ids=lambda level: type(level).__name__)
def test_no_level_raises(logs: Path, level: Any) -> None:
    """An odd one costs the event at most."""
    configure(logs, console=False)
    log_event("A", "odd", level, {})
    log_event("A", "after", "info", {})
    assert events(logs)[-1] == "after"


def test_an_exception_is_written_with_its_event(logs: Path) -> None:
    """At the level `exception`, or where it is passed."""
    configure(logs, console=False)
    try:
        raise ValueError("bad")
    except ValueError as error:
        log_event("A", "one", "exception", {})
        log_event("A", "two", "error", {"exc_info": error})
    assert all(entry["exception"].endswith("ValueError: bad") for entry in lines(logs))
    assert ["error", "error"] == [entry["level"] for entry in lines(logs)]


def test_an_agents_event_belongs_to_what_is_current(logs: Path) -> None:
    """Not to the tracker that was made last."""
    configure(logs, console=False)
    agent = BaseAgent()
    tracker = agent.create_tracker()
    agent.create_tracker()
    with tracker.track_execution():
        agent.log_event("event")
    assert [tracker.execution_id] == [entry["execution_id"] for entry in lines(logs) if "kind" not in entry]
