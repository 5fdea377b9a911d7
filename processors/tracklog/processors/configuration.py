"""Set structlog up, with the log first and a console for people."""

import contextvars
import logging
import os
import sys
from collections.abc import Iterable
from typing import IO, Any, Final

import structlog
from structlog.contextvars import STRUCTLOG_KEY_PREFIX
from structlog.typing import EventDict, Processor, WrappedLogger

from tracklog.processors import console as lifecycle_console
from tracklog.processors.console import print_line
from tracklog.processors.processor import LEVEL_OF_METHOD, ExecutionLog
from tracklog.processors.writer import Durability

_LEVELS: Final = (logging.NOTSET, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
"""Those for which structlog has a filter."""


class _Printer:
    """What prints to stderr, as it is at that time: one write a line, and no lock that a fork could break.

    It knows what `structlog.get_logger` was given: mostly the name of a module.
    """

    def __init__(self, *args: Any) -> None:
        self.name = args[0] if args else None

    def msg(self, message: Any = "", *_args: Any, **_fields: Any) -> None:
        """Print a line, if there is one to be shown."""
        if message:
            print_line(message)

    debug = info = warning = warn = error = critical = fatal = exception = log = failure = err = msg


# A logger that has logged keeps its processors and its class for ever, wherever it was made: so these stay the same
# objects, and what is in them changes.
_processors: Final[list[Processor]] = []
_Logger: Final = type("_Logger", (structlog.make_filtering_bound_logger(logging.INFO),), {"__module__": __name__})


def configure(
    log_dir: str | os.PathLike[str] = "logs",
    *,
    service: str | None = None,
    console: bool | None = None,
    stream: IO[Any] | None = None,
    level: int | str = "info",
    redact: Iterable[str] = (),
    max_bytes: int = 64 << 20,
    max_age: float = 24 * 3600,
    durability: Durability = "flush",
) -> ExecutionLog:
    """Set structlog up so that what is logged is written as lines of JSON; called again, it holds for all loggers.

    :param console: Show events on stderr too; by default if that is a terminal.
    :param level: Ordinary events below it are left out; lifecycle lines never are.

    The others are those of `ExecutionLog`, which is given back.
    """
    threshold = _level(level)  # First, so that a mistake in it changes nothing.
    log = ExecutionLog(
        log_dir,
        service=service,
        redact=redact,
        max_bytes=max_bytes,
        max_age=max_age,
        durability=durability,
        stream=stream,
    )
    if console is None:
        console = _is_terminal(sys.stderr)
    shown: list[Processor] = [_shown_nowhere]
    lifecycle_console.use(None, threshold)
    if console:
        # Never with the values of variables, as rich would have them.
        render = structlog.dev.ConsoleRenderer(
            colors=_is_terminal(sys.stderr), exception_formatter=structlog.dev.plain_traceback
        )

        def show(event_dict: EventDict) -> str:
            return render(None, str(event_dict.get("level")), event_dict)

        lifecycle_console.use(show, threshold)
        shown = [structlog.processors.TimeStamper("%H:%M:%S", utc=False), render]
    _processors[:] = [_gathered, log, *shown]
    _Logger.__bases__ = (structlog.make_filtering_bound_logger(threshold),)
    structlog.configure(
        processors=_processors, wrapper_class=_Logger, logger_factory=_Printer, cache_logger_on_first_use=True
    )
    return log


_rendered_stack: Final = structlog.processors.StackInfoRenderer()

_bound: Final[dict[contextvars.ContextVar[Any], str]] = {}
"""The key that each context variable of structlog binds; no key for those of others."""

_MOST_BOUND: Final = 1000
"""Programs have few; but those that make ever new ones must not fill the memory."""


def _gathered(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
    """Do what `merge_contextvars`, `add_log_level` and `StackInfoRenderer` do, in a third of their time."""
    for variable, value in _copy_context().items():
        try:
            key = _bound[variable]
        except KeyError:
            key = _key_of(variable)
        if key and key not in event_dict and value is not Ellipsis:
            event_dict[key] = value
    event_dict["level"] = LEVEL_OF_METHOD.get(method_name, method_name)
    return _rendered_stack(logger, method_name, event_dict) if "stack_info" in event_dict else event_dict


_copy_context: Final = contextvars.copy_context


def _key_of(variable: contextvars.ContextVar[Any]) -> str:
    if len(_bound) > _MOST_BOUND:
        _bound.clear()
    of_structlog = variable.name.startswith(STRUCTLOG_KEY_PREFIX)
    key = _bound[variable] = variable.name.removeprefix(STRUCTLOG_KEY_PREFIX) if of_structlog else ""
    return key


def _shown_nowhere(_logger: WrappedLogger, _method_name: str, _event_dict: EventDict) -> bytes:
    """Render nothing, which is cheaper to be passed on than the event."""
    return b""


def _is_terminal(stream: Any) -> bool:
    """Tell whether a stream, or what stands in its place, is a terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # None, an object with `write` only, or closed.
        return False


def _level(level: int | str) -> int:
    number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
    if number not in _LEVELS:
        raise ValueError(f"{level!r} is no level; write debug, info, warning, error or critical")
    return int(number)
