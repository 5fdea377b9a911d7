"""What the names of a line's keys tell."""

from typing import Any

import pytest

from ingester.lines import event_of, stamped
from tracklog.ingester import shape
from tracklog.processors.line import Kind


@pytest.mark.parametrize(
    "more", [{f"key{number}": 1 for number in range(100)}, {"k" * 20_000: 1}, {"text": "t" * 20_000}]
)
def test_an_unusual_shape_is_not_kept(more: dict[str, Any]) -> None:
    """Its names may be megabytes; what it tells is the same."""
    usual = event_of(stamped("w", 1, kind="output", agent_name="A")).shape
    before = len(shape._kept)
    unusual = event_of(stamped("w", 1, kind="output", agent_name="A", **more)).shape
    assert before == len(shape._kept)
    assert (usual.kind, usual.identity, (*usual.data, *more)) == (unusual.kind, unusual.identity, unusual.data)


def test_lines_of_the_same_names_have_one_shape() -> None:
    """Whatever their values are, but for the kind that they state."""
    lines = [stamped("w", seq, kind="output", count=seq) for seq in (1, 2)]
    assert event_of(lines[0]).shape is event_of(lines[1]).shape
    assert Kind.RELEVANCE is event_of(lines[0] | {"kind": "relevance"}).shape.kind
