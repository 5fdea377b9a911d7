"""The command `completion`, and what a shell is told of an SQLite database while somebody types."""

import sqlite3
from typing import Any, Final
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem, get_completion_class

_MOST: Final = 50
"""So many ids are offered; a shell asks before it shows more."""

_PATIENCE_SECONDS: Final = 0.3
"""So long a database may be busy before nothing is offered."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes a shell complete commands, options, agents and ids.

    bash: eval "$(tracklog completion bash)" in ~/.bashrc; zsh the same in ~/.zshrc, after compinit; fish: tracklog
    completion fish > ~/.config/fish/completions/tracklog.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    context = click.get_current_context()
    if shell == "bash":
        # click asks which bash there is, and complains of one that is too old, by running it.
        click.echo(kind.source_template % kind(context.command, {}, "tracklog", "_TRACKLOG_COMPLETE").source_vars())
        return
    click.echo(kind(context.command, {}, "tracklog", "_TRACKLOG_COMPLETE").source())


def complete(command: click.Command) -> None:
    """Let the parameters of a command that are agents or ids be completed."""
    for parameter in command.params:
        if parameter.name == "agent":
            parameter._custom_shell_complete = agents
        elif parameter.name in ("id", "ids", "id_a", "id_b") and command.name != "conversation":
            parameter._custom_shell_complete = ids


def agents(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Give the agents whose names begin with what was typed."""
    sql = "SELECT DISTINCT agent_name FROM agent_executions WHERE substr(agent_name, 1, ?) = ? ORDER BY agent_name"
    return [CompletionItem(name) for (name,) in _rows(context, sql, (len(typed), typed)) if _plain(name)]


def ids(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Give the ids that begin with what was typed, the newest first, and what stands for the newest."""
    sql = (
        "SELECT execution_id, agent_name, status FROM agent_executions WHERE substr(execution_id, 1, ?) = ? "
        f"ORDER BY created_at DESC LIMIT {_MOST}"
    )
    found = [
        CompletionItem(identity, help=f"{agent} {status}" if _plain(agent) else str(status))
        for identity, agent, status in _rows(context, sql, (len(typed), typed))
        if _plain(identity)
    ]
    return found + [CompletionItem(name) for name in ("@last", "@last-failed") if name.startswith(typed)]


def _plain(text: str | None) -> bool:
    """Say whether a text can be typed, and be shown by a shell, as it is."""
    return text is not None and text != "" and text.isprintable() and " " not in text


def _rows(context: click.Context, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Ask the SQLite file that is set; nothing when there is none, or it cannot be asked at once."""
    from tracklog.analytics.commands.settings import value

    try:
        url = context.params.get("database") or context.find_root().params.get("database") or value("database")
        scheme, separator, rest = url.partition("://")
        if separator and not scheme.startswith("sqlite"):
            return []
        path = rest.removeprefix("/").partition("?")[0] if separator else url
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()
    except (sqlite3.Error, click.ClickException):
        return []
