"""Run what pages show of a terminal, and write down what it prints: `make reference`."""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from analytics.commands.terminal import Terminal

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "tutorial.md")

_WIDTH = 100
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SAVED = re.compile(r"# (\w+\.py)\n")

_DIFFERS = (
    (re.compile(r"\x1b\[[0-9;?]*[A-Za-z]"), ""),
    (re.compile(r", but no\s+ingester\s+runs,.*?\bin\.", re.DOTALL), "."),  # Said some seconds after it has ended.
    (re.compile(r"\S*/?logs/\S*"), "FILE"),
    (re.compile(r"\d{8}T\d{6}Z\.[0-9a-f]{16}"), "STAMP"),
    (re.compile(r"\b01[0-9a-f]{6}(?:-[0-9a-f]{1,12})*\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?(?: UTC)?|\d\d:\d\d:\d\d\.\d+"), "TIME"),
    (re.compile(r"\+?\d[\d,.]* (?:ms|s)\b"), "TOOK"),
    (re.compile(r"\d[\d.]* (?:%|kB)"), "AMOUNT"),
    (re.compile(r"[█░▸]+"), "BAR"),
)
"""What is not the same in two runs."""


def differences(shown: str, printed: str) -> list[str]:
    """Give the cells that only one of two texts has, but for what differs from run to run.

    Where a cell is cut does so too: ids of one moment need more digits, and leave less room to the others.
    """
    one, other = _cells(shown), _cells(printed)
    only, rest = list((one - other).elements()), list((other - one).elements())
    for cell in tuple(only):
        twin = next((its for its in rest if _cut_alike(cell, its)), None)
        if twin is not None:
            only.remove(cell)
            rest.remove(twin)
    return [*(f"- {cell}" for cell in only), *(f"+ {cell}" for cell in rest)]


def _cells(printed: str) -> Counter[str]:
    for pattern, replacement in _DIFFERS:
        printed = pattern.sub(replacement, printed)
    return Counter(cell for cell in re.split(r" {2,}|\n", printed) if cell.strip())


def _cut_alike(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=lambda cell: len(cell.removesuffix("…").rstrip()))
    return shorter.endswith("…") and longer.startswith(shorter.removesuffix("…").rstrip())


def told(page: Path) -> list[tuple[str, str]]:
    """Give the commands that a page shows, each with what it says it prints."""
    return [one for kind, text in _BLOCK.findall(page.read_text()) if kind == "console" for one in _commands(text)]


def _commands(block: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed.rstrip("\n")


def demo(directory: Path) -> None:
    """Run the demo in a directory."""
    made = [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "demo", "--directory", "."]
    subprocess.run(made, cwd=directory, check=True, capture_output=True)


def run(page: Path, directory: Path) -> Iterator[tuple[str, str]]:
    """Do what a page says, in a directory, and give each command with what it prints."""
    if page.name == "README.md":  # It asks about the demo.
        demo(directory)
    for kind, text in _BLOCK.findall(page.read_text()):
        if kind == "console":
            for command, _ in _commands(text):
                yield command, _printed(command, directory)
        elif (saved := _SAVED.match(text)) is not None:
            (directory / saved[1]).write_text(text)
        elif page.name != "README.md":
            subprocess.run([sys.executable, "-c", text], cwd=directory, env=_environment(), check=True)


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "TRACKLOG_DATABASE_URL": "",
        "XDG_CONFIG_HOME": os.devnull,
        "NO_COLOR": "1",
    }


def _printed(command: str, directory: Path) -> str:
    terminal = Terminal(_WIDTH, program=("/bin/sh", "-c", command), settings=_environment(), directory=directory)
    written, _ = terminal.end()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    return "\n".join(line.rstrip() for line in plain.splitlines()).strip("\n")


def renew(page: Path) -> None:
    """Write down on a page what its commands print."""
    with tempfile.TemporaryDirectory() as directory:
        printed = iter(list(run(page, Path(directory))))

    def block(match: re.Match[str]) -> str:
        if match[1] != "console":
            return match[0]
        texts = [f"$ {command}\n{text}".rstrip("\n") for command, text in (next(printed) for _ in _commands(match[2]))]
        between = "\n\n" if any("\n" in text for text in texts[:-1]) else "\n"
        return f"```console\n{between.join(texts)}\n```"

    page.write_text(_BLOCK.sub(block, page.read_text()))


if __name__ == "__main__":
    for one in PAGES:
        renew(one)
