"""What was read of some files, and what it says: the part of the work that needs neither file nor database."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tracklog.ingester.decode import Event, Rejected, decode, reject
from tracklog.ingester.fold import Changes, Rows
from tracklog.ingester.read import MAX_LINE_BYTES, split
from tracklog.ingester.unwrap import Unwrapper, is_bare
from tracklog.processors.line import Kind


class Piece(NamedTuple):
    """Whole lines of one source, as they were read."""

    source_id: str
    offset: int
    data: bytes


@dataclass(slots=True)
class Tally:
    """What became of the lines of a piece."""

    understood: int = 0
    passed: int = 0
    """Of these, lines that are about no execution."""
    rejected: list[Rejected] = field(default_factory=list)
    opened: list[Event] = field(default_factory=list)
    """The headers of its segments."""
    unfinished: int | None = None
    """Where the earliest line begins that a container's runtime split and of which the end is not in the piece."""


def fold_pieces(pieces: Iterable[Piece]) -> tuple[list[Tally], Rows]:
    """Fold all lines of some pieces into the same rows, and tally each piece."""
    changes = Changes()
    return [_fold(piece, changes) for piece in pieces], changes.rows()


def events_of(piece: Piece, but: Collection[int] = ()) -> Iterator[Event]:
    """Decode the lines of a piece again, those that were understood, without the ones at some offsets."""
    unwrapper = Unwrapper(MAX_LINE_BYTES)
    for offset, text in split(piece.offset, piece.data):
        if len(text) <= MAX_LINE_BYTES and (line := unwrapper.unwrap(offset, text)) is not None:
            event = decode(line.text, line.offset, time=line.time)
            if isinstance(event, Event) and event.offset not in but:
                yield event


def _fold(piece: Piece, changes: Changes) -> Tally:
    tally, unwrapper, source_id = Tally(), Unwrapper(MAX_LINE_BYTES), piece.source_id
    understood = 0
    for offset, text in split(piece.offset, piece.data):
        if len(text) > MAX_LINE_BYTES:
            tally.rejected.append(reject(text, offset, TOO_LONG))
            continue
        if is_bare(text):  # As most are, and with them there is nothing to join.
            result = decode(text, offset)
        elif (line := unwrapper.unwrap(offset, text)) is not None:
            result = decode(line.text, line.offset, time=line.time)
        else:
            continue
        if isinstance(result, Event):
            understood += 1
            changes.add(result, source_id)
            kind = result.shape.kind
            if kind is _OPENED:
                tally.opened.append(result)
            elif result.execution_id is None and kind is not _CLOSED:
                tally.passed += 1
        elif isinstance(result, Rejected):
            tally.rejected.append(result)
    tally.understood, tally.unfinished = understood, unwrapper.open_offset
    return tally


_OPENED: Final = Kind.WRITER_OPENED
_CLOSED: Final = Kind.WRITER_CLOSED

TOO_LONG: Final = f"longer than {MAX_LINE_BYTES} bytes"
