"""Lines that a database refuses, though they were thought storable: found by halves, and put into the quarantine."""

from collections.abc import Sequence

from tracklog.ingester.decode import Event
from tracklog.ingester.errors import RowsRefusedError
from tracklog.ingester.fold import Changes
from tracklog.ingester.sources import Portion
from tracklog.ingester.store import Store

_Line = tuple[Portion, Event]


async def take_out(store: Store, portions: Sequence[Portion]) -> int:
    """Move the lines that the database refuses from the lines of their portions to the rejected ones.

    Nothing is committed by that. Each question is a transaction that is rolled back, so that for n lines of which k are
    refused there are about k * log2(n).

    :returns: How many there were; 0 where every line is taken by itself, and only all together are not.
    """
    lines = [(portion, event) for portion in portions for event in portion.events()]
    refused = await _refused(store, lines)
    for portion, event, reason in refused:
        portion.source.refuse(portion, event, f"the database refuses it: {reason}")
    return len(refused)


async def _refused(store: Store, lines: Sequence[_Line]) -> list[tuple[Portion, Event, str]]:
    changes = Changes()
    for portion, event in lines:
        changes.add(event, portion.after.source_id)
    try:
        await store.attempt(changes.rows())
    except RowsRefusedError as error:
        if len(lines) == 1:
            ((portion, event),) = lines
            return [(portion, event, _reason(error))]
        middle = len(lines) // 2
        return [*await _refused(store, lines[:middle]), *await _refused(store, lines[middle:])]
    return []


def _reason(error: RowsRefusedError) -> str:
    return str(error).partition(" refuses: ")[2].splitlines()[0]
