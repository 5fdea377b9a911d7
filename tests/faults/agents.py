"""An agent at work; a program that keeps a ledger of what it logs, outside of its log.

    python -m faults.agents LOG_DIR LEDGER NAME SEED EXECUTIONS MAX_BYTES [SECONDS BETWEEN]

Each line has a number. Before it is logged the ledger says `?number`, after it `!number`: what was logged when the
process was killed is one of the two.
"""

import os
import random
import sys
import time
from typing import Any

import structlog

from tracklog.processors import configure, execution


class Ledger:
    """What was logged, in a file that a kill cannot take back."""

    def __init__(self, path: str, name: str) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._log = structlog.get_logger()
        self._name = name
        self._number = 0

    def log(self, event: str, **fields: Any) -> None:
        """Log a numbered line."""
        self._number += 1
        os.write(self._descriptor, b"?%d\n" % self._number)
        self._log.info(event, by=self._name, number=self._number, **fields)
        os.write(self._descriptor, b"!%d\n" % self._number)


def main() -> None:
    """Run some executions: most succeed, some fail, some are skipped, some call others."""
    log_dir, path, name, seed, executions, max_bytes, *rest = sys.argv[1:]
    configure(log_dir, service=name, console=False, max_bytes=int(max_bytes))
    ledger, chance = Ledger(path, name), random.Random(seed)
    for which in range(int(executions)):
        work(ledger, chance, which, nested=which % 5 == 0)
        if rest:
            time.sleep(float(rest[0]))


def work(ledger: Ledger, chance: random.Random, which: int, *, nested: bool) -> None:
    """Run one execution."""
    try:
        with execution(f"Agent{which % 3}", method="run", input_data={"which": which}) as run:
            for _ in range(chance.randrange(4)):
                ledger.log("step", text="ü" * chance.choice((0, 10, 400)), stage=chance.choice(("think", "write")))
            if chance.random() < 0.4:
                with run.llm_call("model", {"messages": [which]}) as call:
                    call.set_response("yes", input_tokens=which, output_tokens=1)
            if nested:
                work(ledger, chance, which + 100_000, nested=False)
            match chance.randrange(6):
                case 0:
                    raise ValueError("it did not work")
                case 1:
                    run.skip("nothing to say", 0.1)
            ledger.log("done")
    except ValueError:
        pass


if __name__ == "__main__":
    main()
