"""Numbered lines, as the tests write them themselves: with a stamp, or as another program's."""

import datetime as dt
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_START: Final = dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC)
_TEXTS: Final = ("", "plain", "ü😀", "x" * 300, 'quo"ted\\', "tab\tand\x7f")


@dataclass(slots=True)
class Hand:
    """Something that writes: each line has the next number, and an execution begins, goes on and ends."""

    name: str
    stamped: bool = True
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    number: int = 0

    def line(self, **fields: Any) -> bytes:
        """Write one line."""
        self.number += 1
        moment = _START + dt.timedelta(milliseconds=self.number)
        line: dict[str, Any] = {"timestamp": moment.isoformat(timespec="microseconds").replace("+00:00", "Z")}
        if self.stamped:
            line |= {"writer": self.name, "seq": self.number}
        line |= {"level": "info", "event": "line", "by": self.name, "number": self.number}
        return orjson.dumps(line | self._said() | fields) + b"\n"

    def _said(self) -> dict[str, Any]:
        """Give what the next line says: of six lines each is another step of an execution."""
        which, step = divmod(self.number, 6)
        said: dict[str, Any] = {"execution_id": f"{self.name}-{which}", "text": self.chance.choice(_TEXTS)}
        if step == 0:
            said |= {"kind": "execution.started", "agent_name": f"Agent{which % 3}", "input_data": {"which": which}}
            if which % 4 == 3:
                said |= {"parent_execution_id": f"{self.name}-{which - 1}", "depth": 1}
        elif step == 2:
            said |= {"kind": "llm.request", "call_id": "c", "model": "m", "request": [which]}
        elif step == 3:
            said |= {"kind": "llm.response", "call_id": "c", "response": "yes", "tokens_used": which, "latency_ms": 1.5}
        elif step == 5:
            said |= {"kind": "execution.finished", "status": "success", "duration_ms": 2.5}
        return said

    def lines(self, count: int) -> bytes:
        """Write some lines."""
        return b"".join(self.line() for _ in range(count))


def corrupt(chance: random.Random, line: bytes) -> bytes:
    """Change one bit of a line, but none that ends it or makes it two."""
    while True:
        place = chance.randrange(len(line) - 1)
        changed = line[place] ^ 1 << chance.randrange(8)
        if changed != 0x0A:
            return line[:place] + bytes((changed,)) + line[place + 1 :]


def joined(parts: Iterable[bytes]) -> bytes:
    """Join lines."""
    return b"".join(parts)
