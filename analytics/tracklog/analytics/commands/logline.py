"""Write a log line for people: its message, and what it carries beside it."""

from typing import Any

from rich.text import Text

from tracklog.analytics.commands import units
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record
from tracklog.processors.line import Kind


def message_of(log: Record, width: int | None = None) -> Text:
    """Give a log row's message in the colour of its level, and what it carries beside it.

    :param width: Columns that a value may take; without it all.
    """
    message = Text(one_line(log["message"], width))
    if log["level"] in ("error", "critical"):
        message.stylize("red")
    elif log["level"] == "warning":
        message.stylize("yellow")
    for key, value in told(log).items():
        message.append(f"  {one_line(key)}=", style="dim").append(one_line(value, width), style="dim")
    if log["duration_ms"] is not None:
        message.append(f"  {units.duration(log['duration_ms'])}", style="dim")
    return message


def told(log: Record) -> dict[str, Any]:
    """Give what a line carries beside its message, but for what the record and the calls show anyway."""
    data = log["data"] if isinstance(log["data"], dict) else {}
    match log["kind"]:
        case Kind.EXECUTION_PENDING | Kind.EXECUTION_STARTED | Kind.EXECUTION_FINISHED | Kind.RELEVANCE | Kind.OUTPUT:
            return {}
        case Kind.LLM_REQUEST | Kind.LLM_RESPONSE | Kind.LLM_ERROR:
            return {name: data[name] for name in ("model",) if name in data}
        case _:
            return data
