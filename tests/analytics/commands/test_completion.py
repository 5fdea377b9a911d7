"""Test completion by what a shell asks."""

import os
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


def test_agents_and_ids_are_offered(tmp_path: Path) -> None:
    """Agents and ids come from the database."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.executions({"execution_id": "e1", "agent_name": "Writer", "status": "failed"})
    assert ["plain,e1"] == completed(stored.url, "tracklog show e")
    assert ["plain,Writer"] == completed(stored.url, "tracklog list --agent W")


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
