"""What a log directory holds, and programs that are run for what they write there."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

Line = dict[str, Any]


def files(directory: Path) -> list[Path]:
    """Give the segments, in the order in which they were begun."""
    return sorted(directory.glob("*.jsonl"), key=lambda path: path.name.rsplit(".", 2)[1])


def all_lines(directory: Path) -> list[Line]:
    """Read every line of every file; each must be whole."""
    return [orjson.loads(line) for path in files(directory) for line in path.read_bytes().splitlines() if line]


def lines(directory: Path) -> list[Line]:
    """Read the lines but for the writers' own."""
    return [line for line in all_lines(directory) if not str(line.get("kind")).startswith("writer.")]


def line(directory: Path) -> Line:
    """Read the only line."""
    (only,) = lines(directory)
    return only


def kinds(directory: Path) -> list[str | None]:
    """Give the kinds of the lines."""
    return [line.get("kind") for line in lines(directory)]


def of_kind(directory: Path, kind: str) -> list[Line]:
    """Give the lines of a kind."""
    return [line for line in all_lines(directory) if line.get("kind") == kind]


def events(directory: Path) -> list[Any]:
    """Give the events of the ordinary lines."""
    return [line["event"] for line in lines(directory) if "kind" not in line]


def run_program(program: str, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )


def start_program(program: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start a program whose output can be read, and which can be killed."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so; fail when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
