"""The structlog processor that writes each event to the log, and hands it on unchanged."""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

from structlog.typing import EventDict, WrappedLogger

from tracklog.processors.context import current_activation
from tracklog.processors.encode import encode, shortened
from tracklog.processors.ids import id_text
from tracklog.processors.line import MAX_FIELD_BYTES, MAX_ID_LENGTH, STAMP_KEYS
from tracklog.processors.program import safe_name, service_name
from tracklog.processors.redact import Redactor
from tracklog.processors.writer import Durability, Settings
from tracklog.processors.writers import writer_for

LOG_DIR_VARIABLE: Final = "TRACKLOG_LOG_DIR"

LEVEL_OF_METHOD: Final[Mapping[str, str]] = {"warn": "warning", "exception": "error", "fatal": "critical"}
"""Methods of loggers that are not named like their level."""

_NOT_WRITTEN: Final = ("timestamp", "_record", "_from_structlog", "_logger", "_name")
"""Keys of others' machinery; the line has a time of its own."""

_OF_OTHERS: Final = frozenset((*_NOT_WRITTEN, *STAMP_KEYS, "exc_info", "exception", "positional_args"))
"""Keys that have a meaning in structlog, in the standard library's logging, or in the line."""


_watched: Final[dict[int, int]] = {}
"""By thread, where somebody wants to know: how many events were written. Mostly empty, which costs a line nothing."""


class Watch:
    """Count the events of this thread that became lines, while it is entered."""

    def __enter__(self) -> "Watch":
        self._thread = threading.get_ident()
        self._outer = _watched.get(self._thread)
        self.lines = 0
        _watched[self._thread] = 0
        return self

    def __exit__(self, *_: object) -> None:
        self.lines = _watched.pop(self._thread)
        if self._outer is not None:
            _watched[self._thread] = self._outer + self.lines


class ExecutionLog:
    """Write each event as a line of JSON; a processor for structlog that gives back the event as it was.

    It stands anywhere in front of the renderer, best behind `merge_contextvars` and `add_log_level`; and in the
    `foreign_pre_chain` of a `ProcessorFormatter`, for records of the standard library's logging. Never behind
    `ProcessorFormatter.wrap_for_formatter`. Whatever goes wrong, nothing is raised.

    The one that was made last also takes the lifecycle lines of `execution` and the trackers.

    :param log_dir: The directory of the log files; made when there is something to write.
    :param service: The program's name, part of the files' names; by default TRACKLOG_SERVICE, else the script's name.
    :param redact: More words; a key that ends in one of them holds a secret, or none, if there is a `-` before it.
    :param max_bytes: The size at which a file is followed by the next.
    :param max_age: The age, in seconds, at which it is.
    :param durability: `flush`: a line survives its process; `fsync`: also a power cut.
    :param stream: Write to this stream, such as `sys.stdout` in a container, in place of files.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        *,
        service: str | None = None,
        redact: Iterable[str] = (),
        max_bytes: int = 64 << 20,
        max_age: float = 24 * 3600,
        durability: Durability = "flush",
        stream: IO[Any] | None = None,
    ) -> None:
        if durability not in ("flush", "fsync"):
            raise ValueError(f'durability is "flush" or "fsync", not {durability!r}')
        if service is not None and not isinstance(service, str):
            raise TypeError(f"service is a name, not {service!r}")
        for name, limit, unit in (("max_bytes", max_bytes, "bytes"), ("max_age", max_age, "seconds")):
            if not isinstance(limit, (int, float)):
                raise TypeError(f"{name} is a number of {unit}, not {limit!r}")
            if not limit > 0:
                raise ValueError(f"{name} is more than nothing, not {limit!r}")
        if not isinstance(log_dir, (str, os.PathLike)):
            raise TypeError(f"log_dir is a path, not {log_dir!r}; a stream is passed as stream=")
        if stream is not None and not hasattr(stream, "write"):
            raise TypeError(f"stream is something to write to, such as sys.stdout, not {stream!r}")
        settings = Settings(safe_name(service) if service else service_name(), max_bytes, max_age, durability)
        words = redact if isinstance(redact, str) or not isinstance(redact, Iterable) else tuple(redact)
        self._redact = Redactor(words)
        self._how = (log_dir, service, words, max_bytes, max_age, durability, stream)
        self._writer = writer_for(log_dir if stream is None else stream, settings)
        _set_default(self)

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
        """Write the event, and give it back unchanged."""
        try:
            record = event_dict.get("_record")
            # A record that passes several handlers passes here for each.
            if record is None or not isinstance(record, logging.LogRecord):
                self.write(_fields(logger, method_name, event_dict, None))
            elif self._writer.records.add(record):
                self.write(_fields(logger, method_name, event_dict, record))
        except Exception as error:  # noqa: BLE001
            self._writer.drop(error)
        if _watched and (thread := threading.get_ident()) in _watched:
            _watched[thread] += 1
        return event_dict

    def write(self, fields: Mapping[str, Any]) -> bytes | None:
        """Write one line of these fields, and give it as it was written but for its stamp; None if that cannot be."""
        try:
            line = self._redact.redacted(fields, encode(fields))
            if len(line) > MAX_FIELD_BYTES:  # As it would ask itself; few lines are, and a call costs more.
                line = shortened(line)
        except Exception as error:  # noqa: BLE001
            self._writer.drop(error)
            return None
        self._writer.write(line)
        return line

    def close(self) -> None:
        """Write the last line and close the file; a further event opens the next."""
        self._writer.close()

    def __deepcopy__(self, memo: object) -> "ExecutionLog":
        # A logger that is bound to an object is copied with it, and then its processors.
        return self

    def __reduce__(self) -> tuple[object, ...]:
        # In another process it is that one's log of the same directory, or of its standard stream.
        *how, stream = self._how
        for name in ("stdout", "stderr"):
            if stream is not None and stream in (getattr(sys, name), getattr(sys, f"__{name}__")):
                return _unpickle, (*how, name)
        return _unpickle, self._how


def _fields(
    logger: WrappedLogger, method_name: str, event_dict: EventDict, record: logging.LogRecord | None
) -> dict[str, Any]:
    """Give the fields of an event's line."""
    fields = dict(event_dict)
    if not _OF_OTHERS.isdisjoint(fields):
        fields = _without_others(fields)
    if "event" not in fields:
        fields["event"] = ""
    if "level" not in fields:
        fields["level"] = LEVEL_OF_METHOD.get(method_name, method_name)
    if "logger" not in fields:
        logger_name = record.name if record is not None else getattr(logger, "name", None)
        if isinstance(logger_name, str):
            fields["logger"] = logger_name
    named = fields.get("execution_id")
    if isinstance(named, str) and len(named) > MAX_ID_LENGTH:
        fields["execution_id"] = named = id_text(named)
    if (activation := current_activation()) is not None:
        run = activation.run
        if named is None:
            fields["execution_id"] = named = run.execution_id
        if named is run.execution_id or str(named) == run.execution_id:
            if fields.get("agent_name") is None:
                fields["agent_name"] = run.agent_name
        elif fields.get("agent_name") == run.agent_name:
            del fields["agent_name"]  # Of the context; the line is about another execution.
    return fields


def _without_others(fields: dict[str, Any]) -> dict[str, Any]:
    """Do what is to be done with keys that have a meaning of their own; few events have any."""
    for name in _NOT_WRITTEN:
        fields.pop(name, None)
    if "seq" in fields or "writer" in fields:
        # The caller's own keys of these names give way to the stamp's, and are kept.
        fields = {f"{name}_" if name in STAMP_KEYS else name: value for name, value in fields.items()}
    if "exc_info" in fields:
        _render_exception(fields)
    elif type(fields.get("exception")) is list:
        fields["exception"] = [_without_locals(error) for error in fields["exception"]]
    if "positional_args" in fields:
        _interpolate(fields)
    return fields


def _render_exception(fields: dict[str, Any]) -> None:
    info = fields.pop("exc_info")
    if not info or "exception" in fields:
        return
    if isinstance(info, BaseException):
        error: BaseException | None = info
    elif isinstance(info, tuple):
        error = info[1] if len(info) == 3 else None
    else:
        error = sys.exc_info()[1]
    if error is not None:
        fields["exception"] = traceback_of(error)


def traceback_of(error: BaseException) -> str:
    """Give an exception with its traceback as text, without the values of its variables."""
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # noqa: BLE001
        return f"{type(error).__name__} (its traceback cannot be shown)"


def _without_locals(error: Any) -> Any:
    """Take the values of variables out of an exception that was made a dict: they hold keys and customers' data."""
    if not isinstance(error, dict) or not isinstance(error.get("frames"), list):
        return error
    frames = [
        {name: value for name, value in frame.items() if name != "locals"} if isinstance(frame, dict) else frame
        for frame in error["frames"]
    ]
    cleaned = {**error, "frames": frames}
    if isinstance(grouped := error.get("exceptions"), list):
        # The exceptions of a group; each is a list, as it may have causes.
        cleaned["exceptions"] = [
            [_without_locals(part) for part in parts] if isinstance(parts, list) else _without_locals(parts)
            for parts in grouped
        ]
    return cleaned


def _interpolate(fields: dict[str, Any]) -> None:
    """Do what `PositionalArgumentsFormatter` does, where it stands behind us."""
    arguments = fields.pop("positional_args")
    try:
        if not arguments:
            return
        if len(arguments) == 1 and isinstance(arguments[0], Mapping) and arguments[0]:
            arguments = arguments[0]  # For "%(name)s", as in the standard library.
        fields["event"] = fields["event"] % arguments
    except Exception:  # noqa: BLE001
        fields["positional_args"] = arguments  # Also what somebody else means by the name.


def _unpickle(
    log_dir: str | os.PathLike[str],
    service: str | None,
    redact: tuple[str, ...],
    max_bytes: int,
    max_age: float,
    durability: Durability,
    stream: IO[Any] | str | None,
) -> ExecutionLog:
    return ExecutionLog(
        log_dir,
        service=service,
        redact=redact,
        max_bytes=max_bytes,
        max_age=max_age,
        durability=durability,
        stream=getattr(sys, stream) if isinstance(stream, str) else stream,
    )


_default: ExecutionLog | None = None
_warned = False


def _set_default(log: ExecutionLog) -> None:
    global _default
    _default = log


def default_log() -> ExecutionLog | None:
    """Give the log that lifecycle lines go to; None, said once, where none was set up."""
    global _warned
    if _default is None and (directory := os.environ.get(LOG_DIR_VARIABLE)):
        ExecutionLog(directory)
    if _default is None and not _warned:
        _warned = True
        logging.getLogger("tracklog").warning(
            'executions are not being recorded: call tracklog.processors.configure("logs"), put ExecutionLog into your'
            " structlog chain, or set %s",
            LOG_DIR_VARIABLE,
        )
    return _default
