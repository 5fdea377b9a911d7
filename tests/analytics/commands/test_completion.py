"""Test completion by what a shell asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.stored import Stored


def completed(database: str, words: str, shell: str = "bash") -> list[str]:
    """Give what is offered for the last of some words."""
    typed = words.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()"],
        env={
            **os.environ,
            "TRACKLOG_DATABASE_URL": database,
            "_TRACKLOG_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(typed) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "" == done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database of two agents in a conversation."""
    stored.executions(
        {"execution_id": "e1", "agent_name": "Writer", "status": "failed", "conversation_id": "storm"},
        {"execution_id": "e2", "agent_name": "Critic", "status": "success", "conversation_id": "storm"},
    )
    return stored.url


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("tracklog show e", {"e1", "e2"}),
        ("tracklog show e1", {"e1"}),
        ("tracklog diff e1 e2", {"e2"}),
        ("tracklog list --agent W", {"Writer"}),
        ("tracklog why C", {"Critic"}),
        ("tracklog conversation s", {"storm"}),
        ("tracklog list --conversation s", {"storm"}),
        ("tracklog stat", {"stats"}),
        ("tracklog list --format c", {"csv"}),
        ("tracklog list --conv", {"--conversation"}),
    ],
)
def test_what_is_offered(url: str, words: str, offered: set[str]) -> None:
    """Agents, conversations and ids come from the database; commands, options and choices from the command line."""
    assert offered == {line.partition(",")[2] for line in completed(url, words)}


def test_a_tilde_in_the_name_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the home directory, as for the commands."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.executions({"execution_id": "e1"})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ["plain,e1"] == completed("~/x.db", "tracklog show e")
    assert ["plain,e1"] == completed("sqlite:///~/x.db", "tracklog show e")


def test_help_beside_ids(url: str) -> None:
    """A shell that shows help has agent and status of each id."""
    assert ["plain", "e1", "Writer failed"] == completed(url, "tracklog show e1", "zsh")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_in_bash(url: str, tmp_path: Path) -> None:
    """bash itself completes by the script that is printed for it."""
    command = tmp_path / "tracklog"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from tracklog.analytics.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    script = """
        eval "$(tracklog completion bash)"
        COMP_WORDS=(tracklog list --agent W) COMP_CWORD=3
        _tracklog_completion tracklog
        echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TRACKLOG_DATABASE_URL": url}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert ("Writer\n", "") == (done.stdout, done.stderr)


def test_without_a_database_nothing_is_said(tmp_path: Path) -> None:
    """Where there is no database, what needs none is still offered, and none is made."""
    path = tmp_path / "none.db"
    assert ["plain,@last", "plain,@last-failed"] == completed(str(path), "tracklog show @")
    assert not path.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(shell: str) -> None:
    """Each shell gets its script."""
    done = subprocess.run(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "completion", shell],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"_TRACKLOG_COMPLETE={shell}_complete" in done.stdout
