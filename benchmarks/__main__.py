"""Measure tracklog against what it stands on, side by side, and print one table: `make bench`.

Each row is a ratio: both sides do the same work in turns, and the median of the pairs counts, because machines are
noisy and not alike.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import backlog, hot_path, latency


def main() -> None:
    """Run all benchmarks in their short form."""
    rows: list[tuple[str, str, str, str, str]] = []
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        ours, theirs = _paired(hot_path.ours, hot_path.structlog_alone, place, 5)
        rows.append(("log.info, us", "structlog's fastest", f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}x"))
        ours, theirs = _paired(backlog.ours, backlog.plain_inserts, place, 3)
        rows.append(("backlog, lines/s", "loads + executemany", *_rates(ours, theirs)))
        p50, p95 = latency.measure(place, seconds=5)
        rows.append(("line to answer, ms", "", f"p50 {p50:.0f}, p95 {p95:.0f}", "", ""))
    header = ("what", "against", "ours", "theirs", "ratio")
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"Python {sys.version.split()[0]}, {sys.platform}; medians of paired runs")


def _rates(ours: float, theirs: float) -> tuple[str, str, str]:
    return f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}x"


def _paired(
    ours: Callable[[Path], float], theirs: Callable[[Path], float], place: Path, runs: int
) -> tuple[float, float]:
    """Run both in turns, and give the medians."""
    results: list[tuple[float, float]] = []
    for number in range(runs):
        pair = []
        for side in (ours, theirs):
            directory = place / f"{side.__module__}-{side.__name__}-{number}"
            directory.mkdir()
            pair.append(side(directory))
        results.append((pair[0], pair[1]))
    return statistics.median(one for one, _ in results), statistics.median(other for _, other in results)


if __name__ == "__main__":
    main()
