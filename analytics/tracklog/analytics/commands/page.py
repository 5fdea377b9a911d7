"""Write executions as one page of HTML that needs nothing else: to be handed to somebody."""

import html
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import units
from tracklog.analytics.commands.dialogue import dialogue
from tracklog.analytics.commands.logline import message_of
from tracklog.analytics.commands.text import as_json, one_line, safe
from tracklog.analytics.record import Record

_STYLE: Final = """
:root { color-scheme: light dark; --dim: #777; --line: #8884; --llm: #8e44ad; --stage: #2c6fbb; --run: #2e7d32; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; border-top: 1px solid var(--line); padding-top: 1em; margin-top: 2em; }
h3 { font-size: 1em; margin: 1.5em 0 .5em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2em 1.2em; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3em 0 .8em; padding: .5em .8em;
  border-left: 3px solid var(--line); }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--dim); font-weight: normal; }
td, th { padding: .1em .8em .1em 0; vertical-align: top; }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.text { overflow-wrap: anywhere; } td.lane { width: 45%; } td.lane div { position: relative; height: 1em; }
td.lane i { position: absolute; height: .8em; top: .3em; min-width: 2px; border-radius: 2px; opacity: .45; }
i.critical { opacity: 1 !important; } i.llm { background: var(--llm); } i.stage { background: var(--stage); }
i.execution { background: var(--run); } i.bad { background: #c62828 !important; }
details { margin: .4em 0; } summary { cursor: pointer; } code { overflow-wrap: anywhere; }
.success, .completed { color: #2e7d32; } .failed, .crashed, .error { color: #c62828; } .dim { color: var(--dim); }
.timeout, .unanswered, .warning { color: #b26a00; } .skipped { color: #00838f; }
"""

_KNOWN: Final = frozenset(
    ("success", "completed", "failed", "crashed", "timeout", "unanswered", "skipped", "warning", "error")
)
_BAD: Final = ("failed", "timeout", "crashed", "unanswered")

_FACTS: Final = (
    ("Execution", "execution_id"),
    ("Called by", "parent_execution_id"),
    ("Reason", "call_reason"),
    ("Conversation", "conversation_id"),
    ("Vault", "vault_id"),
    ("User", "user_id"),
    ("Stage", "current_stage"),
    ("Reasoning", "relevance_reasoning"),
    ("Input", "input_data"),
    ("Output", "output_data"),
    ("Metadata", "metadata"),
)


def page(waterfalls: Iterable[Record], wholes: Iterable[Record]) -> str:
    """Write the page.

    :param waterfalls: The time lines that stand first.
    :param wholes: The executions that are told in full, each with its logs, LLM calls and children.
    """
    wholes = list(wholes)
    first = wholes[0].execution if wholes else Record(agent_name=None)
    title = f"{_name(first)} {first.get('execution_id', '')}"
    known = {whole.execution.execution_id: f"e{number}" for number, whole in enumerate(wholes)}
    parts = [_waterfall(one, known) for one in waterfalls]
    parts += [_whole(whole, known) for whole in wholes]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Nothing that a log holds could be run or fetched, even if something of it were not escaped.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _text(value: Any) -> str:
    """Write a value as text of HTML, what is no text as JSON."""
    return html.escape(safe(value if isinstance(value, str) else as_json(value, indent=True).decode()))


def _name(record: Record) -> str:
    name = record.get("agent_name") or "unknown agent"
    return f"{name}.{record['method']}" if record.get("method") else name


def _status(status: str | None) -> str:
    return f'<span class="{status if status in _KNOWN else "dim"}">{_text(status or units.NOTHING)}</span>'


def _waterfall(waterfall: Record, known: dict[str, str]) -> str:
    whole = max(((span.start_ms or 0.0) + (span.duration_ms or 0.0) for span in waterfall.spans), default=0.0) or 1.0
    rows = "\n".join(_bar(span, whole, known) for span in waterfall.spans)
    took = units.duration(waterfall.duration_ms)
    return (
        f"<h1>{_text(_name(waterfall))} {_status(waterfall.status)} <small>{took}</small></h1>\n"
        "<table><tr><th>What</th><th>Start</th><th>Took</th><th>Full colour: the critical path</th></tr>\n"
        f"{rows}</table>"
    )


def _bar(span: Record, whole: float, known: dict[str, str]) -> str:
    name = _text(f"llm {span.name or 'unknown model'}" if span.kind == "llm" else span.name or "unknown")
    if span.kind == "execution" and span.execution_id in known:
        name = f'<a href="#{known[span.execution_id]}">{name}</a>'
    if span.status in _BAD:
        name += f" {_status(span.status)}"
    start, lane = units.NOTHING, ""
    if span.start_ms is not None:
        start = f"+{units.duration(span.start_ms)}"
        left = min(100.0, 100 * span.start_ms / whole)
        width = min(100.0 - left, 100 * (span.duration_ms or 0.0) / whole)
        kinds = f"{span.kind}{' critical' if span.critical else ''}{' bad' if span.status in _BAD else ''}"
        lane = f'<div><i class="{kinds}" style="left:{left:.3f}%;width:{width:.3f}%"></i></div>'
    took = units.duration(span.duration_ms) if span.ended else units.NOTHING
    return (
        f'<tr><td style="padding-left:{min(span.depth, 20)}em">{name}</td><td class="n">{start}</td>'
        f'<td class="n">{took}</td><td class="lane">{lane}</td></tr>'
    )


def _whole(whole: Record, known: dict[str, str]) -> str:
    execution = whole.execution
    started = execution.started_at or execution.created_at
    facts = [("Started", units.moment(started)), ("Took", units.duration(execution.duration_ms))]
    facts += [(title, execution[field]) for title, field in _FACTS if execution[field] not in (None, "")]
    listed = "\n".join(f"<dt>{title}</dt><dd>{_text(value)}</dd>" for title, value in facts)
    parts = [
        f'<h2 id="{known[execution.execution_id]}">{_text(_name(execution))} {_status(execution.status)}</h2>',
        f"<dl>{listed}</dl>",
        *_error(execution),
        *_calls(whole.llm_calls),
        *_children(whole.children, known),
        *_logs(whole.logs),
    ]
    return "\n".join(parts)


def _error(execution: Record) -> Iterator[str]:
    if error := error_of(execution):
        yield f'<h3 class="error">{_text(error)}</h3>'
    if execution.error_traceback:
        yield f"<pre>{_text(execution.error_traceback)}</pre>"


def _calls(calls: list[Record]) -> Iterator[str]:
    for number, call in enumerate(calls, start=1):
        told = [_text(call.model or "unknown model"), _status(call.status), units.duration(call.latency_ms)]
        if call.tokens_used is not None:
            told.append(f"{call.tokens_used:,} tokens")
        opened = " open" if call.status in _BAD else ""
        error = f'<p class="error">{_text(error_of(call))}</p>' if error_of(call) else ""
        yield (
            f"<details{opened}><summary>LLM call {number}: {' '.join(told)}</summary>\n"
            f"{_payload('Request', call.request)}{_payload('Response', call.response)}{error}</details>"
        )


def _payload(title: str, payload: Any) -> str:
    said = dialogue(payload)
    if not said.messages and not said.rest:
        return ""
    parts = [f"<h3>{title}</h3>"]
    if said.rest:
        parts.append(f'<div class="dim"><code>{_text(one_line(dict(said.rest)))}</code></div>')
    for message in said.messages:
        parts += [f"<b>{_text(message.role)}</b>"] if message.role else []
        parts.append(f"<pre>{_text(message.text)}</pre>")
    return "\n".join(parts)


def _children(children: list[Record], known: dict[str, str]) -> Iterator[str]:
    if not children:
        return
    yield "<h3>Called</h3>\n<ul>"
    for child in children:
        name = _text(_name(child))
        if child.execution_id in known:
            name = f'<a href="#{known[child.execution_id]}">{name}</a>'
        reason = f" {_text(child.call_reason)}" if child.call_reason else ""
        told = f"{name} {_status(child.status)} {units.duration(child.duration_ms)}"
        yield f'<li>{told}<span class="dim">{reason}</span></li>'
    yield "</ul>"


def _logs(logs: list[Record]) -> Iterator[str]:
    if not logs:
        return
    first = next((log["timestamp"] for log in logs if log["timestamp"] is not None), None)
    yield f"<details><summary>{units.plural(len(logs), 'log line')}</summary>\n<table>"
    for log in logs:
        time = log["timestamp"]
        elapsed = (
            f"+{(time - first).total_seconds():.3f} s" if time is not None and first is not None else units.NOTHING
        )
        level = log["level"] if log["level"] in _KNOWN else "error" if log["level"] == "critical" else ""
        yield (
            f'<tr><td class="n">{elapsed}</td><td>{_text(one_line(log["level"]))}</td>'
            f"<td>{_text(one_line(log['stage']))}</td>"
            f'<td class="text {level}">{_text(message_of(log).plain)}</td></tr>'
        )
    yield "</table></details>"
