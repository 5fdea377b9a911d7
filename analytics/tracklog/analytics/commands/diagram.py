"""Write a call chain for programs that draw: Mermaid and Graphviz."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tracklog.analytics.commands import units
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record

_LABEL: Final = 80
"""Columns of a name or a reason; drawings of more are not readable."""

_COLOURS: Final = {
    "success": "#2e7d32",
    "failed": "#c62828",
    "timeout": "#ef6c00",
    "crashed": "#8e0000",
    "skipped": "#00838f",
    "pending": "#757575",
}
_OTHER: Final = "#1565c0"


@dataclass(frozen=True, slots=True)
class Node:
    """An execution as it is drawn."""

    execution_id: str
    agent: str | None
    status: str | None
    duration_ms: float | None

    @property
    def lines(self) -> tuple[str, str]:
        """What is written into it."""
        status = one_line(self.status) or "unknown"
        took = f", {units.duration(self.duration_ms)}" if self.duration_ms is not None else ""
        return one_line(self.agent, _LABEL) or units.NOTHING, status + took

    @property
    def colour(self) -> str:
        """The colour of its status."""
        return _COLOURS.get(self.status or "", _OTHER)


def nodes(root_id: str, root: Record, links: Iterable[Record]) -> list[Node]:
    """Give the executions of a chain, the root first."""
    first = Node(root_id, root.get("agent_name"), root.get("status"), root.get("duration_ms"))
    return [
        first,
        *(Node(one.child_execution_id, one.child_agent, one.status, one.duration_ms) for one in links),
    ]


def mermaid(drawn: list[Node], links: Iterable[Record]) -> str:
    """Write a flowchart of Mermaid.

    >>> print(mermaid([Node("e1", 'The "Editor"', "success", 812.0)], []))
    flowchart TD
        n0["The #quot;Editor#quot;<br>success, 812 ms"]
        style n0 stroke:#2e7d32
    """
    lines = ["flowchart TD"]
    for number, node in enumerate(drawn):
        lines.append(f'    n{number}["{"<br>".join(map(_entities, node.lines))}"]')
    lines += _edges(
        drawn, links, lambda a, b, why: f'    n{a} -->|"{_entities(why)}"| n{b}' if why else f"    n{a} --> n{b}"
    )
    lines += [f"    style n{number} stroke:{node.colour}" for number, node in enumerate(drawn)]
    return "\n".join(lines)


def dot(drawn: list[Node], links: Iterable[Record]) -> str:
    r"""Write a graph of Graphviz.

    >>> print(dot([Node("e1", 'The "Editor"', "success", 812.0)], []))
    digraph chain {
      node [shape=box, style=rounded];
      n0 [label="The \"Editor\"\nsuccess, 812 ms", color="#2e7d32", tooltip="e1"];
    }
    """
    lines = ["digraph chain {", "  node [shape=box, style=rounded];"]
    for number, node in enumerate(drawn):
        label = r"\n".join(map(_quotable, node.lines))
        tooltip = _quotable(one_line(node.execution_id))
        lines.append(f'  n{number} [label="{label}", color="{node.colour}", tooltip="{tooltip}"];')
    lines += _edges(
        drawn, links, lambda a, b, why: f"  n{a} -> n{b}" + (f' [label="{_quotable(why)}"];' if why else ";")
    )
    return "\n".join([*lines, "}"])


def _edges(drawn: list[Node], links: Iterable[Record], write: Callable[[int, int, str], str]) -> Iterator[str]:
    numbers = {node.execution_id: number for number, node in enumerate(drawn)}
    for link in links:
        why = one_line(link.call_reason, _LABEL)
        yield write(numbers[link.parent_execution_id], numbers[link.child_execution_id], why)


def _entities(text: str) -> str:
    """Write what means something to Mermaid as its entities."""
    return re.sub(r'["#&<>;`|\[\]{}()\\]', lambda match: "#quot;" if match[0] == '"' else f"#{ord(match[0])};", text)


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
