"""Lines that could not be read, tried again."""

import gzip
from pathlib import Path

from ingester import kept
from tracklog.ingester.quarantine import Retried, retry

GOOD = b'{"event":"good","execution_id":"e1"}\n'
BAD = b'{"event":"bad" ,"execution_id":"e1"\n'
MENDED = b'{"event":"bad", "execution_id":"e"}\n'


def retried(database: str) -> Retried:
    return kept.with_store(database, retry)


def unsettled(database: str) -> int:
    rows = kept.query(database, "SELECT count(*) FROM tracklog_quarantine WHERE settled_at IS NULL")
    return int(rows[0][0])


def test_what_cannot_be_read_stays(database: str, tmp_path: Path) -> None:
    """Trying again changes nothing."""
    (tmp_path / "a.jsonl").write_bytes(GOOD + BAD)
    kept.ingest(database, tmp_path)
    assert Retried(refused=1) == retried(database)
    assert unsettled(database) == 1


def test_what_can_be_read_now_is_taken_in_once(database: str, tmp_path: Path) -> None:
    """A line that was mended in its place, as another version's reader would see it; the count is right."""
    assert len(BAD) == len(MENDED)
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD * 40 + BAD + GOOD * 40)
    kept.ingest(database, tmp_path)
    with path.open("r+b") as file:
        file.seek(len(GOOD) * 40)
        file.write(MENDED)
    assert Retried(settled=1) == retried(database)
    assert Retried() == retried(database)
    assert unsettled(database) == 0
    kept.ingest(database, tmp_path)
    messages = kept.query(database, "SELECT execution_id, count(*) FROM agent_execution_logs GROUP BY 1 ORDER BY 1")
    assert [("e", 1), ("e1", 80)] == messages


def test_a_compressed_files_line_is_found(database: str, tmp_path: Path) -> None:
    """By its decompressed offset."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(GOOD + BAD + GOOD))
    kept.ingest(database, tmp_path)
    assert Retried(refused=1) == retried(database)


def test_what_is_gone_is_said_to_be(database: str, tmp_path: Path) -> None:
    """A file that was deleted, or became another one."""
    (tmp_path / "a.jsonl").write_bytes(GOOD + BAD)
    (tmp_path / "b.jsonl").write_bytes(BAD + GOOD)
    kept.ingest(database, tmp_path)
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "b.jsonl").write_bytes(b"something else altogether\n")
    assert Retried(gone=2) == retried(database)
