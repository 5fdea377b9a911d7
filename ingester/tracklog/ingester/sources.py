"""The files that are read: for each what it is, how far it was read, and an open descriptor while it is needed."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tracklog.ingester.batch import TOO_LONG, Piece, Tally, events_of
from tracklog.ingester.decode import QUARANTINE_HEAD, Event, Rejected, decode, ordinal_of, reject
from tracklog.ingester.identify import (
    HEAD_BYTES,
    TAIL_BYTES,
    Compression,
    Identity,
    compression_of,
    digest,
    identity_of,
    read_at,
    source_id,
)
from tracklog.ingester.read import Chunk, Decompressed, Fetch, open_file, plain, read_lines
from tracklog.ingester.unwrap import line_at
from tracklog.processors.line import Kind

_HEADER_BYTES: Final = 1 << 16
_TORN: Final = "torn: its writer ended in the middle of it"

_QUARANTINED_PER_SOURCE: Final = 100
"""Of a file that is no log at all, so many lines are kept; the others are only counted."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a source was read: the row of `tracklog_sources`, committed with the rows that it produced."""

    source_id: str
    path: str
    identity: Identity
    generation: int
    compression: Compression | None = None
    head_length: int = 0
    head_hash: str = digest(b"")
    tail_length: int = 0
    tail_hash: str = digest(b"")
    position: int = 0
    size: int = 0
    skipping: bool = False
    ended: bool = False
    writer: str | None = None
    segment: int | None = None
    lines: int = 0
    lines_passed: int = 0
    lines_quarantined: int = 0


@dataclass(slots=True)
class Portion:
    """What one turn read of a source, not committed yet."""

    source: "Source"
    before: Checkpoint | None
    """What the database holds when this is committed, once it was noted; None for a source that it does not know."""
    after: Checkpoint
    """What it holds then; until the portion was noted, where it begins."""
    piece: Piece
    chunk: Chunk
    tail: bytes
    """What stands before the chunk's end, for the checkpoint: taken with it, as the file may be another one soon."""
    status: os.stat_result
    """Of the file, from before it was read."""
    rejected: list[Rejected] = field(default_factory=list)
    opened: list[Event] = field(default_factory=list)
    """The headers of its segments."""
    bytes_read: int = 0
    refused: set[int] = field(default_factory=set)
    """The offsets of lines that the database does not take."""

    def events(self) -> Iterator[Event]:
        """Decode its lines again, but for those that were refused."""
        return events_of(self.piece, self.refused)


class Source:
    """One file, under whatever name, with one content; another content is another source."""

    def __init__(
        self, host: str, path: str, stored: Checkpoint | None, checkpoint: Checkpoint, descriptor: int | None = None
    ) -> None:
        self.host = host
        self.path = path
        self.stored = stored
        self.checkpoint = checkpoint
        self.at_end = False
        """Whether the last turn read all there was."""
        self.seen_size = -1
        self.seen_mtime_ns = -1
        self._descriptor = descriptor
        self._fetch: Fetch | None = None
        self._taken: deque[Portion] = deque()
        """What was read and is not noted yet, in its order."""
        self._joins = False
        """Whether it has lines that a runtime split: where a portion of it ends is known when it was folded."""

    @property
    def is_open(self) -> bool:
        """Tell whether its descriptor is held, so that it can be read though it was deleted."""
        return self._descriptor is not None

    def is_due(self) -> bool:
        """Tell whether there may be something to read since the last turn.

        :raises OSError: The file cannot be looked at.
        """
        if not self.at_end:
            return True
        status = os.fstat(self.fileno())
        return status.st_size != self.seen_size or status.st_mtime_ns != self.seen_mtime_ns

    def bytes_behind(self) -> int:
        """Count the bytes that are on disk and not committed; of a compressed file that is not at its end, its size.

        The beginning of a line that its writer has not ended, after all lines that there were, is not behind.
        """
        try:
            size = os.fstat(self.fileno()).st_size
        except OSError:
            return 0
        if self.at_end and size == self.seen_size:
            return 0
        if self.checkpoint.compression is not None:
            return 0 if self.at_end else size
        return max(0, size - self.checkpoint.position)

    def is_unended(self) -> bool:
        """Tell whether it was read as far as it goes, and ends within a line or within its compressed stream."""
        if self.is_broken():
            return True
        return self.at_end and self.checkpoint.compression is None and self.seen_size > self.checkpoint.position

    def is_broken(self) -> bool:
        """Tell whether it is open, compressed, and could not be read to its end."""
        return isinstance(self._fetch, Decompressed) and self._fetch.is_broken

    def ends_early(self) -> bool:
        """Read on, and tell whether nothing comes but the end of what is there of its compressed stream.

        :raises OSError: The file cannot be read.
        """
        return not self.take(1).piece.data and self.is_broken()

    def is_unlinked(self) -> bool:
        """Tell whether the file has no name any more, and only the descriptor keeps it."""
        return os.fstat(self.fileno()).st_nlink == 0

    def header(self) -> Event | None:
        """Read the header of a segment of ours; None if the file is none."""
        first, newline, _ = read_at(self.fileno(), 0, _HEADER_BYTES).partition(b"\n")
        event = decode(first, 0) if newline else None
        return event if isinstance(event, Event) and event.kind is Kind.WRITER_OPENED else None

    def fileno(self) -> int:
        """Give the descriptor, opened if it is not.

        :raises OSError: The file cannot be opened.
        """
        if self._descriptor is None:
            self._descriptor = open_file(self.path)
        return self._descriptor

    def close(self) -> None:
        """Let go of the descriptor."""
        self._forget_stream()
        self.take_back()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _forget_stream(self) -> None:
        if isinstance(self._fetch, Decompressed):
            self._fetch.close()
        self._fetch = None

    def is_same(self) -> bool:
        """Check that the content is still the one that was read: identity, size, head, tail.

        :raises OSError: The file cannot be read.
        """
        descriptor = self.fileno()
        status = os.fstat(descriptor)
        checkpoint = self._end()
        if identity_of(descriptor, status).locator != checkpoint.identity.locator:
            return False
        if digest(read_at(descriptor, 0, checkpoint.head_length)) != checkpoint.head_hash:
            return False
        if checkpoint.compression is not None:
            return status.st_size >= checkpoint.size
        if status.st_size < checkpoint.position:
            return False
        tail = read_at(descriptor, checkpoint.position - checkpoint.tail_length, checkpoint.tail_length)
        return digest(tail) == checkpoint.tail_hash

    def _end(self) -> Checkpoint:
        """Give where the next portion begins: behind what was taken."""
        if not self._taken:
            return self.checkpoint
        last = self._taken[-1]
        return replace(
            last.after,
            position=last.chunk.position,
            tail_length=len(last.tail),
            tail_hash=digest(last.tail),
            size=last.status.st_size,
            skipping=last.chunk.skipping,
        )

    @property
    def is_ahead(self) -> bool:
        """Tell whether something was taken that is not noted yet."""
        return bool(self._taken)

    def is_next(self, portion: Portion) -> bool:
        """Tell whether a portion still follows on what was noted, and was not taken back."""
        return self.is_ahead and self._taken[0] is portion

    def waits(self) -> bool:
        """Tell whether what was taken is to be noted first, as only then it is known where it ends."""
        return self._joins and self.is_ahead

    def has_more(self) -> bool:
        """Tell whether there may be more than what was taken."""
        return not self._taken or not self._taken[-1].chunk.at_end

    def take_back(self) -> None:
        """Forget what was taken and not noted: it is read again."""
        self._taken.clear()

    def rest(self) -> None:
        """Take a compressed file that was read to its end for read, unless it has grown since."""
        status = os.fstat(self.fileno())
        if status.st_size == self.checkpoint.size:
            self.at_end = True
            self.seen_size, self.seen_mtime_ns = status.st_size, status.st_mtime_ns

    def renew(self) -> None:
        """Begin again from 0: the content is another one, the file the same, and its descriptor, whatever its name."""
        checkpoint = self.checkpoint
        generation = checkpoint.generation + 1
        self._forget_stream()
        self.take_back()
        self.stored = None
        self.checkpoint = Checkpoint(
            source_id=source_id(self.host, checkpoint.identity, generation),
            path=self.path,
            identity=checkpoint.identity,
            generation=generation,
        )
        self.at_end = False

    def rewind(self, stored: Checkpoint | None) -> None:
        """Go back to what the database holds, after a commit that failed or that another ingester was before."""
        self.stored = stored
        if stored is not None:
            self.checkpoint = stored
        else:
            now = self.checkpoint
            self.checkpoint = Checkpoint(now.source_id, self.path, now.identity, now.generation)
        self._forget_stream()
        self.take_back()
        self.at_end = False

    def take(self, limit: int) -> Portion:
        """Read about `limit` bytes of whole lines behind those that were taken; they are to be noted in their order.

        :raises OSError: The file cannot be read.
        """
        descriptor = self.fileno()
        status = os.fstat(descriptor)
        checkpoint = self._look(descriptor, status)
        fetch = self._reader(descriptor, checkpoint.compression)
        chunk = read_lines(fetch, checkpoint.position, limit, skipping=checkpoint.skipping)
        if chunk.at_end and isinstance(fetch, Decompressed):
            chunk = fetch.with_last_line(chunk)
        self.at_end = False
        portion = self._portion(checkpoint, chunk, status)
        self._taken.append(portion)
        return portion

    def _portion(self, checkpoint: Checkpoint, chunk: Chunk, status: os.stat_result) -> Portion:
        piece = Piece(checkpoint.source_id, chunk.start, chunk.data)
        return Portion(self, None, checkpoint, piece, chunk, self._tail(checkpoint, chunk.position), status)

    def _tail(self, checkpoint: Checkpoint, position: int) -> bytes:
        length = 0 if checkpoint.compression is not None else min(position, TAIL_BYTES)
        return read_at(self.fileno(), position - length, length)

    def note(self, portion: Portion, tally: Tally) -> None:
        """Note what became of the lines of a portion, and so where it ends."""
        checkpoint, begun, status, chunk = self.checkpoint, portion.after, portion.status, portion.chunk
        position = chunk.position
        portion.before = self.stored
        portion.bytes_read = position - begun.position
        portion.opened, portion.rejected = tally.opened, tally.rejected
        if chunk.too_long is not None:
            long = chunk.too_long
            portion.rejected.append(replace(reject(long.head, long.offset, TOO_LONG), length=long.length))
        # What a runtime split and has not ended is read again: its parts are not in the database yet. But of a part
        # without an end in a whole batch the other half is lost.
        if tally.unfinished is not None:
            self._joins = True
            if tally.unfinished > begun.position or chunk.at_end:
                position = min(position, tally.unfinished)
        tail_length, tail_hash = _tail_before(portion, position)
        header = portion.opened[0] if portion.opened else None
        segment = ordinal_of(header.fields.get("segment")) if header is not None else None
        kept = max(0, _QUARANTINED_PER_SOURCE - checkpoint.lines_quarantined)
        rejected = len(portion.rejected)
        del portion.rejected[kept:]
        portion.after = replace(
            checkpoint,
            path=self.path,
            compression=begun.compression,
            head_length=begun.head_length,
            head_hash=begun.head_hash,
            position=position,
            tail_length=tail_length,
            tail_hash=tail_hash,
            size=status.st_size,
            skipping=chunk.skipping,
            ended=chunk.at_end and begun.compression is not None and not self.is_broken(),
            writer=header.writer if header is not None else checkpoint.writer,
            segment=segment if segment is not None else checkpoint.segment,
            lines=checkpoint.lines + tally.understood + rejected,
            lines_passed=checkpoint.lines_passed + tally.passed,
            lines_quarantined=checkpoint.lines_quarantined + rejected,
        )
        if self.is_next(portion):
            self._taken.popleft()
        if position != chunk.position:
            self.take_back()
        self.at_end = chunk.at_end
        self.seen_size, self.seen_mtime_ns = status.st_size, status.st_mtime_ns

    def go_on(self, portion: Portion) -> None:
        """Go on behind a portion, which is in the database, or is going to be before the next one."""
        self.stored = self.checkpoint = portion.after

    def reread(self, offset: int) -> Event | Rejected | None:
        """Decode the one line at an offset again; None if no line ends there, or nothing is left of it.

        :raises OSError: The file cannot be read.
        """
        line = line_at(self._reader(self.fileno(), self.checkpoint.compression), offset)
        return decode(line.text, line.offset, time=line.time) if line is not None else None

    def refuse(self, portion: Portion, event: Event, reason: str) -> None:
        """Take an event out of what was read, and put its line into the quarantine."""
        start = event.offset - portion.piece.offset
        line = portion.piece.data[start:].partition(b"\n")[0]
        portion.refused.add(event.offset)
        if portion.after.lines_quarantined < _QUARANTINED_PER_SOURCE:
            portion.rejected.append(reject(line, event.offset, reason))
        portion.after = replace(portion.after, lines_quarantined=portion.after.lines_quarantined + 1)

    def _reader(self, descriptor: int, compression: Compression | None) -> Fetch:
        if self._fetch is None or (compression is not None and not isinstance(self._fetch, Decompressed)):
            self._fetch = Decompressed(descriptor, compression) if compression else plain(descriptor)
        return self._fetch

    def read_torn(self) -> Portion | None:
        """Take what follows the last newline into the quarantine, once nobody is there to end the line.

        :raises OSError: The file cannot be read.
        """
        descriptor = self.fileno()
        checkpoint = self.checkpoint
        status = os.fstat(descriptor)
        length = status.st_size - checkpoint.position
        if checkpoint.compression is not None or length <= 0:
            return None
        torn = reject(
            read_at(descriptor, checkpoint.position, min(length, QUARANTINE_HEAD)), checkpoint.position, _TORN
        )
        nothing = Chunk(checkpoint.position, b"", status.st_size, False, None, True)
        portion = self._portion(checkpoint, nothing, status)
        self.note(portion, Tally(rejected=[replace(torn, length=length)]))
        return portion

    def _look(self, descriptor: int, status: os.stat_result) -> Checkpoint:
        """Take the head's hash, and again while the head grows."""
        checkpoint = self._end()
        if checkpoint.head_length >= HEAD_BYTES or checkpoint.head_length >= status.st_size:
            return checkpoint
        head = read_at(descriptor, 0, HEAD_BYTES)
        compression = compression_of(head) if checkpoint.position == 0 else checkpoint.compression
        return replace(checkpoint, head_length=len(head), head_hash=digest(head), compression=compression)


def _tail_before(portion: Portion, position: int) -> tuple[int, str]:
    """Give the length and hash of what stands before where a portion ends, of what was taken: the file may be another.

    Where that is a line that a runtime split, it is as much as the portion has, and not what stands before it.
    """
    begun, chunk = portion.after, portion.chunk
    if position == begun.position != chunk.position:
        return begun.tail_length, begun.tail_hash
    tail = portion.tail
    if position != chunk.position and begun.compression is None:
        tail = chunk.data[: position - chunk.start][-TAIL_BYTES:]
    return len(tail), digest(tail)


def find(host: str, path: str, known: Mapping[tuple[int, int], Checkpoint]) -> Source:
    """Open the file at a path and find its checkpoint among the known ones, by its identity; else begin at 0.

    :param known: The latest generation for each locator, as the database has it.
    :raises OSError: The file cannot be read.
    """
    descriptor = open_file(path)
    try:
        identity = identity_of(descriptor, os.fstat(descriptor))
        stored = known.get(identity.locator)
        checkpoint = stored or Checkpoint(source_id(host, identity, 0), path, identity, 0)
        source = Source(host, path, stored, checkpoint, descriptor)
        if stored is not None and not source.is_same():
            source.renew()
        elif stored is not None and stored.ended:
            source.rest()
    except OSError:
        os.close(descriptor)
        raise
    return source
