"""Say in a line what became of an LLM call."""

from rich.text import Text

from tracklog.analytics.commands import units
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record


def call_title(number: int, call: Record) -> Text:
    """Give a call's number, model, status, latency and tokens."""
    title = Text(f"LLM call {number}", style="bold")
    title.append(f"  {one_line(call.model) or 'unknown model'}", style="not bold")
    title.append("  ").append_text(_status(call))
    for part in (units.duration(call.latency_ms) if call.latency_ms is not None else "", _tokens(call)):
        if part:
            title.append(f"  {part}", style="not bold")
    return title


def _status(call: Record) -> Text:
    style = {"success": "green", "failed": "red", "unanswered": "yellow"}.get(call.status, "blue")
    return Text(call.status.replace("_", " "), style=style)


def _tokens(call: Record) -> str:
    if call.tokens_used is None:
        return ""
    parts = [
        f"{title} {call[name]:,}"
        for title, name in (
            ("in", "input_tokens"),
            ("out", "output_tokens"),
            ("cache read", "cache_read_tokens"),
            ("cache write", "cache_write_tokens"),
            ("reasoning", "reasoning_tokens"),
        )
        if call[name] is not None
    ]
    return f"{call.tokens_used:,} tokens" + (f" ({', '.join(parts)})" if parts else "")
