"""Events of an agent: seen by every logger of the program, and recorded whatever those let through."""

import logging
from collections.abc import Mapping
from typing import Any

import structlog

from tracklog.processors.context import current_execution
from tracklog.processors.processor import default_log, written


def log_event(
    agent_name: str, message: str, level: str, data: Mapping[str, Any], *, execution_id: str | None = None
) -> None:
    """Log an event through structlog; if no `ExecutionLog` there wrote it, as for a level that is off, write it here.

    :param execution_id: The execution it belongs to, by default the current one.
    """
    try:
        name = level.lower()
        if not isinstance(logging.getLevelNamesMapping().get(name.upper()), int):
            name, data = "info", {"level": level, **data}
        if execution_id is None:
            run = current_execution()
            execution_id = run.execution_id if run is not None else None
        fields = {key: value for key, value in data.items() if key not in ("event", "level")}
        own = {"agent_name": agent_name}
        if execution_id is not None:
            own["execution_id"] = execution_id
        before = written.lines
        getattr(structlog.get_logger(), name)(message, **(fields | own))
        log = default_log() if written.lines == before else None
        if log is not None:
            log.write({"level": name, "event": message, **fields, **own})
    except Exception:  # noqa: BLE001
        pass  # A logger of the program that fails must not cost the agent its run.
