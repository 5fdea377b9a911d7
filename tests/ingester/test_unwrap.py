"""Lines in a container runtime's wrapping."""

import orjson

from tracklog.ingester.unwrap import Line, Unwrapper

TIME = "2026-11-23T10:00:00.123456789Z"


def cri(stream: str, tag: str, text: str) -> bytes:
    return f"{TIME} {stream} {tag} {text}".encode()


def docker(text: str, stream: str = "stdout") -> bytes:
    return orjson.dumps({"log": text, "stream": stream, "time": TIME})


def unwrap_all(*lines: bytes, limit: int = 1000) -> list[Line]:
    unwrapper = Unwrapper(limit)
    results = (unwrapper.unwrap(place * 100, line) for place, line in enumerate(lines))
    return [line for line in results if line is not None]


def test_a_bare_line_stays_as_it_is() -> None:
    """What no runtime wrapped is the program's line, also one that begins with a date."""
    for text in (b'{"event": "e"}', b"2026-11-23 started", b'{"log": "mine"}', b'{"log":"mine","event":"e"}'):
        assert [Line(0, text)] == unwrap_all(text)


def test_cri_lines_are_unwrapped() -> None:
    """A line of containerd or CRI-O is what follows its time, stream and tag."""
    assert [Line(0, b'{"a":1}', TIME)] == unwrap_all(cri("stdout", "F", '{"a":1}'))


def test_docker_lines_are_unwrapped() -> None:
    """A line of Docker's json-file is its log, without the newline."""
    assert [Line(0, b'{"a":1}', TIME)] == unwrap_all(docker('{"a":1}\n'))


def test_split_lines_are_joined() -> None:
    """What a runtime split at 16 KiB is one line again, at the offset of its first part."""
    assert [Line(0, b"onetwothree", TIME)] == unwrap_all(
        cri("stdout", "P", "one"), cri("stdout", "P", "two"), cri("stdout", "F", "three")
    )
    assert [Line(0, b"onetwo", TIME)] == unwrap_all(docker("one"), docker("two\n"))


def test_the_streams_do_not_mix() -> None:
    """A part of stdout is not joined with a line of stderr that came between."""
    lines = unwrap_all(cri("stdout", "P", "one"), cri("stderr", "F", "err"), cri("stdout", "F", "two"))
    assert [Line(100, b"err", TIME), Line(0, b"onetwo", TIME)] == lines


def test_an_unfinished_line_is_remembered_by_its_offset() -> None:
    """As long as its end has not come, a line holds the position back."""
    unwrapper = Unwrapper(1000)
    assert unwrapper.open_offset is None
    unwrapper.unwrap(40, cri("stdout", "P", "one"))
    unwrapper.unwrap(90, cri("stderr", "P", "one"))
    assert 40 == unwrapper.open_offset
    unwrapper.unwrap(140, cri("stdout", "F", "two"))
    assert 90 == unwrapper.open_offset


def test_a_line_of_endless_parts_is_given_up() -> None:
    """Parts are held up to the limit of a line, not without end."""
    parts = [cri("stdout", "P", "x" * 400)] * 4
    assert [1200] == [len(line.text) for line in unwrap_all(*parts, limit=1000)]
