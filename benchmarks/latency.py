"""The way of a line to an answer: from the logging call to the row that a reader sees, with a real daemon."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

_WRITER = """
import sys, time
import structlog
from tracklog.processors import configure, execution
configure({logs!r}, console=False)
log = structlog.get_logger()
began = time.time()
with execution("Bench", execution_id="latency"):
    for number in range({seconds} * {rate}):
        log.info("tick", sent=time.time())
        time.sleep(max(0.0, began + number / {rate} - time.time()))
"""

RATE = 1000
FILES = 500


def measure(directory: Path, seconds: int) -> tuple[float, float]:
    """Give the median and the 99th percentile, in milliseconds, at 1,000 lines a second beside 500 quiet files."""
    logs, database = directory / "latency-logs", directory / "latency.db"
    logs.mkdir()
    for number in range(FILES):
        (logs / f"quiet{number}.jsonl").write_bytes(b'{"event":"quiet","execution_id":"quiet"}\n')
    ingest = [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "ingest", str(logs)]
    daemon = subprocess.Popen([*ingest, "--db", str(database)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not database.exists():
            time.sleep(0.05)
        time.sleep(3)
        program = _WRITER.format(logs=str(logs), seconds=seconds, rate=RATE)
        writer = subprocess.Popen([sys.executable, "-c", program])
        delays = _watch(database, seconds * RATE)
        writer.wait()
    finally:
        daemon.terminate()
        daemon.wait()
    delays.sort()
    return delays[len(delays) // 2], delays[int(len(delays) * 0.99)]


def _watch(database: Path, expected: int) -> list[float]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    delays: list[float] = []
    last = 0
    deadline = time.monotonic() + 60
    while len(delays) < expected and time.monotonic() < deadline:
        rows = connection.execute(
            "SELECT seq, json_extract(data, '$.sent') FROM agent_execution_logs"
            " WHERE execution_id = 'latency' AND seq > ? AND message = 'tick'",
            (last,),
        ).fetchall()
        now = time.time()
        for seq, sent in rows:
            last = max(last, seq)
            delays.append((now - sent) * 1000)
        time.sleep(0.002)
    connection.close()
    if len(delays) < expected:
        raise RuntimeError(f"only {len(delays)} of {expected} lines arrived")
    return delays
