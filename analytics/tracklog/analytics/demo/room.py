"""Run one process of the room: `python -m tracklog.analytics.demo.room DESK LOGS …`.

DESK is `editor`, with a question and its conversation's id, or `proofreader`, who takes jobs from stdin.
"""

import asyncio
import json
import sys

from tracklog.analytics.demo.agents import edit, read_proofs
from tracklog.processors import configure, extract


def main() -> None:
    """Sit down at a desk and work."""
    desk, logs, *order = sys.argv[1:]
    configure(logs, service=desk, console=False)
    if desk == "editor":
        question, conversation_id = order
        asyncio.run(edit(question, conversation_id))
        return
    for line in sys.stdin:
        job = json.loads(line)
        with extract(job["headers"]):
            asyncio.run(read_proofs(job["question"], job["reason"]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
