"""A program that starts ingesters quickly: it has imported all they need, and forks for each.

It reads commands from its standard input, one JSON object a line, and answers each with one. Nothing else runs in it,
so that forking is safe; what it starts are processes like any other, with signals, limits and memory of their own.
"""

import json
import os
import resource
import sys
import time
import traceback
from typing import Any

from faults.failpoints import Action, Failpoint, Failpoints
from ingester import kept
from tracklog.ingester.worker import Worker


def main() -> None:
    """Serve commands until the input ends, and then end what still runs."""
    import asyncpg  # noqa: F401
    import sqlalchemy.dialects.postgresql.asyncpg
    import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401

    from tracklog.analytics import cli
    from tracklog.analytics.commands import ingest
    from tracklog.ingester import ingester  # noqa: F401

    assert ingest
    children: set[int] = set()
    for line in sys.stdin:
        command = json.loads(line)
        if "wait" in command:
            answer = _wait(command["wait"], command["seconds"])
            if answer is not None:
                children.discard(command["wait"])
        else:
            pid = os.fork()
            if pid == 0:
                _be(cli.main, command)
            children.add(pid)
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, 9)


def _wait(pid: int, seconds: float) -> dict[str, Any] | None:
    """Wait for a child; None if it has not ended by then."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return {"code": os.waitstatus_to_exitcode(status), "kilobytes": usage.ru_maxrss}
        if time.monotonic() > deadline:
            return None
        time.sleep(0.002)


def _be(program: Any, command: dict[str, Any]) -> None:
    """Be the child: run the command line, and end."""
    code = 70
    try:
        descriptor = os.open(command["messages"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        for name, limit in command["limits"].items():
            resource.setrlimit(getattr(resource, name), (limit, limit))
        for place, value in command["constants"].items():
            module, _, name = place.partition(":")
            module = __import__(f"tracklog.ingester.{module}", fromlist=[name])
            assert hasattr(module, name), place
            setattr(module, name, tuple(value) if isinstance(value, list) else value)
        Worker.start = kept.start_and_wait  # type: ignore[assignment, method-assign]
        failpoints = Failpoints(
            Failpoint(command["place"], command["time"], Action(command["action"])) if command["place"] else None
        )
        failpoints.install()
        sys.argv = ["tracklog", *command["arguments"]]
        try:
            program()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(bool(exit_.code))
        if command["count"]:
            with open(command["count"], "w", encoding="utf-8") as file:
                json.dump(failpoints.times, file)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        code = 1
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
