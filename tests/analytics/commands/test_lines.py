"""Test finding line numbers."""

from pathlib import Path

import pytest

from tracklog.analytics.commands import lines


def test_lines_are_counted_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each offset where a line starts has its number, however the file is cut into blocks."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"first\nsecond\n\nfourth\n")
    for block in (1, 4, 1 << 20):
        monkeypatch.setattr(lines, "_BLOCK", block)
        assert lines.line_numbers(path, [14, 0, 6, 13]) == {0: 1, 6: 2, 13: 3, 14: 4}


def test_offsets_inside_a_line_have_no_number(tmp_path: Path) -> None:
    """An offset at which no line starts, or after the end, is of another file under this name."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"first\nsecond\n")
    assert lines.line_numbers(path, [3, 6, 900]) == {6: 2}


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """There are no numbers for a file that cannot be read."""
    assert lines.line_numbers(tmp_path / "nothing", [0]) == {}
    assert lines.line_numbers(tmp_path, [0]) == {}
