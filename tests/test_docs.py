"""What is documented is run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reference
import sessions

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STORIES = {"tutorial.md"}
"""Pages whose blocks need each other, and what is typed between them."""

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page) and page.name not in STORIES], ids=lambda page: page.name
)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """Each block of Python on a page runs as printed, one after the other, in an empty directory with a database."""
    environment = {**os.environ, "PYTHONWARNINGS": "error", "TRACKLOG_DATABASE_URL": "sqlite:///tracklog.db"}
    # A database to ask, as the ingester makes it.
    (tmp_path / "logs").mkdir()
    made = "from tracklog.analytics.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", made, "ingest", "--once", "logs"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    for block in blocks(page):
        ran = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, f"{block}\n{ran.stderr}"


@pytest.mark.parametrize("page", sessions.PAGES, ids=lambda page: page.name)
def test_commands_print_what_is_shown(page: Path, tmp_path: Path) -> None:
    """What a page shows of a terminal is what its commands print, one after the other; `make reference` renews it."""
    shown = sessions.told(page)
    assert shown
    for (command, expected), (_, printed) in zip(shown, sessions.run(page, tmp_path), strict=True):
        assert sessions.words(expected) == sessions.words(printed), f"{command}\n{printed}"


def test_the_reference_is_the_command_lines() -> None:
    """The reference is what the command line says of itself; `make reference` writes it anew."""
    assert reference.reference() == reference.PAGE.read_text()


def test_every_module_of_the_ingester_is_on_the_map() -> None:
    """Whoever adds a module says where it belongs."""
    text = (ROOT / "docs" / "development.md").read_text()
    others = {"__init__", "errors", "schema", "database", "migrate", "histogram", "ranges"}
    modules = {path.stem for path in (ROOT / "ingester/tracklog/ingester").glob("*.py")} - others
    assert modules <= set(re.findall(r"`(\w+)`", text))


def test_pages_that_are_linked_exist() -> None:
    """No link leads nowhere."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
