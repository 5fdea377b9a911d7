"""Draw numbers with characters: spans of time as bars, and rows of numbers as a line."""

from collections.abc import Sequence
from typing import Final

_LEVELS: Final = "▁▂▃▄▅▆▇█"


def bar(start: float, length: float, whole: float, width: int, fill: str, *, ended: bool = True) -> str:
    """Draw a span of a whole in so many columns; it is never too short to be seen.

    >>> bar(0, 50, 100, 10, "█"), bar(50, 25, 100, 8, "░"), bar(100, 0, 100, 4, "█")
    ('█████', '    ░░', '   █')
    >>> bar(0, 100, 100, 4, "█", ended=False)
    '███▸'
    """
    if width <= 0:
        return ""
    if whole <= 0:
        return fill if ended else "▸"
    first = min(width - 1, max(0, int(start / whole * width)))
    last = min(width, max(first + 1, round((start + length) / whole * width)))
    drawn = fill * (last - first)
    return " " * first + (drawn if ended else drawn[:-1] + "▸")


def sparkline(numbers: Sequence[float]) -> str:
    """Draw numbers beside each other, the greatest as a full block, nothing as a blank.

    >>> sparkline([0, 1, 4, 8]), sparkline([]), sparkline([0, 0])
    (' ▁▄█', '', '  ')
    """
    most = max(numbers, default=0)
    return "".join(
        _LEVELS[max(0, min(len(_LEVELS) - 1, round(number / most * len(_LEVELS)) - 1))] if number > 0 else " "
        for number in numbers
    )
