"""From the lines of a container's runtime to the lines that the program in it wrote: CRI and Docker's json-file."""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from tracklog.ingester.read import MAX_LINE_BYTES, Decompressed, Fetch, read_lines, split

_CRI: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([PF])(?::\S*)? ?"
)
"""<time> <stream> <P(artial) or F(ull)> <text>, see kubernetes/design-proposals-archive, kubelet-cri-logging."""

_DOCKER_START: Final = b'{"log":'


class Line(NamedTuple):
    """A line as its program wrote it."""

    offset: int
    """Where it starts in its file: of a line that came in parts, where the first starts."""
    text: bytes
    time: str | None = None
    """When the runtime took it, if one did."""


def is_bare(line: bytes) -> bool:
    """Tell whether a line is as its program wrote it: JSON, and none of a runtime's own."""
    return line[:1] == b"{" and not line.startswith(_DOCKER_START)


@dataclass(slots=True)
class Unwrapper:
    """Take the runtime's wrapping off and join what it split.

    Runtimes split a line at 16 KiB; `open_offset` is where the earliest line begins of which the end has not come.
    """

    limit: int
    """Longest joined line, in bytes; a longer one is given as it is by then, and so ends in the quarantine."""
    _parts: dict[bytes, tuple[int, bytearray]] = field(default_factory=dict)

    @property
    def open_offset(self) -> int | None:
        """Give where the earliest unfinished line starts; None where there is none."""
        return min((offset for offset, _ in self._parts.values()), default=None)

    def unwrap(self, offset: int, line: bytes) -> Line | None:
        """Unwrap one line; None while more of it is to come."""
        if line.startswith(_DOCKER_START):
            return self._docker(offset, line)
        if line[:2] == b"20" and (match := _CRI.match(line)) is not None:
            time, stream, tag = match.groups()
            return self._join(offset, stream, line[match.end() :], time.decode(), ended=tag == b"F")
        return Line(offset, line)

    def _docker(self, offset: int, line: bytes) -> Line | None:
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            return Line(offset, line)
        text, stream = fields.get("log"), fields.get("stream")
        if (
            not isinstance(text, str)
            or not isinstance(stream, str)
            or not set(fields) <= {"log", "stream", "time", "attrs"}
        ):
            return Line(offset, line)
        time = fields.get("time")
        return self._join(
            offset,
            stream.encode(),
            text.encode("utf-8", "surrogatepass").removesuffix(b"\n"),
            time if isinstance(time, str) else None,
            ended=text.endswith("\n"),
        )

    def _join(self, offset: int, stream: bytes, text: bytes, time: str | None, *, ended: bool) -> Line | None:
        start, joined = self._parts.pop(stream, (offset, bytearray()))
        joined += text
        if ended or len(joined) > self.limit:
            return Line(start, bytes(joined), time)
        self._parts[stream] = (start, joined)
        return None


def line_at(fetch: Fetch, offset: int) -> Line | None:
    """Read the one line that starts at an offset, as its program wrote it; None if none does, or it has not ended.

    :raises OSError: The file cannot be read.
    """
    unwrapper, position, begun = Unwrapper(MAX_LINE_BYTES), offset, False
    while True:
        chunk = read_lines(fetch, position, 1)
        if chunk.at_end and isinstance(fetch, Decompressed):
            chunk = fetch.with_last_line(chunk)
        for place, text in split(chunk.start, chunk.data):  # Of many that were read, the first or few are taken.
            if not begun and place != offset:
                return None
            begun = True
            line = unwrapper.unwrap(place, text)
            if line is not None and line.offset == offset:
                return line
        if chunk.at_end or not begun:
            return None
        position = chunk.position  # The rest of what a runtime has split.
