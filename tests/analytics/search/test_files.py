"""Test finding lines in files."""

import gzip
from pathlib import Path

import pytest
import zstandard

from tracklog.analytics.search import files
from tracklog.analytics.search.pattern import compiled

LINES = [f'{{"event":"line {number}","text":"{"é" * (number % 50)}"}}' for number in range(500)]


def write(path: Path, data: bytes) -> None:
    """Write a file, compressed as its name says."""
    match path.suffix:
        case ".gz":
            data = gzip.compress(data)
        case ".zst":
            data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)


@pytest.mark.parametrize("step", [1, 64, 1000, 1 << 20])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_lines_have_their_places(tmp_path: Path, name: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the blocks, each line has its offset, in what a compressed file holds, and its number from 1."""
    monkeypatch.setattr(files, "_STEP_BYTES", step)
    data = "\n".join(LINES).encode()  # The last one has not ended.
    write(path := tmp_path / name, data)
    found = list(files.found_in(str(path), compiled('line .*9["]').spans))
    assert [line for line in LINES if '9"' in line] == [line.text.decode() for line in found]
    assert [number for number in range(1, 501) if number % 10 == 0] == [line.number for line in found]
    assert [line.text for line in found] == [data[line.offset :].partition(b"\n")[0] for line in found]
    assert len(found) == files.count_in(str(path), compiled('line .*9["]').spans)


def test_an_endless_line_is_searched_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without newlines takes no more memory than the longest line."""
    monkeypatch.setattr(files, "_STEP_BYTES", 16)
    monkeypatch.setattr(files, "_LONGEST", 64)
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 1000 + b"needle")
    (line,) = files.found_in(str(path), compiled("needle").spans)
    assert len(line.text) <= 64 + 16


def test_a_compressed_file_that_is_being_written(tmp_path: Path) -> None:
    """What there is of it is searched."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(LINES).encode())[:-20])
    assert files.count_in(str(path), compiled("line 1").spans) > 50
