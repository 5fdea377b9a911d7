"""Make the lines of agents at work, the same for the same seed."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import orjson

START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
WORDS = ("agent", "looked", "for", "a", "boundary", "between", "two", "chapters", "its", "reader", "missed")


def write_lines(path: Path, executions: int, seed: int = 1, *, start: dt.datetime = START, pause: float = 5) -> int:
    """Write the lines of so many executions, about 14 each, and give how many there are.

    :param pause: The longest time between two lines, in milliseconds.
    """
    chance = random.Random(seed)
    seq = 0
    moment = start

    def line(**fields: Any) -> bytes:
        nonlocal seq, moment
        seq += 1
        moment += dt.timedelta(milliseconds=chance.uniform(0.1, pause))
        stamp = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return (
            orjson.dumps({"timestamp": stamp, "writer": f"bench{seed}", "seq": seq, "level": "info"} | fields) + b"\n"
        )

    def text(size: int) -> str:
        return " ".join(chance.choices(WORDS, k=size // 6))

    with path.open("wb") as file:
        parent = None
        for number in range(executions):
            own = f"{seed:08x}-{number:012x}"
            nested = parent is not None and chance.random() < 0.3
            agent = f"Agent{chance.randrange(12)}"
            who = {"execution_id": own, "agent_name": agent}
            started = {
                "method": "run",
                "vault_id": f"vault-{number % 50}",
                "conversation_id": f"conversation-{number // 10}",
                "input_data": {"query": text(80)},
                "root_execution_id": parent if nested else own,
                "depth": 1 if nested else 0,
            }
            if nested:
                started["parent_execution_id"] = parent
            else:
                parent = own
            file.write(line(event="execution started", kind="execution.started", **who, **started))
            skipped, failed = chance.random() < 0.1, chance.random() < 0.05
            file.write(
                line(
                    event="relevance checked",
                    kind="relevance",
                    should_respond=not skipped,
                    confidence=chance.random(),
                    reasoning=text(60),
                    **who,
                )
            )
            if not skipped:
                for step in range(8):
                    file.write(line(event=text(30), stage="pre_process", step=step, count=chance.randrange(99), **who))
                call = {"call_id": f"call-{number}", "model": "gpt-5.1"}
                request = {"messages": [{"role": "user", "content": text(chance.randrange(2000, 6000))}]}
                file.write(line(event="llm request", kind="llm.request", request=request, **call, **who))
                response = {"content": text(chance.randrange(1000, 4000))}
                file.write(
                    line(
                        event="llm response",
                        kind="llm.response",
                        response=response,
                        tokens_used=chance.randrange(400, 4000),
                        latency_ms=chance.uniform(200, 4000),
                        **call,
                        **who,
                    )
                )
                file.write(line(event="output set", kind="output", output_data={"text": text(120)}, **who))
            end: dict[str, Any] = {"status": "skipped" if skipped else "failed" if failed else "success"}
            if failed and not skipped:
                end |= {"error_type": "ValueError", "error_message": text(40), "exception": text(900)}
            file.write(
                line(
                    event="execution finished",
                    kind="execution.finished",
                    duration_ms=chance.uniform(1, 9000),
                    **end,
                    **who,
                )
            )
    return seq
