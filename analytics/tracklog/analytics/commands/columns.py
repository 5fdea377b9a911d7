"""Fit tables to a width: leave out what can be left out, then cut what can be cut; ids and numbers stay whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = 2
"""Blanks between columns."""

_FEWEST: Final = 4
"""Columns of the screen that are left of a cell where there is no room for any column's `least`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table of answers."""

    title: str
    right: bool = False
    least: int | None = None
    """Cells may be cut to so many columns of the screen, and to fewer before a table is too wide; None for never."""
    drop: int = 0
    """The column is left out where there is no room, those with the greatest number first; 0 for never."""
    wrap: bool = False
    """Cells that are too wide go on in the next line instead of being cut."""


def fit(columns: Sequence[Column], natural: Sequence[int], width: int) -> dict[int, int]:
    """Give the places of the columns that are shown, and their widths.

    :param natural: The width that each column's widest cell asks for.
    :param width: What there is for all; exceeded only if nothing more can be left out or cut.

    >>> fit([Column("ID"), Column("NOTE", least=5)], [8, 50], 40)
    {0: 8, 1: 30}
    >>> fit([Column("ID"), Column("STARTED", drop=1), Column("NOTE", least=15)], [8, 19, 50], 40)
    {0: 8, 2: 30}
    >>> fit([Column("ID"), Column("NAME", least=16), Column("NOTE", least=15)], [8, 19, 50], 30)
    {0: 8, 1: 9, 2: 9}
    """
    shown = list(range(len(columns)))

    def least(place: int) -> int:
        bound = columns[place].least
        return natural[place] if bound is None else min(bound, natural[place])

    def total(widths: Sequence[int]) -> int:
        return sum(widths) + GAP * (len(widths) - 1)

    while total([least(place) for place in shown]) > width:
        droppable = [place for place in shown if columns[place].drop]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda place: columns[place].drop))
    widths = {place: natural[place] for place in shown}
    excess = total(list(widths.values())) - width
    cuttable = [place for place in shown if columns[place].least is not None]
    for fewest in (None, _FEWEST):
        while excess > 0 and (wide := [place for place in cuttable if widths[place] > (fewest or least(place))]):
            # The widest gives way first, so that no long name takes the room of what is said of it.
            widths[max(wide, key=lambda place: widths[place])] -= 1
            excess -= 1
    return widths
