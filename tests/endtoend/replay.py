"""Replay recorded conversations as an agent would have had them; a program, run in several processes at once.

    python replay.py LOG_DIR CONVERSATIONS.jsonl.gz PART PARTS

Each conversation is an execution, each turn of the assistant a call of its model with the messages until then, each
tool call a nested execution.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import structlog

from tracklog.processors import configure, execution

MODEL = "gpt-4o"
AGENT = "AirlineAgent"


def conversations(path: Path) -> list[dict[str, Any]]:
    """Read all conversations."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def conversation_id(conversation: dict[str, Any]) -> str:
    """Name a conversation."""
    return f"task-{conversation['task_id']}-trial-{conversation['trial']}"


def replay(conversation: dict[str, Any]) -> None:
    """Log one conversation."""
    log = structlog.get_logger()
    messages = conversation["messages"]
    name = conversation_id(conversation)
    with execution(
        AGENT,
        method="serve",
        conversation_id=name,
        vault_id="airline",
        input_data={"instruction": conversation["instruction"]},
        metadata={"task_id": conversation["task_id"], "trial": conversation["trial"]},
    ) as run:
        for place, message in enumerate(messages):
            if message["role"] == "user":
                log.info("customer wrote", content=message["content"], place=place)
            elif message["role"] == "assistant":
                with run.llm_call(MODEL, {"messages": messages[:place]}, call_id=f"turn-{place}") as call:
                    call.set_response(message)
                for tool_call in message.get("tool_calls") or ():
                    use_tool(tool_call, messages[place + 1 :])
        run.set_output({"reward": conversation["reward"], "last": messages[-1]})


def use_tool(tool_call: dict[str, Any], following: list[dict[str, Any]]) -> None:
    """Log a tool's call with the answer that it had."""
    function = tool_call["function"]
    answer = next(message for message in following if message.get("tool_call_id") == tool_call["id"])
    with execution(function["name"], method="call", input_data=function, call_reason=tool_call["id"]) as run:
        run.set_output(answer)


if __name__ == "__main__":
    log_dir, data, part, parts = sys.argv[1:]
    configure(log_dir, service="airline", console=False, max_bytes=400_000)
    for number, one in enumerate(conversations(Path(data))):
        if number % int(parts) == int(part):
            replay(one)
