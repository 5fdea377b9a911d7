"""What is documented is run."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import reference
import sessions
from tracklog.analytics.commands.group import tracklog

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


@pytest.mark.parametrize("block", blocks(ROOT / "docs/logging.md")[:3], ids=["configure", "chain", "stdlib"])
def test_the_set_up_of_logging_passes_a_strict_check_of_types(block: str, tmp_path: Path) -> None:
    """Whoever checks types copies it as it is printed."""
    program = tmp_path / "program.py"
    program.write_text(block)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", program], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("page", sessions.PAGES, ids=lambda page: page.name)
def test_commands_print_what_is_shown(page: Path, tmp_path: Path) -> None:
    """What a page shows of a terminal is what its commands print, one after the other; `make reference` renews it."""
    shown = sessions.told(page)
    assert shown
    for (command, expected), (_, printed) in zip(shown, sessions.run(page, tmp_path), strict=True):
        assert not sessions.differences(expected, printed), f"{command}\n{printed}"


@pytest.mark.parametrize(
    ("shown", "printed", "differ"),
    [
        ("failed  JSONDecodeError: Expecting …", "failed  JSONDecodeError: Expe…", []),
        ("failed  JSONDecodeError: Exp…", "failed  JSONDecodeError: Expecting", []),
        ("failed  JSONDecodeError: Exp…", "failed  TimeoutError", ["- JSONDecodeError: Exp…", "+ TimeoutError"]),
        ("failed  JSONDecodeError", "failed  JSONDecodeError: Exp…", ["- JSONDecodeError", "+ JSONDecodeError: Exp…"]),
        ("1.5 s  Critic\nEditor", "Editor\n20 ms  Critic", []),
        ("Editor\nEditor", "Editor", ["- Editor"]),
    ],
)
def test_texts_of_two_runs_are_compared(shown: str, printed: str, differ: list[str]) -> None:
    """Where a cell is cut and how long something took may differ, and nothing else."""
    assert sessions.differences(shown, printed) == differ


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


_COMMANDS = [
    command
    for page in PAGES
    if page.name != "reference.md"
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    if not language
    for command in re.findall(r"^tracklog .*", block, re.MULTILINE)
]
_GO_ON = re.compile(r"(?: -f\b| top\b| ingest (?!.*--once)| --wait\b|postgresql:|/var/|^tracklog sql$)")
"""Those that go on until somebody ends them, ask what is typed, or need another machine; they must be understood."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the directory of a demo that has run."""
    directory = tmp_path_factory.mktemp("demo")
    sessions.demo(directory)
    return directory


@pytest.mark.parametrize("command", dict.fromkeys(_COMMANDS))
def test_commands_that_are_named_work(command: str, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command that a page names is one, with these options, and answers on the demo."""
    monkeypatch.chdir(demo)
    Path("report.sql").write_text("SELECT 1; SELECT 2")
    (log,) = sorted(Path("logs").glob("proofreader*"))
    Path("logs/agents.jsonl").write_bytes(log.read_bytes() * 6)
    words = command.split("  #")[0].split(" # ")[0].strip()
    text = words.split(" | ")[0].split(" > ")[0].split(" && ")[0]
    stdin = Path(text.split(" < ")[1]).read_text() if " < " in text else None
    arguments = shlex.split(text.split(" < ")[0])[1:]
    executions = json.loads(invoked(["list", "--agent", "StyleCritic", "--sort", "oldest", "--json"]).stdout)
    arguments = [executions[0]["execution_id"] if word == "ID" else word for word in arguments]
    if _GO_ON.search(text):
        context = click.Context(tracklog)
        found = tracklog.get_command(context, arguments[0])
        assert found is not None
        found.make_context(arguments[0], arguments[1:], parent=context).close()
    else:
        assert invoked(arguments, stdin).exit_code in _MAY_END_WITH.get(arguments[0], (0,)), command


_MAY_END_WITH = {"watch": (1,), "llm": (0, 2)}
"""What is watched has failed; the demo's executions have fewer calls than the pages speak of."""


def invoked(arguments: list[str], stdin: str | None = None) -> Result:
    """Run a command in this process."""
    environment = {"TRACKLOG_DATABASE_URL": None, "XDG_CONFIG_HOME": os.devnull}
    return CliRunner(env=environment).invoke(tracklog, arguments, input=stdin)
