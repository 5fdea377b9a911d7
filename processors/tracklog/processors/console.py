"""One short line of each lifecycle event for people, without payloads."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from typing import Final

import orjson
from structlog.typing import EventDict

from tracklog.processors.line import Kind

Render = Callable[[EventDict], str]

_SHOWN: Final = ("status", "model", "stage", "confidence", "reasoning", "tokens_used", "error_type", "error_message")
"""Of a line's fields, those that are short and tell most."""

_LONGEST: Final = 100
"""Characters of a shown text."""

_render: Render | None = None
_threshold = logging.INFO


def use(render: Render | None, threshold: int) -> None:
    """Show lifecycle events of a level by this renderer, or not at all."""
    global _render, _threshold
    _render, _threshold = render, threshold


def show(level: str, method: str | None, line: bytes) -> None:
    """Show a lifecycle line, from which the secrets have been taken, if there is a console."""
    if _render is None or logging.getLevelNamesMapping()[level.upper()] < _threshold:
        return
    fields = orjson.loads(line)
    if fields["kind"] == Kind.OUTPUT:
        return
    name = f"{fields['agent_name']}.{method}" if method else fields["agent_name"]
    shown: EventDict = {
        "timestamp": time.strftime("%H:%M:%S"),
        "level": level,
        "event": f"{name} {fields['event']}",
    }
    for field in _SHOWN:
        value = fields.get(field)
        if value is not None:
            shown[field] = value[:_LONGEST] if isinstance(value, str) else value
    for field in ("duration_ms", "latency_ms"):
        if isinstance(value := fields.get(field), (int, float)):
            shown[field] = round(value, 1)
    print_line(_render(shown))


def print_line(text: str) -> None:
    """Print a line to stderr in one write; where there is none, or it is closed, do nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
