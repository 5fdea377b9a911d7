"""Which program this is."""

import sys

import pytest

from processors.written import run_program
from tracklog.processors.program import describe, safe_name, service_name


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("/srv/editor.py", "editor"),
        ("/srv/editor/__main__.py", "editor"),
        ("bin/my agent", "my-agent"),
        ("", "python"),
        ("-c", "c"),
        ("/a/---.py", "python"),
    ],
)
def test_a_service_is_named_after_its_script(monkeypatch: pytest.MonkeyPatch, script: str, name: str) -> None:
    """The script's name, in letters that are good in a file's name."""
    monkeypatch.setattr(sys, "argv", [script])
    assert name == service_name()


def test_a_service_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRACKLOG_SERVICE goes before the script's name."""
    monkeypatch.setenv("TRACKLOG_SERVICE", "room 1")
    assert service_name() == "room-1"


def test_a_program_without_arguments_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded interpreter may have no argv."""
    monkeypatch.setattr(sys, "argv", [])
    assert service_name() == "python"


def test_a_safe_name_is_short_and_plain() -> None:
    """It has no dots, which separate the parts of a file's name, and no slashes."""
    assert safe_name("../a.b/ü") == "a-b"
    assert len(safe_name("x" * 500)) == 64


def test_the_description_says_of_what_versions_it_is() -> None:
    """A file tells what wrote it."""
    assert {"python", "tracklog", "structlog", "orjson"} == describe()["versions"].keys()


def test_a_forked_child_describes_itself() -> None:
    """What was found out before is its own too, but for its id."""
    program = """
import os
from tracklog.processors.program import describe
before = describe()
if os.fork() == 0:
    own = describe()
    assert own.pop("pid") == os.getpid() != before.pop("pid")
    assert own == before
    os._exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
"""
    assert run_program(program).stderr == ""
