"""The command `why`: why an agent did not fire."""

import click
from rich.console import RenderableType
from rich.text import Text

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.freshness import freshness
from tracklog.analytics.commands.listing import did_you_mean, short_ids
from tracklog.analytics.commands.pager import pages
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line, safe
from tracklog.analytics.record import Record

_STYLES = {
    "fired_successfully": "bold green",
    "skipped": "bold cyan",
    "timeout": "bold yellow",
    "failed": "bold red",
    "crashed": "bold red",
    "never_invoked": "bold yellow",
}


@click.command("why")
@click.argument("agent")
@click.option("--conversation", metavar="ID", help="In this conversation.")
@option_vault
@asks
@pages
def command(asked: Asked, agent: str, conversation: str | None, vault: str | None) -> None:
    """Say why AGENT did not fire, with the evidence."""
    with asked.analytics() as analytics:
        result = analytics.debug_why_agent_didnt_fire(agent, conversation, vault)
        if asked.json:
            screen.print_json(result)
            return
        out = Screen()
        every = [*result.executions, *([result.last_execution] if result.last_execution else [])]
        shortest = short_ids(out, analytics, [record.execution_id for record in every])
    title = Text(result.status.replace("_", " "), style=_STYLES.get(result.status, "bold blue"))
    out.print(title.append(f"  {safe(result.message)}", style="not bold default"))
    if result.executions:
        out.print(Text(), _evidence(out, shortest, result))
    if result.executions and len(result.executions) == 1 and result.executions[0].input_data is not None:
        out.print(Text(), screen.facts([("Asked", one_line(result.executions[0].input_data, 2 * min(out.width, 150)))]))
    if conversation is not None and result.agents_in_conversation:
        present = screen.facts(map(_presence, result.agents_in_conversation))
        out.print(Text(), Text("In this conversation", style="bold"), present)
    elif conversation is not None and result.status == "never_invoked":
        out.print(Text(), Text("The database has no execution of this conversation."))
    if result.similar_agents:
        out.print(Text(), Text(did_you_mean(result.similar_agents)))
    if (last := result.last_execution) is not None:
        where = f" in conversation {one_line(last.conversation_id)}" if last.conversation_id else ""
        where += f" in vault {one_line(last.vault_id)}" if last.vault_id else ""
        out.print(Text(), Text(f"It last ran at {units.moment(last.created_at)}{where}: {one_line(last.status)}."))
    out.print(Text(), freshness(result.ingestion))
    if result.executions:
        newest = result.executions[0].execution_id
        out.hint(asked.hint("show", shortest.get(newest, newest)))
    elif result.similar_agents:
        more = ("--conversation", conversation) if conversation is not None else ()
        out.hint(asked.hint("why", result.similar_agents[0], *more))


def _evidence(out: Screen, shortest: dict[str, str], result: Record) -> RenderableType:
    columns = (
        Column("ID"),
        Column("STATUS"),
        Column("STARTED", drop=2),
        Column("TOOK", right=True, drop=3),
        Column("SCORE", right=True, drop=1),
        Column("WHY", least=36),
    )
    rows = (
        (
            screen.ids(out, shortest, record.execution_id),
            screen.status(record.status),
            units.moment(record.created_at),
            units.duration(record.duration_ms),
            f"{record.relevance_score:.2f}" if record.relevance_score is not None else units.NOTHING,
            one_line(error_of(record) or record.relevance_reasoning or record.call_reason),
        )
        for record in result.executions
    )
    return out.table(columns, rows)


def _presence(agent: Record) -> tuple[str, str]:
    counts = ", ".join(f"{one_line(name)} {number:,}" for name, number in agent.status_counts.items())
    return one_line(agent.agent_name) or units.NOTHING, counts
