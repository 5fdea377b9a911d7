"""The processor, in the chains that structlog's documentation shows."""

import asyncio
import copy
import dataclasses
import io
import logging
import pickle
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import orjson
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.typing import EventDict, Processor

from processors.written import all_lines, events, files, kinds, line, lines, run_program
from tracklog.processors import BaseAgent, ExecutionLog, ExecutionTracker, execution, pending, processor, writers

RENDERERS: dict[str, Processor] = {
    "json": structlog.processors.JSONRenderer(),
    "console": structlog.dev.ConsoleRenderer(colors=False),
    "logfmt": structlog.processors.LogfmtRenderer(),
    "key-value": structlog.processors.KeyValueRenderer(),
}


def chain(*processors: Processor, **options: Any) -> None:
    """Set structlog up with a logger that prints nothing."""
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer()],
        logger_factory=structlog.testing.ReturnLoggerFactory(),
        **options,
    )


def handler_with(stream: io.StringIO, formatter: logging.Formatter | None = None) -> logging.Handler:
    """Add a handler to the root logger, which lets everything through."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    return handler


# Set-ups


def test_the_native_chain(logs: Path, tmp_path: Path) -> None:
    """What structlog calls as fast as it gets: the line is written, and the renderer gets the event as it was."""
    with (tmp_path / "out").open("wb") as out:
        structlog.configure(
            cache_logger_on_first_use=True,
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                ExecutionLog(logs),
                structlog.processors.format_exc_info,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(serializer=orjson.dumps),
            ],
            logger_factory=structlog.BytesLoggerFactory(out),
        )
        log = structlog.get_logger().bind(bound=1)
        with execution("Critic") as run:
            log.info("hello", count=3)
            log.debug("hidden")
            try:
                raise ValueError("bad")
            except ValueError:
                log.exception("failed")
    hello, failed = (entry for entry in lines(logs) if "kind" not in entry)
    own = {"execution_id": run.execution_id, "agent_name": "Critic", "bound": 1}
    assert own | {"event": "hello", "level": "info", "count": 3} == without_stamp(hello)
    assert "error" == failed["level"]
    assert failed["exception"].endswith("ValueError: bad")
    assert "exc_info" not in failed
    rendered = [orjson.loads(text) for text in (tmp_path / "out").read_bytes().splitlines()]
    assert [{"event": "hello", "level": "info", "count": 3}, {"event": "failed", "level": "error"}] == [
        {key: entry[key] for key in entry.keys() & {"event", "level", "count"}} for entry in rendered
    ]
    assert all("writer" not in entry for entry in rendered)


def without_stamp(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("timestamp", "writer", "seq")}


@pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS)
def test_the_chain_of_the_standard_library(logs: Path, renderer: Processor) -> None:
    """Rendered by structlog, printed by the standard library's handlers."""
    out = io.StringIO()
    handler_with(out)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            structlog.processors.CallsiteParameterAdder({structlog.processors.CallsiteParameter.LINENO}),
            ExecutionLog(logs),
            renderer,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.get_logger("some.module").warning("hello %s", "you", data=b"text")
    written = line(logs)
    expected = {"event": "hello you", "level": "warning", "logger": "some.module", "data": "text"}
    assert expected.items() <= written.items()
    assert isinstance(written["lineno"], int)
    assert out.getvalue().count("hello you") == 1


def test_a_chain_that_ends_in_log_keywords(logs: Path) -> None:
    """The standard library's formatters render."""
    out = io.StringIO()
    handler_with(out, logging.Formatter("%(message)s %(count)s"))
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, ExecutionLog(logs), structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    structlog.get_logger("a").info("hello", count=3)
    assert ("hello", 3, "a") == (line(logs)["event"], line(logs)["count"], line(logs)["logger"])
    assert out.getvalue() == "hello 3\n"


@pytest.fixture
def two_handlers(logs: Path) -> tuple[io.StringIO, io.StringIO]:
    """Set up one chain for structlog's events and others' records, with a console and a file."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(allow=["elapsed"]),
        ExecutionLog(logs),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    outs = io.StringIO(), io.StringIO()
    for out, renderer in zip(outs, ("console", "json"), strict=True):
        formatter = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, RENDERERS[renderer]],
        )
        handler_with(out, formatter)
    return outs


def test_an_event_that_passes_two_handlers_is_written_once(
    two_handlers: tuple[io.StringIO, io.StringIO], logs: Path
) -> None:
    """Each handler prints it; the file has it once."""
    with execution("A"):
        structlog.get_logger("mine").info("hello", count=3)
    assert events(logs) == ["hello"]
    assert [out.getvalue().count("hello") for out in two_handlers] == [1, 1]


def test_a_record_of_another_library_lands_on_the_current_execution(
    two_handlers: tuple[io.StringIO, io.StringIO], logs: Path
) -> None:
    """As httpx logs its requests: once, with its logger's name, and nothing of the machinery."""
    httpx = logging.getLogger("httpx")
    with execution("A") as run:
        httpx.info('HTTP Request: %s %s "%s"', "GET", "https://host/", "200 OK", extra={"elapsed": 3})
    httpx.warning("after")
    inside, after = (entry for entry in lines(logs) if "kind" not in entry)
    expected = {
        "event": 'HTTP Request: GET https://host/ "200 OK"',
        "level": "info",
        "logger": "httpx",
        "elapsed": 3,
        "execution_id": run.execution_id,
        "agent_name": "A",
    }
    assert expected == without_stamp(inside)
    assert {"event": "after", "level": "warning", "logger": "httpx"} == without_stamp(after)
    assert [out.getvalue().count("HTTP Request") for out in two_handlers] == [1, 1]


def test_two_equal_records_are_two(two_handlers: tuple[io.StringIO, io.StringIO], logs: Path) -> None:
    """What a library says twice stands there twice."""
    for _ in range(2):
        logging.getLogger("httpx").info("same")
    assert events(logs) == ["same", "same"]


def test_a_foreign_exception_is_written(two_handlers: tuple[io.StringIO, io.StringIO], logs: Path) -> None:
    """With its traceback as text."""
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("other").exception("failed")
    assert line(logs)["exception"].endswith("ValueError: bad")
    assert line(logs)["level"] == "error"


@pytest.mark.parametrize("options", [{}, {"pass_foreign_args": True}, {"use_get_message": False}], ids=str)
def test_a_foreign_records_arguments_are_in_its_event(logs: Path, options: dict[str, bool]) -> None:
    """Also where the formatter hands them on by themselves."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), ExecutionLog(logs)]
        if options.get("use_get_message") is False
        else [ExecutionLog(logs)],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, RENDERERS["json"]],
        pass_foreign_args=bool(options.get("pass_foreign_args")) or "use_get_message" in options,
        use_get_message=options.get("use_get_message", True),
    )
    handler_with(io.StringIO(), formatter)
    logging.getLogger("other").info("%s of %s", 1, 2)
    assert line(logs)["event"] == "1 of 2"


def test_arguments_are_put_in_where_the_formatter_stands_behind(logs: Path) -> None:
    """`PositionalArgumentsFormatter` behind the log still finds its arguments; the line has them in its event."""
    chain(
        ExecutionLog(logs), structlog.stdlib.PositionalArgumentsFormatter(), wrapper_class=structlog.stdlib.BoundLogger
    )
    log = structlog.get_logger()
    log.info("%s of %d", "one", 2)
    log.info("%(a)s", {"a": 1})
    log.info("100 %")
    with pytest.raises(ValueError, match="incomplete format"):
        log.info("100 %", 5)  # Of the formatter.
    assert ["one of 2", "1", "100 %", "100 %"] == events(logs)
    assert lines(logs)[3]["positional_args"] == [5]


def test_arguments_of_another_meaning_are_kept(logs: Path) -> None:
    """What somebody else calls `positional_args`, and has no length, costs no line."""
    log = ExecutionLog(logs)
    log(None, "info", {"event": "e", "positional_args": 5})
    assert [5] == [line["positional_args"] for line in lines(logs)]


def test_raw_exceptions_and_those_that_were_rendered(logs: Path) -> None:
    """The log may stand in front of what renders exceptions, or behind it."""
    log = ExecutionLog(logs)
    error = ValueError("bad")
    shapes: list[EventDict] = [
        {"exc_info": error},
        {"exc_info": (ValueError, error, None)},
        {"exception": "Traceback: bad"},
        {"exc_info": None},
        {"exc_info": True},  # Outside of an except block there is none.
        {"exc_info": (None, None, None)},
        {"exc_info": ()},
        {"exc_info": 5, "exception": ["odd", {"frames": "odd"}, {"frames": [1]}]},
    ]
    for shape in shapes:
        log(None, "error", {"event": "e", **shape})
    expected = ["ValueError: bad", "ValueError: bad", "Traceback: bad", *[None] * 4]
    assert expected == [entry.get("exception") for entry in lines(logs)][:-1]
    assert ["odd", {"frames": "odd"}, {"frames": [1]}] == lines(logs)[-1]["exception"]


CUSTOMER = "Jane Doe"


def fail_with_a_secret(customer: str) -> None:
    raise ValueError("bad") from KeyError("first")


@pytest.mark.parametrize("before", [True, False])
def test_tracebacks_that_were_made_dicts(logs: Path, before: bool) -> None:
    """`dict_tracebacks` puts the values of variables in; the line has none, and the renderer gets them still."""
    log, tracebacks = ExecutionLog(logs), structlog.processors.dict_tracebacks
    chain(*(tracebacks, log) if before else (log, tracebacks))
    out = structlog.testing.CapturingLogger()
    try:
        try:
            fail_with_a_secret(CUSTOMER)
        except ValueError as error:
            raise ExceptionGroup("many", [error, KeyError("second")]) from None
    except ExceptionGroup:
        structlog.wrap_logger(out).exception("failed")
    text = files(logs)[0].read_text()
    assert "many" in text
    assert "fail_with_a_secret" in text
    assert "Jane Doe" not in text
    assert isinstance(line(logs)["exception"], list if before else str)
    assert "Jane Doe" in out.calls[0].args[0]


def test_async_calls_land_on_the_execution(logs: Path) -> None:
    """`await log.ainfo()` runs the chain on another thread, in a copy of the context."""
    chain(structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, ExecutionLog(logs))

    async def work(number: int) -> str:
        async with execution("A") as run:
            await structlog.get_logger().ainfo("hello", number=number)
            try:
                raise ValueError("bad")
            except ValueError:
                await structlog.get_logger().aexception("failed")
            return run.execution_id

    async def main() -> list[str]:
        return await asyncio.gather(*map(work, range(5)))

    ids = asyncio.run(main())
    assert ids == [
        entry["execution_id"]
        for entry in sorted(lines(logs), key=lambda entry: str(entry.get("number")))
        if entry["event"] == "hello"
    ]
    assert all("ValueError: bad" in entry["exception"] for entry in lines(logs) if entry["event"] == "failed")


def test_the_context_may_be_cleared_inside(logs: Path) -> None:
    """Web frameworks clear structlog's context; the execution is known still, and others' keys do not come back."""
    chain(structlog.contextvars.merge_contextvars, ExecutionLog(logs))
    log = structlog.get_logger()
    structlog.contextvars.bind_contextvars(request="r1")
    with execution("A") as run:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request="r2")
        log.info("inside")
    log.info("outside")
    inside, outside = (entry for entry in lines(logs) if "kind" not in entry)
    assert (run.execution_id, "A", "r2") == (inside["execution_id"], inside["agent_name"], inside["request"])
    assert ("r2", None) == (outside["request"], outside.get("execution_id"))


def test_a_cached_logger_writes(logs: Path) -> None:
    """A logger of a module, made before the execution and used by many."""
    chain(structlog.processors.add_log_level, ExecutionLog(logs), cache_logger_on_first_use=True)
    log = structlog.get_logger()
    log.info("before")
    with execution("A"):
        log.info("inside")
    assert ["before", "inside"] == events(logs)
    assert [None, "A"] == [entry.get("agent_name") for entry in lines(logs) if "kind" not in entry]


def test_a_bound_logger_is_copied(logs: Path) -> None:
    """An object that holds a logger may be deep-copied; the copy writes to the same file."""
    chain(ExecutionLog(logs))
    log = structlog.get_logger().bind(a=1)
    copy.deepcopy(log).info("copy")
    copy.copy(log).info("shallow")
    log.info("original")
    assert ["copy", "shallow", "original"] == events(logs)
    assert len(files(logs)) == 1


@pytest.mark.parametrize("stream", [None, "stdout", "stderr"])
def test_a_bound_logger_is_pickled(logs: Path, stream: str | None) -> None:
    """As the argument of a process's function: there it is that process's log of the same place."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            ExecutionLog(logs, stream=getattr(sys, stream) if stream else None, redact=("ssn",)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.testing.ReturnLoggerFactory(),
    )
    data = pickle.dumps(structlog.get_logger().bind(a=1, ssn="1"))
    program = "import pickle, sys; pickle.loads(bytes.fromhex(sys.argv[1])).info('hello')"
    done = run_program(program, data.hex())
    text = files(logs)[0].read_text() if stream is None else getattr(done, stream)
    header, written, footer = (orjson.loads(entry) for entry in text.splitlines() if b"writer" in entry.encode())
    assert {"event": "hello", "a": 1, "ssn": "[redacted]"}.items() <= written.items()
    assert ("writer.opened", "writer.closed") == (header["kind"], footer["kind"])


def test_a_pickled_log_is_this_processs_own(logs: Path) -> None:
    """Two for one directory share its writer."""
    log = ExecutionLog(logs)
    log(None, "info", {"event": "one"})
    pickle.loads(pickle.dumps(log))(None, "info", {"event": "two"})
    assert ["one", "two"] == events(logs)
    assert len(files(logs)) == 1


# In the tests of those who use it


class Agent(BaseAgent):
    async def run(self) -> None:
        tracker = self.create_tracker()
        async with tracker.track_execution(method="run"):
            await tracker.track_should_respond(True, 0.9, "why")
            await tracker.track_llm_request("model", {})
            await tracker.track_llm_response({})
            await self.log_event("from the agent", count=1)


@pytest.mark.parametrize("set_up", [True, False])
def test_captured_logs_are_the_users_own(logs: Path, set_up: bool) -> None:
    """`capture_logs` sees what the program logs and no lifecycle, whether a log is set up or not."""
    if set_up:
        chain(structlog.processors.add_log_level, ExecutionLog(logs))
    with structlog.testing.capture_logs() as captured:
        with execution("A"):
            structlog.get_logger().info("mine", count=1)
            pending("B")
        tracker = ExecutionTracker("C")
        with tracker.track_execution():
            tracker.track_stage("x")
            tracker.log_event("from the tracker")
        asyncio.run(Agent().run())
    assert ["mine", "from the tracker", "from the agent"] == [entry["event"] for entry in captured]
    assert {"event": "mine", "count": 1, "log_level": "info"} == captured[0]


def test_without_a_log_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """An agent that is not set up works, and its programmer is told what to do."""
    for _ in range(3):
        with execution("A") as run:
            run.stage("x")
    (said,) = caplog.records
    assert "configure" in said.getMessage()
    assert said.name == "tracklog"


def test_a_variable_of_the_environment_sets_a_log_up(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For programs that nobody wants to change."""
    monkeypatch.setenv("TRACKLOG_LOG_DIR", str(logs))
    with execution("A"):
        pass
    assert ["execution.started", "execution.finished"] == kinds(logs)


# The line


def test_the_event_is_handed_on_as_it_was(logs: Path) -> None:
    """The same object, with the same contents."""
    log = ExecutionLog(logs)
    event: EventDict = {"event": "e", "password": "x", "seq": 1, "exc_info": ValueError(), "positional_args": (1,)}
    before = dict(event)
    with execution("A"):
        assert log(None, "info", event) is event
    assert before == event


def test_keys_of_the_stamp_give_way_and_are_kept(logs: Path) -> None:
    """Nobody's own number is the line's."""
    ExecutionLog(logs)(None, "info", {"event": "e", "seq": 77, "writer": "me", "timestamp": "then", "a": 1})
    written = line(logs)
    assert (2, 77, "me", 1) == (written["seq"], written["seq_"], written["writer_"], written["a"])
    assert written["timestamp"].startswith("20")


@pytest.mark.parametrize(
    ("method", "level"),
    [("info", "info"), ("warn", "warning"), ("exception", "error"), ("fatal", "critical"), ("msg", "msg")],
)
def test_the_level_is_the_methods(logs: Path, method: str, level: str) -> None:
    """In a chain without `add_log_level`."""
    ExecutionLog(logs)(None, method, {"event": "e"})
    assert line(logs)["level"] == level


def test_an_event_without_an_event_has_an_empty_one(logs: Path) -> None:
    """`log.info(a=1)` is allowed."""
    chain(ExecutionLog(logs), wrapper_class=structlog.BoundLogger)
    structlog.get_logger().info(a=1)
    assert ("", 1) == (line(logs)["event"], line(logs)["a"])


def test_an_event_may_name_another_execution(logs: Path) -> None:
    """Then the agent around it is not that one's."""
    chain(structlog.contextvars.merge_contextvars, ExecutionLog(logs))
    log = structlog.get_logger()
    with execution("A") as run:
        log.info("other", execution_id="e1")
        log.info("other's", execution_id="e1", agent_name="B")
        log.info("own", execution_id=run.execution_id)
    found = [(e["execution_id"], e.get("agent_name")) for e in lines(logs) if "kind" not in e]
    assert [("e1", None), ("e1", "B"), (run.execution_id, "A")] == found


def test_a_drop_stops_only_what_stands_behind(logs: Path) -> None:
    """Who filters behind the log filters the console."""

    def drop(*_: object) -> EventDict:
        raise structlog.DropEvent

    chain(ExecutionLog(logs), drop)
    structlog.get_logger().info("hello")
    assert events(logs) == ["hello"]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((5,), {}, TypeError, "log_dir is a path, not 5; a stream is passed as stream="),
        ((sys.stdout,), {}, TypeError, "log_dir is a path"),
        ((), {"stream": 5}, TypeError, "stream is something to write to"),
        ((), {"stream": "stdout"}, TypeError, "stream is something to write to"),
        ((), {"durability": "always"}, ValueError, "durability is"),
        ((), {"service": 5}, TypeError, "service is a name, not 5"),
        ((), {"max_bytes": 0}, ValueError, "max_bytes is more than nothing, not 0"),
        ((), {"max_bytes": "64MB"}, TypeError, "max_bytes is a number of bytes, not '64MB'"),
        ((), {"max_age": -1}, ValueError, "max_age is more than nothing, not -1"),
        ((), {"max_age": float("nan")}, ValueError, "max_age is more than nothing, not nan"),
        ((), {"max_age": None}, TypeError, "max_age is a number of seconds, not None"),
        ((), {"redact": "ssn"}, TypeError, """redact takes several words, such as ("ssn",), not 'ssn'"""),
        ((), {"redact": 5}, TypeError, """redact takes several words, such as ("ssn",), not 5"""),
        ((), {"redact": [1]}, TypeError, "a word of redact is a text, not 1"),
        ((), {"redact": ["--"]}, ValueError, "a word of redact has no letter or digit"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_said_at_once(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], text: str
) -> None:
    """When the program starts, not when it logs; and the log that was set up stays."""
    with pytest.raises(error, match=re.escape(text)):
        ExecutionLog(*arguments, **options)
    assert processor._default is None


def test_closing_is_no_end(logs: Path) -> None:
    """What comes later is written too."""
    log = ExecutionLog(logs)
    log.close()
    assert not logs.exists()
    log(None, "info", {"event": "one"})
    log.close()
    log(None, "info", {"event": "two"})
    assert ["one", "two"] == events(logs)
    assert [1, 2, 3, 4, 5] == [entry["seq"] for entry in all_lines(logs)]


# Values that do not want to be written


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Unreadable(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Any:
        raise RuntimeError("no")

    __repr__ = Unprintable.__str__


class Liar:
    """Its class fails when it is asked for, as a proxy's whose object is gone."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise ReferenceError("gone")


class Endless:
    """Its `model_dump` gives it again."""

    def model_dump(self) -> Any:
        return {"again": self}


class BadText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")

    def encode(self, *_: object, **__: object) -> bytes:
        raise RuntimeError("no")


class BadNumber(int):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __index__ = __int__ = __str__  # type: ignore[assignment]


@dataclasses.dataclass
class Record:
    inner: Any


class Slotted:
    __slots__ = ("missing",)


def cycle() -> Any:
    value: dict[str, Any] = {}
    value["deep"] = [value, {"tuple": (value,)}]
    return value


def record_cycle() -> Any:
    record = Record(None)
    record.inner = record
    return record


def released() -> Any:
    view = memoryview(b"abc")
    view.release()
    return view


def deep() -> Any:
    value: Any = "bottom"
    for number in range(100_000):
        value = [value] if number % 2 else {"a": value}
    return value


def numbers() -> Iterator[int]:
    yield 1
    raise RuntimeError("no")


HOSTILE: dict[str, Callable[[], Any]] = {
    "a cycle": cycle,
    "deep nesting": deep,
    "ten megabytes": lambda: "x" * 10_000_000,
    "a megabyte of escapes": lambda: "\x00" * 1_200_000,
    "unprintable": Unprintable,
    "an unprintable exception": lambda: type("Bad", (Exception,), {"__str__": Unprintable.__str__})(),
    "unreadable": lambda: Unreadable(a=1),
    "a liar": Liar,
    "endless": Endless,
    "a text that fails": lambda: BadText("text"),
    "a number that fails": lambda: BadNumber(2**70),
    "odd keys": lambda: {1: "a", None: "b", (1,): "c", Unprintable(): "d", "\udc80": "e", 1.5: "g"},
    "keys that lie": lambda: {Liar(): 1},
    "a huge number": lambda: 10**5000,
    "no number": lambda: [float("nan"), float("inf"), -float("inf")],
    "surrogates": lambda: "a\ud800\udfff\udc80b",
    "zeros": lambda: "\x00\u2028\x7f\x1b[31m",
    "a generator": numbers,
    "an iterator without end": lambda: iter(int, 1),
    "a mock": MagicMock,
    "a mock of a number": lambda: MagicMock(spec=float),
    "a mock of an int": lambda: MagicMock(spec=int),
    "a mock of a text": lambda: Mock(spec=str),
    "a mock of a mapping": lambda: MagicMock(spec=dict),
    "a mock of a list": lambda: MagicMock(spec=list),
    "a mock of bytes": lambda: Mock(spec=bytes),
    "a mock of an exception": lambda: Mock(spec=ValueError),
    "a dataclass of these": lambda: Record({1: Record(Unprintable())}),
    "a dataclass's cycle": record_cycle,
    "empty slots": Slotted,
    "a class": lambda: Unprintable,
    "a lock": threading.Lock,
    "bytes": lambda: b"\xff\x00",
    "a view that was released": released,
    "a module": lambda: sys,
    "a lambda": lambda: lambda: None,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_no_value_raises_or_costs_the_line(
    logs: Path, make: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it is passed, the lines are there, whole, and their other fields too."""
    chain(structlog.processors.add_log_level, ExecutionLog(logs))
    value = make()
    log = ExecutionLog(logs)
    with execution("A", input_data=value, call_reason="because", metadata={"m": value}) as run:
        log(None, "info", {"event": "plain", "value": value, "other": 1})
        log(None, "info", {"event": "nested", "value": [{"in": (value,)}], "other": 1})
        run.relevance(True, 0.5, value)
        run.stage("s", data=value)
        with run.llm_call("m", value) as call:
            call.set_response(value)
        with run.llm_call("m", {"messages": [value]}) as call:
            call.set_response({"usage": value}, tokens_used=1)
        run.set_output(value)
    log.close()
    assert [*range(1, len(all_lines(logs)) + 1)] == [entry["seq"] for entry in all_lines(logs)]
    assert ["plain", "nested"] == events(logs)
    assert {1} == {entry["other"] for entry in lines(logs) if "kind" not in entry}
    assert all("value" in entry for entry in lines(logs) if "kind" not in entry)
    assert len(lines(logs)) == 12 - 1
    assert {run.execution_id} == {entry["execution_id"] for entry in lines(logs)}
    assert all(len(entry) < 16 << 20 for entry in files(logs)[0].read_bytes().splitlines())
    assert capsys.readouterr().err == ""


def test_the_event_itself_may_be_anything(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other loggers are given objects in place of texts."""
    log = ExecutionLog(logs)
    makes = [make for name, make in HOSTILE.items() if "megabyte" not in name]
    for make in makes:
        log(None, "info", {"event": make()})
        log(None, "info", {"event": "e", "level": make(), "logger": make(), "exception": make()})
    log.close()
    assert len(lines(logs)) == 2 * len(makes)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("key", ["execution_id", "agent_name", "exc_info", "positional_args", "stage", "kind"])
@pytest.mark.parametrize("name", ["unprintable", "a liar", "a mock of a text", "unreadable", "a cycle"])
def test_odd_values_under_our_own_names_raise_nothing(logs: Path, key: str, name: str) -> None:
    """A line of them may be lost, and is counted; it is never half a line."""
    log = ExecutionLog(logs)
    with execution("A"):
        log(None, "info", {"event": "%s", key: HOSTILE[name]()})
        log(None, "info", {"event": "after"})
    log.close()
    assert events(logs)[-1:] == ["after"]


def test_a_field_name_of_nine_megabytes(logs: Path) -> None:
    """Is cut like any text."""
    ExecutionLog(logs)(None, "info", {"event": "e", "x" * 9_000_000: "value"})
    (name,) = line(logs).keys() - {"event", "level", "timestamp", "writer", "seq"}
    assert len(name) < 20_000
    assert line(logs)[name] == "value"


def test_arrays_are_lists(logs: Path) -> None:
    """Where numpy is there."""
    numpy = pytest.importorskip("numpy")
    log = ExecutionLog(logs)
    log(None, "info", {"event": "e", "array": numpy.arange(3), "number": numpy.float32(0.5)})
    assert [0, 1, 2] == line(logs)["array"]
    assert line(logs)["number"] == 0.5


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.sampled_from([make for name, make in HOSTILE.items() if not re.search("megabyte|deep|liar|lie", name)]).map(
        lambda make: make()
    )
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(codec=None)) | st.integers() | st.none(), inner)
        | inner.map(Record)
        | st.lists(inner).map(iter)
    ),
    max_leaves=8,
)
_names = st.text(st.characters(codec=None)) | st.sampled_from(
    ["event", "level", "logger", "kind", "stage", "seq", "writer", "timestamp", "exception", "password", "metadata"]
)


@settings(deadline=None)
@given(st.dictionaries(_names, _values, max_size=5), _values)
def test_every_line_is_json_and_has_its_stamp(fields: dict[str, Any], value: Any) -> None:
    """Whatever is logged, by whatever call, each line loads, and no exception reaches the caller."""
    with tempfile.TemporaryDirectory() as directory:
        log = ExecutionLog(directory)
        event = {"event": "e", **fields}
        assert log(None, "info", event) is event
        with execution("A", input_data=value, metadata=fields) as run:
            log(None, "info", dict(fields))
            run.stage("s", data=value)
            run.set_output(value)
        log.close()
        written = all_lines(Path(directory))
        writers._by_place.clear()
    assert [*range(1, len(written) + 1)] == [entry["seq"] for entry in written]
    assert len(written) == 8
    assert all(entry["timestamp"].endswith("Z") and len(entry["writer"]) == 16 for entry in written)
