"""Agents that fork, spawn and replace themselves; a program that says on its output how far it is.

    python -m faults.processes_of_agents LOG_DIR HOW

It prints `ready` when what it was asked for has happened, and then waits for its input to end.
"""

import os
import subprocess
import sys

import structlog

from tracklog.processors import configure, execution

log = structlog.get_logger()


def ready() -> None:
    """Say so, and wait until somebody closes the input."""
    print("ready", flush=True)
    sys.stdin.read()


def fork_before(*, child_lives: bool) -> None:
    """Fork after the first line, before an execution; one of the two goes, the other runs it."""
    log.info("before")
    pid = os.fork()
    if (pid == 0) == child_lives:
        with execution("Living", method="run"):
            log.info("inside")
            ready()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def fork_inside() -> None:
    """Fork within an execution; the child ends, the parent goes on."""
    with execution("Living", method="run"):
        log.info("before")
        pid = os.fork()
        if pid == 0:
            log.info("in the child")
            os._exit(0)
        os.waitpid(pid, 0)
        ready()


def fork_after() -> None:
    """Fork after an execution; the child ends at once."""
    with execution("Ended", method="run"):
        log.info("inside")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with execution("Living", method="run"):
        ready()


def spawn() -> None:
    """Start another program within an execution, which inherits what can be inherited and ends."""
    with execution("Living", method="run"):
        subprocess.run([sys.executable, "-c", "pass"], check=True, close_fds=False)
        ready()


def replace() -> None:
    """Replace the program within an execution: its log ends there."""
    run = execution("Replaced", method="run")
    with run:
        log.info("inside")
        os.execv(sys.executable, [sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.read()"])


def abandon() -> None:
    """Be killed in a stage, while a call is in flight."""
    with execution("Living", method="run") as run, run.llm_call("model", {"ask": 1}):
        log.info("inside", stage="llm_call")
        ready()


def orphan() -> None:
    """Leave a child that keeps all descriptors, and be gone."""
    with execution("Gone", method="run"):
        log.info("inside")
        if os.fork() == 0:
            ready()
            os._exit(0)
        os._exit(0)


WAYS = {
    "before-parent": lambda: fork_before(child_lives=False),
    "before-child": lambda: fork_before(child_lives=True),
    "inside": fork_inside,
    "after": fork_after,
    "spawn": spawn,
    "exec": replace,
    "abandon": abandon,
    "orphan": orphan,
}

if __name__ == "__main__":
    configure(sys.argv[1], service="agent", console=False)
    WAYS[sys.argv[2]]()
