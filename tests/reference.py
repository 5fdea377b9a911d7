"""Write docs/reference.md from the command line itself: `make reference`."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.group import COMMANDS, tracklog
from tracklog.analytics.commands.settings import KEYS, PROJECT_FILE
from tracklog.processors.processor import LOG_DIR_VARIABLE
from tracklog.processors.program import SERVICE_VARIABLE
from tracklog.processors.propagate import VARIABLE as CONTEXT_VARIABLE

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

_AGENTS_VARIABLES = (
    (LOG_DIR_VARIABLE, "Where the lines of executions and trackers go in a program that set up no log itself."),
    (SERVICE_VARIABLE, "The program's name in the names of its files; by default the script's."),
    (
        CONTEXT_VARIABLE,
        "The execution that a process was started by: `inject(env, env=True)` puts it there, and"
        " `with extract(os.environ):` in the child makes it the parent of what runs inside.",
    ),
)


def reference() -> str:
    """Write the page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "Made by `make reference` from the command line itself; a test fails where it differs."
    yield "[answers.md](answers.md) explains the answers, [ingesting.md](ingesting.md) the daemon,"
    yield "[logging.md](logging.md) the agent's side."
    yield ""
    yield "## Commands"
    yield ""
    for name, (_, summary) in COMMANDS.items():
        yield f"- [`{name}`](#tracklog-{name}): {_escaped(summary)}"
    yield ""
    yield "Before each command:"
    yield ""
    yield from _parameters(tracklog)
    for name in COMMANDS:
        yield from _command(f"tracklog {name}", _loaded(name))
    yield "## Exit codes"
    yield ""
    yield "| code | meaning |"
    yield "|---|---|"
    for code in Exit:
        yield f"| {code.value} | {code.meaning} |"
    yield ""
    yield "## Settings"
    yield ""
    yield "An option comes first, then the environment, then the nearest"
    yield f"`{PROJECT_FILE}` in this directory or above it, then `tracklog/config.toml` in `$XDG_CONFIG_HOME` or"
    yield "`~/.config`. Paths in a file are taken from its directory."
    yield "`tracklog settings` shows each and where it came from."
    yield ""
    yield "| in a file | environment | default | |"
    yield "|---|---|---|---|"
    for name, key in KEYS.items():
        variables = ", ".join(f"`{variable}`" for variable in key.variables)
        yield f"| `{name}` | {variables} | {f'`{key.default}`' if key.default else ''} | {_escaped(key.meaning)} |"
    yield ""
    yield "What agents read of the environment:"
    yield ""
    yield "| environment | |"
    yield "|---|---|"
    for variable, meaning in _AGENTS_VARIABLES:
        yield f"| `{variable}` | {meaning} |"
    yield ""
    yield "On a terminal also `NO_COLOR`, `FORCE_COLOR` and `TERM` count, and everywhere `COLUMNS`, with their usual"
    yield "meaning."


def _loaded(name: str) -> click.Command:
    command = tracklog.get_command(click.Context(tracklog), name)
    assert command is not None
    return command


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"### {path}"
    yield ""
    yield "```"
    yield " ".join([path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    yield from _help(command)
    yield from _parameters(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _command(f"{path} {name}", below)


def _help(command: click.Command) -> Iterator[str]:
    """Give a command's help, its examples as they are."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            yield from ("```", *(line.strip() for line in paragraph.splitlines()[1:]), "```")
        else:
            yield _escaped(" ".join(paragraph.split()))
        yield ""


def _parameters(command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    rows = [
        (_escaped(names, code=True), _escaped(" ".join(meaning.split())))
        for option in command.params
        if isinstance(option, click.Option) and (record := option.get_help_record(context)) is not None
        for names, meaning in [record]
    ]
    if not rows:
        return
    yield "| option | |"
    yield "|---|---|"
    for names, meaning in rows:
        yield f"| {names} | {meaning} |"
    yield ""


def _escaped(text: str, *, code: bool = False) -> str:
    text = text.replace("|", r"\|")
    return f"`{text}`" if code else re.sub(r"(?<![`\w])(--?[a-z][a-z-]*)(?![\w`])", r"`\1`", text)


if __name__ == "__main__":
    PAGE.write_text(reference())
