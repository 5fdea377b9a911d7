"""Test the settings as a process reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def run(tmp_path: Path) -> "Runner":
    """Run the command line below a project, for a user who has set nothing yet."""
    return Runner(tmp_path)


class Runner:
    """A project, a directory within it, and a user's file."""

    def __init__(self, base: Path) -> None:
        self.project = base / "project"
        self.below = self.project / "a" / "b"
        self.below.mkdir(parents=True)
        self.user = base / "config" / "tracklog" / "config.toml"
        self.user.parent.mkdir(parents=True)
        self.file = self.project / "tracklog.toml"

    def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        inherited = {
            name: text for name, text in os.environ.items() if name != "PAGER" and not name.startswith("TRACKLOG_")
        }
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", "from tracklog.analytics.cli import main; main()", *arguments],
            cwd=self.below,
            env={**inherited, "XDG_CONFIG_HOME": str(self.user.parents[1]), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def setting(self, name: str, *arguments: str, **environment: str) -> tuple[object, str]:
        done = self("settings", "--json", *arguments, **environment)
        assert (0, "") == (done.returncode, done.stderr)
        found = json.loads(done.stdout)[name]
        return found["value"], found["from"]


def test_the_nearest_says_what_counts(run: Runner) -> None:
    """A default gives way to the user's file, that to the project's, that to the environment, that to an option."""
    assert ("sqlite:///tracklog.db", "default") == run.setting("database")
    run.user.write_text('database = "sqlite:////user.db"')
    assert ("sqlite:////user.db", str(run.user)) == run.setting("database")
    run.file.write_text('database = "sqlite:///own.db"')
    assert (f"sqlite:///{run.project / 'own.db'}", str(run.file)) == run.setting("database")
    named = {"TRACKLOG_DATABASE_URL": "sqlite:////named.db"}
    assert ("sqlite:////named.db", "TRACKLOG_DATABASE_URL") == run.setting("database", **named)
    assert ("sqlite:////given.db", "--db") == run.setting("database", "--db", "sqlite:////given.db", **named)


def test_a_file_settles_only_what_it_says(run: Runner) -> None:
    """What the project leaves open, the user's file says."""
    run.file.write_text('host = "room"')
    run.user.write_text('host = "mine"\npager = "more"')
    assert (("room", str(run.file)), ("more", str(run.user))) == (run.setting("host"), run.setting("pager"))


@pytest.mark.parametrize("given", ["~/x.db", "sqlite:///~/x.db"])
def test_a_tilde_is_the_home_directory(run: Runner, given: str) -> None:
    """Wherever a database is named; no shell looks at it but in front of a word."""
    expected = f"sqlite:///{os.path.expanduser('~/x.db')}"
    assert (expected, "--db") == run.setting("database", f"--db={given}")
    assert (expected, "TRACKLOG_DATABASE_URL") == run.setting("database", TRACKLOG_DATABASE_URL=given)
    run.file.write_text(f'database = "{given}"')
    assert (expected, str(run.file)) == run.setting("database")


def test_a_password_is_hidden(run: Runner) -> None:
    """No password of a database is shown."""
    run.file.write_text('database = "postgresql://me:secret@db/agents"')
    assert ("postgresql://me:***@db/agents", str(run.file)) == run.setting("database")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('databse = "x.db"', "has no setting 'databse'; did you mean database?"),
        ("host = 3", "host must be a text in quotes"),
        ('paths = "logs"', "paths must be a list of texts"),
        ('format = "xml"', "format must be one of table, json, jsonl, csv, not 'xml'"),
        ('host = "a"\nhost\npager = "x"', "line 2"),
    ],
)
def test_a_file_that_is_wrong(run: Runner, text: str, said: str) -> None:
    """A mistake in a file is told with the file and the key or line, and is one of usage."""
    run.file.write_text(text)
    done = run("list")
    assert (2, "") == (done.returncode, done.stdout)
    assert str(run.file) in done.stderr
    assert said in done.stderr


def test_the_settings_are_used(run: Runner) -> None:
    """What is set is ingested, into the database that is set, and listed in the format that is set."""
    (run.project / "logs").mkdir()
    line = {"timestamp": "2026-11-22T10:00:00.000000Z", "event": "x", "execution_id": "e1", "agent_name": "A"}
    (run.project / "logs" / "x.jsonl").write_text(json.dumps(line) + "\n")
    run.file.write_text('database = "own.db"\npaths = ["logs"]\nhost = "room"\nformat = "jsonl"\nstale_after = "2h"')
    done = run("ingest", "--once")
    assert (0, True) == (done.returncode, (run.project / "own.db").exists()), done.stderr
    assert "e1" == json.loads(run("list").stdout)["execution_id"]
    assert ["e1"] == [one["execution_id"] for one in json.loads(run("list", "--json").stdout)]
    assert run("list", "--format", "table").stdout.startswith("ID ")
