"""The command `completion`, and what a shell is told of a database while somebody types."""

import asyncio
import contextlib
import os
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
    """Let the parameters of a command that are agents, conversations or ids be completed."""
    for parameter in command.params:
        if parameter.name == "agent":
            parameter._custom_shell_complete = agents
        elif parameter.name == "conversation" or (parameter.name == "id" and command.name == "conversation"):
            parameter._custom_shell_complete = conversations
        elif parameter.name in ("id", "ids", "id_a", "id_b", "execution"):
            parameter._custom_shell_complete = ids


def agents(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Give the agents whose names begin with what was typed."""
    sql = "SELECT DISTINCT agent_name FROM agent_executions WHERE substr(agent_name, 1, $1) = $2 ORDER BY agent_name"
    return [CompletionItem(name) for (name,) in _rows(context, sql, typed) if _plain(name)]


def conversations(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Give the conversations whose ids begin with what was typed, the newest first."""
    sql = (
        "SELECT conversation_id FROM (SELECT conversation_id, created_at FROM agent_executions"
        f" WHERE substr(conversation_id, 1, $1) = $2 ORDER BY created_at DESC LIMIT {_MOST * _MOST}) AS newest"
        f" GROUP BY conversation_id ORDER BY max(created_at) DESC LIMIT {_MOST}"
    )
    return [CompletionItem(identity) for (identity,) in _rows(context, sql, typed) if _plain(identity)]


def ids(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Give the ids that begin with what was typed, the newest first, and what stands for the newest."""
    sql = (
        "SELECT execution_id, agent_name, status FROM agent_executions WHERE substr(execution_id, 1, $1) = $2"
        f" ORDER BY created_at DESC LIMIT {_MOST}"
    )
    found = [
        CompletionItem(identity, help=f"{agent} {status}" if _plain(agent) else str(status))
        for identity, agent, status in _rows(context, sql, typed)
        if _plain(identity)
    ]
    return found + [CompletionItem(name) for name in ("@last", "@last-failed") if name.startswith(typed)]


def _plain(text: str | None) -> bool:
    """Say whether a text can be typed, and be shown by a shell, as it is."""
    return text is not None and text != "" and text.isprintable() and " " not in text


def _rows(context: click.Context, sql: str, typed: str) -> list[tuple[Any, ...]]:
    """Ask the database that is set, without the libraries that the answers need.

    Nothing comes when there is none, or it cannot be asked at once: whoever types has not asked for an error.
    """
    from tracklog.analytics.commands.settings import value

    with contextlib.suppress(Exception):
        url = context.params.get("database") or context.find_root().params.get("database") or value("database")
        scheme, separator, rest = url.partition("://")
        if separator and not scheme.startswith("sqlite"):
            return asyncio.run(_postgresql_rows(f"postgresql://{rest}", sql, typed))
        path = os.path.expanduser(rest.removeprefix("/").partition("?")[0] if separator else url)
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)
        ) as connection:
            return connection.execute(sql.replace("$", "?"), (len(typed), typed)).fetchall()
    return []


async def _postgresql_rows(url: str, sql: str, typed: str) -> list[tuple[Any, ...]]:
    import asyncpg

    async with asyncio.timeout(_PATIENCE_SECONDS * 5):
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(sql, len(typed), typed)]
        finally:
            await connection.close()
