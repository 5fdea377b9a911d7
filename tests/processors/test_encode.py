"""From what a caller logs to the bytes of a line."""

import array
import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import http
import pathlib
import time
import uuid
from collections import OrderedDict, UserDict, deque, namedtuple
from typing import Any
from unittest.mock import MagicMock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracklog.processors.encode import encode, shortened
from tracklog.processors.line import MAX_FIELD_BYTES, MAX_LINE_BYTES

Point = namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = "red"


class Half(float):
    pass


class Model:
    """As the answers of model libraries are."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def model_dump(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Tensor:
    """As those of NumPy, where they are not laid out one after the other, and of PyTorch."""

    def __init__(self, value: Any, nbytes: int = 8) -> None:
        self.value = value
        self.nbytes = nbytes

    def tolist(self) -> Any:
        return self.value

    def __str__(self) -> str:
        return "a tensor"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Hostile:
    @property
    def model_dump(self) -> Any:
        raise RuntimeError("no")

    def __str__(self) -> str:
        return "hostile"


@dataclasses.dataclass
class Record:
    name: str


def encoded(value: Any) -> Any:
    return orjson.loads(encode({"value": value}))["value"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1}, [1]),
        (frozenset("a"), ["a"]),
        ((1, 2), [1, 2]),
        (Point(1, 2), [1, 2]),
        (b"text", "text"),
        (b"\xff", "b'\\xff'"),
        (bytearray(b"text"), "text"),
        (memoryview(b"text"), "text"),
        (deque([1, {2}], maxlen=5), [1, [2]]),
        (array.array("d", [1.5, 2]), [1.5, 2.0]),
        (Tensor([[1, 2], [3, {4}]]), [[1, 2], [3, [4]]]),
        (Tensor(5), 5),
        (Tensor(1j), "a tensor"),
        (Tensor([1], nbytes=MAX_LINE_BYTES + 1), "a tensor"),
        (Tensor, str(Tensor)),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("/tmp/x"), "/tmp/x"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        (dt.timedelta(seconds=1), "0:00:01"),
        (Colour.RED, "red"),
        (Record("a"), {"name": "a"}),
        (UserDict({"a": 1}), {"a": 1}),
        (OrderedDict({"a": 1}), {"a": 1}),
        (Half(0.5), 0.5),
        (float("nan"), None),
        (ValueError("bad"), "ValueError('bad')"),
        (..., "Ellipsis"),
        (int, "<class 'int'>"),
        (Model({"content": "hi"}), {"content": "hi"}),
        (Model({"at": Record("a")}), {"at": {"name": "a"}}),
        (Hostile(), "hostile"),
        (2**64, str(2**64)),
        (-(2**64), str(-(2**64))),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "(1, 2)": "c"}),
        ({1: "a", "1": "b", 1.5: deque("c")}, {"1": "a", "1_2": "b", "1.5": ["c"]}),
        ({"1_2": "a", "1": "b", 1: "c", None: [Tensor(5)]}, {"1_2": "a", "1": "b", "1_3": "c", "None": [5]}),
        ({"\ud800": 1}, {"\ufffd": 1}),
        ({1: Half(0.5), 2: http.HTTPStatus.OK, 3: True, 4: 2**70}, {"1": 0.5, "2": 200, "3": True, "4": str(2**70)}),
        ({1: Record("a"), 2: {3}, 4: Colour.RED}, {"1": {"name": "a"}, "2": [3], "4": "red"}),
        (Unprintable(), "<unprintable Unprintable>"),
        ({Unprintable(): 1}, {"<unprintable Unprintable>": 1}),
        (10**5000, "<unprintable int>"),
    ],
    ids=lambda value: type(value).__name__,  # Some of the values cannot be printed.
)
def test_any_value_is_written(value: Any, expected: Any) -> None:
    """Whatever a caller logs has a form in JSON, as near to it as can be."""
    assert expected == encoded(value)


def test_a_failing_model_is_written_as_text() -> None:
    """A `model_dump` that raises costs its value's structure, not the line."""
    assert str(encoded(Model(RuntimeError("no")))).startswith("<")


def test_a_mock_is_written_as_text() -> None:
    """A mock has every method, `model_dump` too, and each gives another mock."""
    assert str(encoded(MagicMock(name="reply"))).startswith("<MagicMock")


def test_keys_that_print_alike_take_no_time() -> None:
    """A hundred thousand objects as keys have one text."""
    value = {Hostile(): number for number in range(100_000)}
    began = time.process_time()
    keys = [*encoded(value)]
    assert time.process_time() - began < 5
    assert ["hostile", "hostile_2", "hostile_100000"] == [*keys[:2], keys[-1]]


def test_a_cycle_is_cut() -> None:
    """A value that contains itself is written once."""
    value: dict[str, Any] = {"name": "a"}
    value["itself"] = value
    assert {"name": "a", "itself": "<cycle>"} == encoded(value)


def test_a_value_that_is_there_twice_is_no_cycle() -> None:
    """Only a value inside itself is a cycle."""
    shared = {1: "x"}
    assert [{"1": "x"}, {"1": "x"}] == encoded([shared, shared])


def test_nesting_is_cut() -> None:
    """A value nested deeper than JSON libraries read is cut, and the rest is kept."""
    value: list[Any] = []
    for _ in range(1000):
        value = [value]
    assert b"nested too deep" in encode({"value": value, "other": 1})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(st.characters(codec=None)), inner),
        max_leaves=10,
    )
)
def test_no_value_fails(value: Any) -> None:
    """Every value becomes one object of JSON, without a newline."""
    line = encode({"value": value})
    assert b"\n" not in line
    assert list(orjson.loads(line)) == ["value"]


def test_a_line_within_the_limits_is_not_touched() -> None:
    """The usual line is the same bytes."""
    line = encode({"event": "x" * 1000})
    assert shortened(line) is line


def test_a_text_over_the_limit_is_cut_and_stays_a_text() -> None:
    """The head is kept, and the length and SHA-256 of the whole."""
    text = "ä" * MAX_FIELD_BYTES
    cut = orjson.loads(shortened(encode({"event": "e", "text": text})))["text"]
    data = text.encode()
    assert cut.startswith("ä" * 8000)
    assert f"[cut by tracklog: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}]" in cut
    assert len(cut.encode()) < 20_000


def test_a_field_keeps_its_shape_where_one_text_is_too_long() -> None:
    """In a request of many messages, only the long one is cut."""
    request = {"messages": [{"role": "user", "content": "x" * MAX_FIELD_BYTES}, {"role": "user", "content": "short"}]}
    cut = orjson.loads(shortened(encode({"request": request})))["request"]
    assert "cut by tracklog" in cut["messages"][0]["content"]
    assert request["messages"][1] == cut["messages"][1]


def test_a_field_of_too_many_parts_is_replaced() -> None:
    """What no cut text makes short enough is replaced by its length, hash and head."""
    value = list(range(MAX_FIELD_BYTES // 4))
    data = orjson.dumps(value)
    cut = orjson.loads(shortened(encode({"value": value, "other": 1})))
    assert cut["other"] == 1
    assert (True, len(data), hashlib.sha256(data).hexdigest()) == tuple(
        cut["value"][key] for key in ("cut", "bytes", "sha256")
    )
    assert data.decode().startswith(cut["value"]["head"])


def test_a_line_over_its_limit_loses_its_largest_fields() -> None:
    """Many fields that are each within the limit are cut until the line is."""
    fields = {f"field{number}": "x" * (MAX_FIELD_BYTES - 10) for number in range(12)}
    line = shortened(encode({"event": "e", "execution_id": "e1", "small": [1], **fields}))
    cut = orjson.loads(line)
    assert len(line) <= MAX_LINE_BYTES
    assert ("e", "e1", [1]) == (cut["event"], cut["execution_id"], cut["small"])
    assert fields.keys() <= cut.keys()
    assert all(isinstance(cut[name], str) for name in fields)


def test_a_line_of_too_many_fields_keeps_its_own() -> None:
    """Where a million small fields are too long together, the line's own are kept."""
    fields = {f"field{number}": number for number in range(MAX_LINE_BYTES // 16)}
    line = shortened(encode({**fields, "event": "e", "execution_id": "e1"}))
    cut = orjson.loads(line)
    assert len(line) <= MAX_LINE_BYTES
    assert ("e", "e1") == (cut["event"], cut["execution_id"])
    assert cut["cut_fields"]["cut"] is True
