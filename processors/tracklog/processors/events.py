"""Events of an agent: seen by every logger of the program, and recorded whatever those let through."""

import contextlib
import inspect
import logging
from collections.abc import Mapping
from typing import Any, Final

import structlog

from tracklog.processors.context import current_execution
from tracklog.processors.processor import Watch, default_log

_SYNONYMS: Final[Mapping[str, str]] = {"warn": "warning", "fatal": "critical"}


def log_event(
    agent_name: str, message: str | None, level: str | int, data: Mapping[str, Any], *, execution_id: str | None = None
) -> None:
    """Log an event through structlog; if no `ExecutionLog` there wrote it, as for a level that is off, write it here.

    :param message: What happened; None where `data` has it under this name.
    :param execution_id: The execution it belongs to, by default the current one.
    """
    try:
        known = _level_name(level)
        name = known or "info"
        if execution_id is None:
            run = current_execution()
            execution_id = run.execution_id if run is not None else None
        # A key of the caller's that is the event's own gives way, and is kept.
        fields = {f"{key}_" if key in ("event", "level") else key: value for key, value in data.items()}
        if message is None:
            message = fields.pop("message", None)
        if known is None:
            fields["level_"] = level
        fields["agent_name"] = agent_name
        if execution_id is not None:
            fields["execution_id"] = execution_id
        # A logger of the program that fails must not cost the agent its run.
        with Watch() as written, contextlib.suppress(Exception):
            result = getattr(structlog.get_logger(), name)(message, **fields)
            if inspect.iscoroutine(result):
                result.close()  # Of an async logger, which cannot be waited for here.
        if not written.lines and (log := default_log()) is not None:
            log(None, name, {"event": message, **fields})
    except Exception:  # noqa: BLE001
        pass  # A value that fails when it is looked at: the event is lost, the agent goes on.


def _level_name(level: str | int) -> str | None:
    """Give the name of a logger's method for a level, or None.

    >>> _level_name("WARN"), _level_name(logging.DEBUG), _level_name("loud")
    ('warning', 'debug', None)
    """
    name = (logging.getLevelName(level) if isinstance(level, int) else str(level)).lower()
    name = _SYNONYMS.get(name, name)
    return name if name in ("debug", "info", "warning", "error", "critical", "exception") else None
