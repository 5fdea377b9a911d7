"""The command `llm`: what was asked of language models, and what they answered."""

import difflib
from typing import Any, Final

import click
from rich.padding import Padding
from rich.text import Text

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import screen
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.calls import call_title
from tracklog.analytics.commands.dialogue import Dialogue, Said, dialogue
from tracklog.analytics.commands.listing import short_ids
from tracklog.analytics.commands.pager import pages
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import ELLIPSIS, one_line, safe
from tracklog.analytics.record import Record

_LINES: Final = 10
"""Lines of a terminal that one message may take when it is cut."""

_PIPE_WIDTH: Final = 200
_REST: Final = 300
"""Columns of what stands beside the messages: settings, usage."""

_ROLES: Final = {"system": "yellow", "user": "cyan", "assistant": "green", "tool": "magenta"}


@click.command("llm")
@click.argument("id")
@click.option("--call", "number", type=click.IntRange(min=1), metavar="N", help="Only this call, the first being 1.")
@click.option("--diff", "pair", type=click.IntRange(min=1), nargs=2, metavar="A B", help="Compare two calls.")
@click.option("--full", is_flag=True, help="Shorten nothing, and repeat what earlier calls sent.")
@asks
@pages
def command(asked: Asked, id: str, number: int | None, pair: tuple[int, int] | None, full: bool) -> None:  # noqa: A002 -- the name is what the help shows.
    """Show what the execution ID asked of language models, and what they answered.

    Messages that a call sent again, as the call before it did, are only counted.
    """
    if number is not None and pair is not None:
        raise click.UsageError("choose one of --call and --diff")
    with asked.analytics() as analytics:
        execution_id = asked.resolve(analytics, id)
        answer = analytics.get_llm_interactions(execution_id)
        shortest = {} if asked.json else short_ids(Screen(), analytics, [execution_id])
    calls: list[Record] = answer.calls
    for wanted in (number, *(pair or ())):
        if wanted is not None and wanted > len(calls):
            has = f"calls 1 to {len(calls)}" if len(calls) > 1 else ("one call" if calls else "no calls")
            raise click.UsageError(f"there is no call {wanted}: the execution {execution_id} has {has}")
    short = shortest.get(execution_id, execution_id)
    if pair is not None:
        _compare(asked, calls, pair, short)
        return
    if asked.json:
        screen.print_json(answer if number is None else calls[number - 1])
        return
    out = Screen()
    if not calls:
        out.print(Text("No LLM calls were logged."))
        out.hint(asked.hint("show", short))
        return
    is_cut = False
    for place, call in enumerate(calls, start=1):
        if number in (None, place):
            before = calls[place - 2] if place > 1 and number is None and not full else None
            out.print(*([Text()] if place > 1 and number is None else []), call_title(place, call))
            is_cut |= _print_call(out, call, before, place, full=full)
    out.hint(asked.hint(*_next(calls, short, number, is_cut=is_cut)))


def _next(calls: list[Record], short: str, number: int | None, *, is_cut: bool) -> list[str]:
    """Suggest a failed call, or all of what was cut, or a comparison."""
    failed = next((place for place, call in enumerate(calls, start=1) if call.status == "failed"), None)
    if number is None and len(calls) > 1 and (failed is not None or is_cut):
        return ["llm", short, "--call", str(failed or len(calls)), *(["--full"] if is_cut else [])]
    if is_cut:
        return ["llm", short, *(["--call", str(number)] if number is not None else []), "--full"]
    if len(calls) > 1:
        other = (number or len(calls)) - 1 or len(calls)
        return ["llm", short, "--diff", *map(str, sorted((other, number or len(calls))))]
    return ["timeline", short]


def _print_call(out: Screen, call: Record, before: Record | None, number: int, *, full: bool) -> bool:
    """Print a call below its title; true if something of it was left out."""
    request, response = dialogue(call.request), dialogue(call.response)
    repeated = _repeated(request, before) if before is not None else 0
    is_cut = _print_dialogue(out, "Request", request, repeated, number - 1, full=full)
    is_cut |= _print_dialogue(out, "Response", response, 0, 0, full=full)
    _print_error(out, call)
    if call.finish_reason:
        out.print(Text(f"  finished: {one_line(call.finish_reason)}", style="dim"))
    return is_cut or repeated > 0


def _print_error(out: Screen, call: Record) -> None:
    if error := error_of(call):
        out.print(Text(f"  {safe(error)}", style="red"))


def _repeated(request: Dialogue, before: Record) -> int:
    """Count the first messages that were sent, or answered, by the call before."""
    known = (*dialogue(before.request).messages, *dialogue(before.response).messages)
    pairs = zip(request.messages, known, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(request.messages), len(known)))


def _print_dialogue(out: Screen, title: str, said: Dialogue, repeated: int, known: int, *, full: bool) -> bool:
    if not said.messages and not said.rest:
        return False
    out.print(Text(f"  {title}", style="dim"))
    is_cut = False
    if said.rest:
        settings = Text(safe(one_line(dict(said.rest), None if full else _REST)), style="dim")
        is_cut |= not full and settings.plain.endswith(ELLIPSIS)
        out.print(Padding(settings, (0, 0, 0, 4)))
    if repeated:
        out.print(Text(f"    {ELLIPSIS} {_messages(repeated)} as in call {known}", style="dim"))
    for message in said.messages[repeated:]:
        text, left_out = (message.text, 0) if full else _cut(message.text, min(out.width, _PIPE_WIDTH))
        is_cut |= left_out > 0
        _print_message(out, message, text, left_out)
    return is_cut


def _messages(number: int) -> str:
    return "1 message" if number == 1 else f"{number:,} messages"


def _print_message(out: Screen, message: Said, text: str, left_out: int) -> None:
    if message.role:
        style = _ROLES.get(message.role.partition(" ")[0], "blue")
        out.print(Text(f"    {one_line(message.role)}", style=style))
    body = Text(safe(text))
    if left_out:
        body.append(f"{ELLIPSIS} {left_out:,} more characters, see --full", style="dim")
    out.print(Padding(body, (0, 0, 0, 6 if message.role else 4)))


def _cut(text: str, width: int) -> tuple[str, int]:
    """Cut a message to a few lines of so many columns; give what is left of it, and how many characters are not."""
    shown = "\n".join(text.split("\n")[:_LINES])[: _LINES * max(10, width - 6)]
    return shown, len(text) - len(shown)


def _compare(asked: Asked, calls: list[Record], pair: tuple[int, int], short: str) -> None:
    one, other = (calls[place - 1] for place in pair)
    changes = {name: difference(one[name], other[name], pair) for name in ("request", "response")}
    if asked.json:
        errors = difference(error_of(one) or None, error_of(other) or None, pair)
        screen.print_json({"calls": list(pair), **changes, "error": errors})
        return
    out = Screen()
    for place, call in zip(pair, (one, other), strict=True):
        out.print(call_title(place, call))
        _print_error(out, call)
    for name, lines in changes.items():
        out.print(Text(), Text(name.capitalize(), style="bold").append("" if lines else "  the same", style="not bold"))
        out.print(*map(screen.changed, lines))
    out.hint(asked.hint("llm", short, "--call", str(pair[1]), "--full"))


def difference(one: Any, other: Any, pair: tuple[int, int]) -> list[str]:
    """Give the unified diff of two requests or responses; empty when they are the same."""
    first, second = (dialogue(payload).lines() for payload in (one, other))
    return list(difflib.unified_diff(first, second, f"call {pair[0]}", f"call {pair[1]}", lineterm=""))
