"""Files, what they are and how far they were read."""

import gzip
import os
from pathlib import Path
from typing import Any

from ingester.lines import dumps, read_on, stamped, wrapped
from tracklog.ingester.batch import fold_pieces
from tracklog.ingester.identify import Compression
from tracklog.ingester.sources import Checkpoint, Portion, Source, find


class Reading:
    """Read a file as the ingester does, committing each portion, with a database that is a dict."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], Checkpoint] = {}
        self.portions: list[Portion] = []

    def open(self, path: Path) -> Source:
        return find("host", str(path), self.known)

    def drain(self, source: Source) -> list[Any]:
        """Read all there is, and give the events' texts."""
        events: list[Any] = []
        while source.is_due():
            if not source.is_same():
                source.renew()
            portion = read_on(source, 1000)
            self.known[portion.after.identity.locator] = portion.after
            self.portions.append(portion)
            events += [event.fields["event"] for event in portion.events()]
        return events

    def read(self, path: Path) -> list[Any]:
        """Open a file, as after a restart, read what is new and close it."""
        source = self.open(path)
        try:
            return self.drain(source)
        finally:
            source.close()


def lines(first: int, last: int, text: str = "") -> bytes:
    return dumps(*(stamped("w", seq, event=f"{text}{seq}") for seq in range(first, last + 1)))


def names(first: int, last: int, text: str = "") -> list[str]:
    return [f"{text}{seq}" for seq in range(first, last + 1)]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_a_restart_goes_on_where_it_ended(tmp_path: Path) -> None:
    """What was committed is not read again, however small the file was then."""
    path, reading = tmp_path / "a.log", Reading()
    path.write_bytes(b"")
    assert [] == reading.read(path)
    for first, last in ((1, 1), (2, 3), (4, 40)):
        append(path, lines(first, last))
        assert names(first, last) == reading.read(path)
    assert [] == reading.read(path)
    assert 1 == len(reading.known)


def test_a_renamed_file_is_the_same(tmp_path: Path) -> None:
    """Rotation by renaming neither loses nor repeats a line."""
    path, reading = tmp_path / "a.log", Reading()
    path.write_bytes(lines(1, 3))
    reading.read(path)
    append(path, lines(4, 5))
    path.rename(tmp_path / "a.log.1")
    path.write_bytes(lines(6, 7))
    assert names(4, 5) == reading.read(tmp_path / "a.log.1")
    assert names(6, 7) == reading.read(path)


def test_a_truncated_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    """Also one that is longer than before when it is looked at again."""
    path, reading = tmp_path / "a.log", Reading()
    path.write_bytes(lines(1, 30))
    source = reading.open(path)
    assert names(1, 30) == reading.drain(source)
    path.write_bytes(lines(31, 32))
    assert names(31, 32) == reading.drain(source)
    path.write_bytes(lines(33, 90))
    assert names(33, 90) == reading.drain(source)
    assert 2 == source.checkpoint.generation
    source.close()


def test_another_content_behind_the_same_head_is_noticed(tmp_path: Path) -> None:
    """The bytes before the position tell what inode, size and the first kilobyte cannot."""
    path, reading = tmp_path / "a.log", Reading()
    head = lines(1, 20)
    path.write_bytes(head + lines(21, 30, "old"))
    reading.read(path)
    with path.open("r+b") as file:
        file.write(head + lines(21, 60, "new"))
    assert names(1, 20) + names(21, 60, "new") == reading.read(path)


def test_a_replaced_file_is_another_one(tmp_path: Path) -> None:
    """A new file under an old name, even one with the inode of the old, is read from its beginning."""
    path, reading = tmp_path / "a.log", Reading()
    path.write_bytes(lines(1, 3))
    reading.read(path)
    path.unlink()
    path.write_bytes(lines(4, 9))
    assert names(4, 9) == reading.read(path)


def test_a_deleted_file_is_read_to_its_end(tmp_path: Path) -> None:
    """Whoever holds it open reads what was written before it went."""
    path, reading = tmp_path / "a.log", Reading()
    path.write_bytes(lines(1, 3))
    source = reading.open(path)
    reading.drain(source)
    append(path, lines(4, 5))
    path.unlink()
    assert source.is_unlinked()
    assert names(4, 5) == reading.drain(source)
    source.close()


def test_a_torn_line_waits_until_its_writer_is_gone(tmp_path: Path) -> None:
    """A line without its end is read when the end comes, and quarantined when nobody is there to write it."""
    path, reading = tmp_path / "a.log", Reading()
    whole = lines(1, 2)
    path.write_bytes(whole[:-10])
    source = reading.open(path)
    assert names(1, 1) == reading.drain(source)
    append(path, whole[-10:])
    assert names(2, 2) == reading.drain(source)
    append(path, b'{"event": "ha')
    assert [] == reading.drain(source)
    portion = source.read_torn()
    assert portion is not None
    assert [(len(whole), b'{"event": "ha')] == [(line.offset, line.head) for line in portion.rejected]
    source.go_on(portion)
    assert source.read_torn() is None
    source.close()


def test_a_compressed_file_is_read_once(tmp_path: Path) -> None:
    """Its position is that of the decompressed text; read to its end, it is not decompressed again."""
    path, reading = tmp_path / "a.log.gz", Reading()
    path.write_bytes(gzip.compress(lines(1, 50)))
    assert names(1, 50) == reading.read(path)
    checkpoint = reading.portions[-1].after
    assert (Compression.GZIP, len(lines(1, 50)), True) == (
        checkpoint.compression,
        checkpoint.position,
        checkpoint.ended,
    )
    portions = len(reading.portions)
    assert [] == reading.read(path)
    assert portions == len(reading.portions)


def test_a_file_that_is_no_log_does_not_fill_the_quarantine(tmp_path: Path) -> None:
    """The first hundred of its lines are kept, the others counted."""
    path, reading = tmp_path / "a.log", Reading()
    path.write_bytes(b"".join(b"no json %d\n" % number for number in range(250)))
    assert [] == reading.read(path)
    assert 100 == sum(len(portion.rejected) for portion in reading.portions)
    assert 250 == reading.portions[-1].after.lines_quarantined == reading.portions[-1].after.lines


def test_lines_that_a_runtime_split_are_read_when_they_are_whole(tmp_path: Path) -> None:
    """A part alone holds the position back, so that a restart does not lose it."""
    path, reading = tmp_path / "a.log", Reading()
    start = b"2026-11-23T10:00:00.5Z stdout "
    path.write_bytes(start + b'F {"event": "one"}\n' + start + b'P {"event": \n')
    assert ["one"] == reading.read(path)
    append(path, start + b'F "two"}\n')
    assert ["two"] == reading.read(path)
    assert os.stat(path).st_size == reading.portions[-1].after.position


def test_what_was_taken_ends_within_a_line_that_a_runtime_split(tmp_path: Path) -> None:
    """It ends where the line begins, by what was taken of the file, which is another one before that is known."""
    path = tmp_path / "a.log"
    whole, split = wrapped(lines(1, 20), 10_000), wrapped(lines(21, 21), 10_000)[:60].replace(b" F ", b" P ") + b"\n"
    path.write_bytes(whole + split)
    source = Reading().open(path)
    portion = source.take(10_000)
    os.pwrite(descriptor := os.open(path, os.O_WRONLY), b"x" * 100, len(whole) - 100)
    ((tally,), _) = fold_pieces([portion.piece])
    source.note(portion, tally)
    source.go_on(portion)
    assert len(whole) == portion.after.position
    assert not source.is_same()
    os.pwrite(descriptor, whole[-100:], len(whole) - 100)
    assert source.is_same()
    os.close(descriptor)
    again = read_on(source)
    assert again.after == again.before
    source.close()


def test_a_segments_header_names_its_writer(tmp_path: Path) -> None:
    """The writer and segment of a file of ours are known from its first line."""
    path, reading = tmp_path / "a.jsonl", Reading()
    path.write_bytes(dumps(stamped("w", 1, kind="writer.opened", segment=3)) + lines(2, 3))
    source = reading.open(path)
    header = source.header()
    assert header is not None
    assert "w" == header.writer
    reading.drain(source)
    assert ("w", 3) == (source.checkpoint.writer, source.checkpoint.segment)
    source.close()
    other = tmp_path / "b.jsonl"
    other.write_bytes(lines(2, 3))
    source = reading.open(other)
    assert source.header() is None
    source.close()


def test_a_segments_number_may_be_nonsense(tmp_path: Path) -> None:
    """What a header says goes with the position, which no line may keep from being stored."""
    path, reading = tmp_path / "a.log", Reading()
    for segment in (2**63 - 1, -1, "3", True):
        path.write_bytes(dumps(stamped("w", 1, event="opened", kind="writer.opened", segment=segment)))
        assert ["opened"] == reading.read(path)
        assert None is reading.portions[-1].after.segment, segment
        path.unlink()


def test_a_file_that_was_cut_and_renamed_stays_itself(tmp_path: Path) -> None:
    """A file that begins anew is read where it is, and not what has its name by now."""
    path, reading = tmp_path / "a.log", Reading()
    path.write_bytes(lines(1, 3))
    source = reading.open(path)
    assert names(1, 3) == reading.drain(source)
    with path.open("r+b") as file:
        file.truncate()
        file.write(lines(4, 4))
    path.rename(tmp_path / "a.log.1")
    path.write_bytes(lines(5, 9))
    assert names(4, 4) == reading.drain(source)
    source.close()
    assert names(5, 9) == reading.read(path)
