"""The command `show`: all about one execution."""

import itertools
from typing import Any, Final

import click
from rich.padding import Padding
from rich.text import Text

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.answers.timeline import staged
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.calls import call_title
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.lines import place_rows
from tracklog.analytics.commands.listing import short_ids
from tracklog.analytics.commands.logline import message_of
from tracklog.analytics.commands.pager import pages
from tracklog.analytics.commands.raw import execution_at
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import as_json, from_here, one_line, safe
from tracklog.analytics.errors import ExecutionNotFoundError
from tracklog.analytics.record import Record

_LOGS: Final = 100
"""So many lines of an execution are shown; a run of thousands would bury the rest."""

_PAYLOAD: Final = 300
"""Columns of a request, a response, an input or an output."""

_MARKS: Final = {"completed": (" ✓", "green"), "failed": (" ✗", "red")}
"""What is put behind a stage that ended, and in which colour."""

_TRACEBACK: Final = 40
"""Lines of a traceback, of which the last say most."""


@click.command("show")
@click.argument("id", required=False)
@click.option("--at", "place", metavar="FILE:LINE", help="The execution that this line of a log file belongs to.")
@click.option("--full", is_flag=True, help="Shorten nothing.")
@asks
@pages
def command(asked: Asked, id: str | None, place: str | None, full: bool) -> None:  # noqa: A002 -- see the help.
    """Show all about the execution ID: record, lines, LLM calls, error, children, and where its lines stand."""
    if (id is None) == (place is None):
        raise click.UsageError("name one execution: by its ID, or by --at FILE:LINE.")
    wanted = execution_at(place) if place is not None else id or ""
    with asked.analytics() as analytics:
        execution_id = asked.resolve(analytics, wanted)
        answer = analytics.get_execution_with_logs(execution_id)
        if answer is None:
            raise ExecutionNotFoundError(f"the execution {execution_id} was removed just now")
        place_rows(answer.logs)
        if asked.json:
            screen.print_json({**answer, "timeline": staged(answer.logs)})
            return
        out = Screen()
        shortest = short_ids(out, analytics, [execution_id, *(child.execution_id for child in answer.children)])
    execution = answer.execution
    _print_head(out, execution, answer.logs, full)
    _print_error(out, execution, full)
    _print_logs(out, answer.logs, full)
    _print_calls(out, answer.llm_calls, full)
    _print_children(out, answer.children, shortest)
    if answer.children or execution.parent_execution_id:
        out.hint(asked.hint("chain", shortest.get(execution_id, execution_id)))


def _print_head(out: Screen, execution: Record, logs: list[Record], full: bool) -> None:
    title = screen.name(execution.agent_name, execution.method)
    title.stylize("bold")
    out.print(title.append("  ").append_text(screen.status(execution.status)))
    took = units.duration(execution.duration_ms)
    started = execution.started_at or execution.created_at
    when = f"{units.moment(started)}, took {took}" if execution.duration_ms is not None else units.moment(started)
    out.print(
        screen.facts(
            [
                ("Execution", Text(safe(execution.execution_id), style="cyan")),
                ("Called by", safe(execution.parent_execution_id or "")),
                ("Reason", one_line(execution.call_reason)),
                ("Conversation", safe(execution.conversation_id or "")),
                ("Vault", safe(execution.vault_id or "")),
                ("User", safe(execution.user_id or "")),
                ("Started", when),
                ("Stage", one_line(execution.current_stage)),
                ("Relevance", _relevance(execution)),
                ("LLM", _llm(execution)),
                ("Input", _payload(execution.input_data, full)),
                ("Output", _payload(execution.output_data, full)),
                ("Metadata", _payload(execution.metadata, full)),
                ("Logged in", _files(logs)),
            ]
        )
    )


def _relevance(execution: Record) -> str:
    if execution.should_respond is None and execution.relevance_score is None:
        return one_line(execution.relevance_reasoning)
    parts = ["responds" if execution.should_respond else "does not respond"]
    if execution.relevance_score is not None:
        parts.append(f"score {execution.relevance_score:.2f}")
    reason = one_line(execution.relevance_reasoning)
    return ", ".join(parts) + (f": {reason}" if reason else "")


def _llm(execution: Record) -> str:
    if not execution.llm_calls:
        return ""
    tokens = f", {execution.llm_tokens_used:,} tokens" if execution.llm_tokens_used is not None else ""
    latency = f", waited {units.duration(execution.llm_latency_ms)}" if execution.llm_latency_ms is not None else ""
    return f"{units.plural(execution.llm_calls, 'call')}{tokens}{latency}"


def _payload(value: Any, full: bool) -> str:
    if value is None:
        return ""
    if full:
        return safe(value if isinstance(value, str) else as_json(value, indent=True).decode())
    return one_line(value, _PAYLOAD)


def _files(logs: list[Record]) -> str:
    """Name each file with lines of the execution, and the first and last of them."""
    found = []
    for path, members in itertools.groupby(
        sorted((log for log in logs if log["file"]), key=lambda log: (str(log["file"]), log["line_offset"])),
        key=lambda log: str(log["file"]),
    ):
        rows = list(members)
        first, last = rows[0], rows[-1]
        name = safe(from_here(path))
        if first["line"] is not None:
            where = f"{name}:{first['line']}"
            more = f" to line {last['line']}" if last["line"] not in (None, first["line"]) else ""
        else:
            where, more = name, f" at byte {first['line_offset']:,}"
        found.append(f"{where}{more} ({units.plural(len(rows), 'line')})")
    return "\n".join(found)


def _print_error(out: Screen, execution: Record, full: bool) -> None:
    if not (execution.error_type or execution.error_message or execution.error_traceback):
        return
    title = Text(one_line(execution.error_type) or "Error", style="bold red")
    if execution.error_message:
        title.append(f": {safe(execution.error_message)}", style="not bold")
    out.print(Text(), title)
    if execution.error_traceback:
        lines = safe(execution.error_traceback).rstrip().split("\n")
        if not full and len(lines) > _TRACEBACK:
            lines = [f"… {len(lines) - _TRACEBACK} more lines, see --full", *lines[-_TRACEBACK:]]
        out.print(Padding(Text("\n".join(lines), style="dim"), (0, 0, 0, 2)))


def _print_logs(out: Screen, logs: list[Record], full: bool) -> None:
    if not logs:
        return
    columns = (
        Column("TIME", right=True),
        Column("LEVEL", drop=2),
        Column("STAGE", least=13),
        Column("LINE", right=True, drop=1),
        Column("LOG", least=30, wrap=full),
    )
    first = next((log["timestamp"] for log in logs if log["timestamp"] is not None), None)
    shown = logs if full or len(logs) <= _LOGS else [*logs[: _LOGS // 2], *logs[-_LOGS // 2 :]]
    rows = [_log_row(log, first) for log in shown]
    if len(shown) < len(logs):
        gap = f"… {len(logs) - len(shown):,} more lines, see --full"
        rows.insert(_LOGS // 2, ("", "", "", "", Text(gap, style="dim")))
    out.print(Text(), out.table(columns, rows))


def _log_row(log: Record, first: Any) -> tuple[str | Text, ...]:
    elapsed = (log["timestamp"] - first).total_seconds() if log["timestamp"] is not None and first is not None else None
    stage = Text(one_line(log["stage"], 30))
    if (mark := _MARKS.get(log["stage_status"])) is not None:
        stage.append(*mark)
    return (
        f"+{elapsed:.3f} s" if elapsed is not None else units.NOTHING,
        one_line(log["level"], 10),
        stage,
        str(log["line"]) if log["line"] is not None else "",
        message_of(log),
    )


def _print_calls(out: Screen, calls: list[Record], full: bool) -> None:
    for number, call in enumerate(calls, start=1):
        out.print(
            Text(),
            call_title(number, call),
            screen.facts(
                [
                    ("  Request", _payload(call.request, full)),
                    ("  Response", _payload(call.response, full)),
                    ("  Error", safe(error_of(call))),
                    ("  Finished", one_line(call.finish_reason)),
                ]
            ),
        )


def _print_children(out: Screen, children: list[Record], shortest: dict[str, str]) -> None:
    if not children:
        return
    columns = (
        Column("CALLED"),
        Column("AGENT", least=16),
        Column("STATUS"),
        Column("TOOK", right=True),
        Column("REASON", least=12, drop=1),
    )
    rows = (
        (
            screen.ids(out, shortest, child.execution_id),
            screen.name(child.agent_name, child.method),
            screen.status(child.status),
            units.duration(child.duration_ms),
            one_line(child.call_reason),
        )
        for child in children
    )
    out.print(Text(), out.table(columns, rows))
