"""Which stamped lines were seen, so that a copy of one is not taken for a new one."""

from dataclasses import dataclass, field

from tracklog.analytics.search.entry import Entry
from tracklog.ingester.ranges import Ranges, add, contains


@dataclass(slots=True)
class Seen:
    """The numbers of each writer's lines.

    They may come out of order: of two segments the later one may be read first.
    """

    _numbers: dict[str, Ranges] = field(default_factory=dict)

    def is_new(self, entry: Entry) -> bool:
        """Tell whether a line was not seen before; from now on it was. One without a stamp is always new."""
        stamp = _stamp_of(entry)
        if stamp is None:
            return True
        writer, number = stamp
        numbers = self._numbers.setdefault(writer, [])
        if contains(numbers, number):
            return False
        add(numbers, number)
        return True

    def begin_behind(self, entry: Entry) -> None:
        """Take a line, and all that its writer wrote before it, as seen."""
        stamp = _stamp_of(entry)
        if stamp is not None:
            writer, number = stamp
            known = self._numbers.get(writer)
            self._numbers[writer] = [[1, max(number, known[-1][1] if known else 0)]]


def _stamp_of(entry: Entry) -> tuple[str, int] | None:
    writer, number = entry.stated("writer"), (entry.fields or {}).get("seq")
    return (writer, number) if writer is not None and isinstance(number, int) and number > 0 else None
