"""Every encoding, number and shape of a line that somebody refuses: the same tables on both databases."""

import random
from pathlib import Path
from typing import Any

import orjson

from faults.conftest import Record
from faults.length import long_or_short
from faults.oracle import compare_files, read_files, rows_of
from faults.processes import Nursery
from faults.written import Hand, corrupt

VALUES = (
    *(b'"\\u0000"', b'"\\ud800"', b'"\\udc00x"', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc3"', b'"a\x00b"', b'"\x01"'),
    *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"0.1000000000000000055511151231257827"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"1" * 400),
    *(b"[" * depth + b"]" * depth for depth in (100, 250, 260, 900, 1023, 1025, 5000)),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (250, 260, 1023, 1025)),
    *(b'"' + b"x" * size + b'"' for size in (3_000, 20_000, 3_000_000)),
    *(
        b"true",
        b"null",
        b'""',
        b"{}",
        b"[]",
        b'{"":{"":[""]}}',
        b'{"\\u0000":1}',
        b'{"a":1,"a":2}',
        '"\u2028\uffff\U0010ffff"'.encode(),
    ),
    b"{" + b",".join(b'"k%d":%d' % (number, number) for number in range(10_000)) + b"}",
)
KEYS = (
    *("data", "event", "level", "logger", "timestamp", "kind", "stage", "stage_status", "duration_ms", "writer", "seq"),
    *(
        "execution_id",
        "agent_name",
        "method",
        "parent_execution_id",
        "call_id",
        "model",
        "request",
        "response",
        "status",
    ),
    *("input_data", "metadata", "depth", "tokens_used", "input_tokens", "latency_ms", "confidence", "exception"),
)
LINES = (
    *(
        b"",
        b" ",
        b"\r",
        b"\x00" * 50,
        b"[]",
        b"42",
        b'"text"',
        b"null",
        b"{}",
        b"{",
        b"}",
        b'{"a":1}{"b":2}',
        b'{"a":1,}',
    ),
    *(b"\xef\xbb\xbf{}", b"\xff\xfe{}", b"\x1f\x8b", b"{'a': 1}", b'{"execution_id":""}', b'{"execution_id":null}'),
    *(b'{"execution_id":"x","event":"crlf"}\r', b'  {"execution_id":"x","event":"spaces"}  '),
    b'{"execution_id":"' + b"i" * 128 + b'"}',
    b'{"execution_id":"' + b"i" * 129 + b'"}',
    b'{"execution_id":"' + "ü".encode() * 128 + b'","call_id":"' + "😀".encode() * 3000 + b'","kind":"llm.request"}',
)


def corpus() -> bytes:
    """Write every value under every key, in lines of every kind that takes it; and lines of other shapes."""
    hand = Hand("w")
    lines = [line + b"\n" for line in LINES]
    for place, value in enumerate(VALUES):
        for key in KEYS if len(value) < 1 << 20 else KEYS[:2]:
            kind = ("execution.started", "llm.request", "llm.response", "execution.finished", "stage.started", None)[
                place % 6
            ]
            line = orjson.loads(hand.line(execution_id=f"{key}-{place}", kind=kind))
            fields: dict[str, Any] = {name: item for name, item in line.items() if name != key}
            lines.append(orjson.dumps(fields)[:-1] + b',"' + key.encode() + b'":' + value + b"}\n")
    return b"".join(lines)


def test_what_databases_refuse(
    sqlite_database: str, postgres_database: str, nursery: Nursery, tmp_path: Path, record: Record
) -> None:
    """Lines of every encoding, number and depth are rows or in quarantine, and both databases hold the same."""
    logs = tmp_path / "logs"
    logs.mkdir()
    data = corpus().split(b"\n")[:-1]
    for number in range(0, len(data), 60):  # Of one file a hundred lines are quarantined, and the others counted.
        (logs / f"{number}.jsonl").write_bytes(b"\n".join(data[number : number + 60]) + b"\n")
    for database in (sqlite_database, postgres_database):
        nursery.run("ingest", "--once", logs, "--db", database, "--stale-after", "9999d")
        record(compare_files(database, logs))
    reasons = [row["reason"] for row in rows_of(postgres_database, "tracklog_quarantine")]
    assert [] == [reason for reason in reasons if "database" in reason]
    local = {"source_id", "verdict_at", "marked_at", "read_at", "first_seen_at", "quarantined_at", "line_offset"}
    for table in ("agent_execution_logs", "agent_executions", "agent_llm_calls", "agent_call_chains"):
        one, other = (
            [{name: value for name, value in row.items() if name not in local} for row in rows_of(database, table)]
            for database in (sqlite_database, postgres_database)
        )
        assert one == other, table


def test_flipped_bits(database: str, nursery: Nursery, tmp_path: Path, record: Record) -> None:
    """Lines with a flipped bit never stop it; each is a row or in quarantine."""
    logs = tmp_path / "logs"
    logs.mkdir()
    count = long_or_short(100_000, 4_000)
    print("seed 11")
    chance = random.Random(11)
    hand = Hand("w", stamped=False)  # With a stamp, two lines might come to have the same.
    for number in range(count // 100):
        (logs / f"{number}.jsonl").write_bytes(b"".join(corrupt(chance, hand.line(by=None)) for _ in range(100)))
    nursery.run("ingest", "--once", logs, "--db", database)
    content = read_files(logs)
    record(compare_files(database, logs))
    sources = rows_of(database, "tracklog_sources")
    assert len(content.events) + len(content.rejected) == sum(row["lines"] for row in sources)
    assert len(content.rejected) == sum(row["lines_quarantined"] for row in sources)
