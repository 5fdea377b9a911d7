"""The command `chain`: who called whom."""

from typing import Final

import click
from rich.text import Text
from rich.tree import Tree

from tracklog.analytics.commands import diagram, screen, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.listing import short_ids
from tracklog.analytics.commands.pager import pages
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record

_INDENT: Final = 4
"""Columns that a level of the tree takes."""

_LEAST_REASON: Final = 12
_MOST_REASON: Final = 100
"""Columns of the reason of a call: with less room it is left out, and it is never longer."""


@click.command("chain")
@click.argument("id")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "mermaid", "dot", "json"]),
    default="tree",
    show_default=True,
    help="For people, for Markdown, for Graphviz, for programs.",
)
@asks
@pages
def command(asked: Asked, id: str, form: str) -> None:  # noqa: A002 -- the name is what the help shows.
    """Draw the calls that led to the execution ID, from the root, and all that it led to."""
    with asked.analytics() as analytics:
        execution_id = asked.resolve(analytics, id)
        links = analytics.get_execution_call_chain(execution_id)
        if asked.json or form == "json":
            screen.print_json(links)
            return
        out = Screen()
        root_id = links[0]["parent_execution_id"] if links else execution_id
        root = analytics.get_execution(root_id) or Record()
        if form != "tree":
            drawn = diagram.nodes(root_id, root, links)
            click.echo(diagram.mermaid(drawn, links) if form == "mermaid" else diagram.dot(drawn, links))
            return
        shortest = short_ids(out, analytics, [root_id, *(link["child_execution_id"] for link in links)])

    def label(record_id: str, agent: str | None, link: Record, depth: int = 0) -> Text:
        text = screen.name(agent)
        if record_id == execution_id:
            text.stylize("bold")
        text.append("  ").append_text(screen.status(link.get("status")))
        text.append(f"  {units.duration(link.get('duration_ms'))}  ")
        text.append_text(screen.ids(out, shortest, record_id))
        room = out.width - text.cell_len - _INDENT * depth - 2
        if link.get("call_reason") and room >= _LEAST_REASON:
            text.append(f"  {one_line(link['call_reason'], min(room, _MOST_REASON))}", style="dim")
        return text

    tree = Tree(label(root_id, root.get("agent_name"), root), guide_style="dim")
    branches = {root_id: tree}
    for link in links:
        child = link["child_execution_id"]
        branches[child] = branches[link["parent_execution_id"]].add(
            label(child, link["child_agent"], link, link["depth"])
        )
    out.print(tree)
    out.hint(asked.hint("show", shortest.get(execution_id, execution_id)))
