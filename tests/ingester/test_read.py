"""From a file to whole lines."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tracklog.ingester import read
from tracklog.ingester.identify import Compression
from tracklog.ingester.read import Decompressed, Fetch, is_whole_zstd, plain, read_lines


def fetch_from(data: bytes, piece: int = 1 << 20) -> Fetch:
    return lambda offset, length: data[offset : offset + min(length, piece)]


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.integers(1, 40), st.integers(1, 9))
def test_every_line_is_read_once_whatever_the_batch(lines: list[bytes], limit: int, piece: int) -> None:
    """Lines are the same, with their offsets and without zeros before them, however the reads fall."""
    data = b"".join(line + b"\n" for line in lines) + b"a tail"
    position, found = 0, []
    while True:
        chunk = read_lines(fetch_from(data, piece), position, limit)
        found += chunk.lines
        if chunk.position == position:
            break
        position = chunk.position
    assert [text for line in lines if (text := line.lstrip(b"\x00"))] == [line for _, line in found]
    assert all(data[offset:].startswith(line + b"\n") for offset, line in found)
    assert len(data) - len(b"a tail") == position


def test_a_tail_waits_for_its_newline() -> None:
    """What has no newline yet is not read, and not passed."""
    chunk = read_lines(fetch_from(b'one\n{"half'), 0, 100)
    assert ([(0, b"one")], 4, True) == (chunk.lines, chunk.position, chunk.at_end)
    chunk = read_lines(fetch_from(b'one\n{"half": 1}\n'), 4, 100)
    assert [(4, b'{"half": 1}')] == chunk.lines


def test_a_line_over_the_limit_is_passed_over_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told with its place and first bytes, and reading goes on behind it, also by another reader."""
    monkeypatch.setattr(read, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(read, "_STEP_BYTES", 16)
    data = b"before\n" + b"x" * 1000 + b"\nafter\n"
    position, skipping, found, reported = 0, False, [], []
    for _ in range(100):
        chunk = read_lines(fetch_from(data), position, 50, skipping=skipping)
        assert chunk.position - position <= 200
        found += chunk.lines
        reported += [chunk.too_long] if chunk.too_long is not None else []
        if chunk.position == position and chunk.at_end:
            break
        position, skipping = chunk.position, chunk.skipping
    assert [(0, b"before"), (1008, b"after")] == found
    assert [7] == [line.offset for line in reported]
    assert reported[0].head.startswith(b"xxx")


@pytest.mark.parametrize("compression", list(Compression))
def test_compressed_files_are_read_by_decompressed_offsets(tmp_path: Path, compression: Compression) -> None:
    """All members of a compressed file are read, from any position on."""
    lines = [f"line {number}\n".encode() for number in range(1000)]
    one, other = b"".join(lines[:500]), b"".join(lines[500:])
    compress = gzip.compress if compression is Compression.GZIP else zstandard.ZstdCompressor().compress
    path = tmp_path / "log"
    path.write_bytes(compress(one) + compress(other))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for start in (0, len(lines[0]), len(one)):
            fetch = Decompressed(descriptor, compression)
            position, found = start, []
            while (chunk := read_lines(fetch, position, 300)).position > position:
                found += [line for _, line in chunk.lines]
                position = chunk.position
            fetch.close()
            assert [line.rstrip() for line in (one + other)[start:].splitlines()] == found
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("part", [0.5, 0.999])
def test_a_half_written_file_gives_what_it_holds_and_later_the_rest(
    tmp_path: Path, compression: Compression, part: float
) -> None:
    """A compressed file that is being written is no error, and its last line no line; when it is complete, all is."""
    data = b"\n".join(hashlib.sha256(b"%d" % number).hexdigest().encode() for number in range(10000))
    packed = gzip.compress(data) if compression is Compression.GZIP else zstandard.compress(data)
    path = tmp_path / "log"
    path.write_bytes(packed[: int(len(packed) * part)])
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fetch = Decompressed(descriptor, compression)
        first = fetch.with_last_line(read_lines(fetch, 0, 1 << 30))
        assert fetch.is_broken
        assert 0 < first.position < len(data)
        assert first.lines == [*read_lines(fetch, 0, 1 << 30).lines]
        path.write_bytes(packed)
        rest = fetch.with_last_line(read_lines(fetch, first.position, 1 << 30))
        assert not fetch.is_broken
        with path.open("ab") as file:
            file.write(packed)
        more = fetch.with_last_line(read_lines(fetch, rest.position, 1 << 30))
        fetch.close()
        assert [len(data), 2 * len(data)] == [rest.position, more.position]
        assert data.split(b"\n") == [line for _, line in first.lines + rest.lines]
        assert data.split(b"\n") == [line for _, line in more.lines]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 300_000, os.urandom(300_000)], ids=["no", "one", "same", "random"])
@pytest.mark.parametrize("level", [1, 19])
@pytest.mark.parametrize("checksum", [False, True])
def test_a_zstd_file_is_whole_where_its_frames_end(tmp_path: Path, data: bytes, level: int, checksum: bool) -> None:
    """However it is compressed, with any number of frames, and at no place before."""
    path = tmp_path / "log.zst"
    frame = zstandard.ZstdCompressor(level=level, write_checksum=checksum).compress(data)
    skipped = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    packed = frame + skipped + frame
    ends = {0, len(frame), len(frame + skipped), len(packed)}
    for cut in {*range(min(60, len(packed))), *range(0, len(packed), 9973), len(frame) - 1, *ends}:
        path.write_bytes(packed[:cut])
        descriptor = os.open(path, os.O_RDONLY)
        assert (cut in ends) == is_whole_zstd(descriptor), cut
        os.close(descriptor)


def test_a_plain_file_is_read_as_it_is(tmp_path: Path) -> None:
    """Reads give the bytes at their offset, and nothing at the end."""
    path = tmp_path / "log"
    path.write_bytes(b"0123456789")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fetch = plain(descriptor)
        assert (b"345", b"89", b"") == (fetch(3, 3), fetch(8, 10), fetch(10, 5))
    finally:
        os.close(descriptor)


def test_zeros_before_a_line_are_passed_over(tmp_path: Path) -> None:
    """However many there are and wherever one begins to read; those at the end may yet be written over."""
    data = b"one\n" + b"\x00" * 40_000_000 + b"two\n\x00\x00three\n" + b"\x00" * 1000
    path = tmp_path / "log"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fetch = plain(descriptor)
        lines, position = [], 0
        while (chunk := read_lines(fetch, position, 100)).position > position:
            lines += chunk.lines
            position = chunk.position
        assert [(0, b"one"), (40_000_004, b"two"), (40_000_010, b"three")] == lines
        assert (40_000_016, True) == (position, chunk.at_end)
        assert lines[1:] == read_lines(fetch, 4, 1 << 20).lines
        assert lines == read_lines(fetch, 0, 1 << 30).lines
    finally:
        os.close(descriptor)
