"""Executions that go on in another process."""

import asyncio
import os
from collections import UserDict
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.written import of_kind, run_program
from tracklog.processors import ExecutionLog, execution, extract, inject

HEADER = "tracklog-context"


@pytest.fixture(autouse=True)
def log(logs: Path) -> ExecutionLog:
    return ExecutionLog(logs)


def test_without_an_execution_nothing_is_added() -> None:
    """And nothing is found where nothing was added."""
    assert inject() == {}
    assert inject({"accept": "*/*"}) == {"accept": "*/*"}
    assert extract({}).execution_id is None


@pytest.mark.parametrize("ids", ["plain", "über;=&%/ \n", "x" * 128, "\U0001f600" * 128])
def test_what_was_injected_is_extracted(logs: Path, ids: str) -> None:
    """Whatever letters the ids have; the child knows parent, root, depth and what it belongs to."""
    with execution("Root") as root, execution("A", vault_id="v" + ids[1:], user_id="u") as run:
        headers = inject({"accept": "*/*"})
    assert headers.keys() == {"accept", HEADER}
    assert headers[HEADER].isascii()
    assert headers[HEADER].isprintable()
    remote = extract(headers)
    expected = (run.execution_id, root.execution_id, 1, "u", None)
    assert expected == (
        remote.execution_id,
        remote.root_execution_id,
        remote.depth,
        remote.user_id,
        remote.conversation_id,
    )
    assert remote.vault_id == ("v" + ids[1:] if "\n" not in ids else None)
    with remote, execution("Child"):
        pass
    child = of_kind(logs, "execution.started")[-1]
    assert expected[:2] == (child["parent_execution_id"], child["root_execution_id"])
    assert child["depth"] == 2


def test_a_header_of_other_letters_is_replaced() -> None:
    """A request that is handed on has one header, the newest."""
    with execution("A") as run:
        headers = inject({"Tracklog-Context": "execution_id=old", "TRACKLOG-CONTEXT": "execution_id=older"})
    assert list(headers) == [HEADER]
    assert extract(headers).execution_id == run.execution_id


def test_the_environment_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a dict that is to be one, and for the process's own by itself."""
    monkeypatch.delenv("TRACKLOG_CONTEXT", raising=False)
    with execution("A") as run:
        environment = inject({"PATH": "/bin"}, env=True)
        inject(os.environ)
    assert environment.keys() == {"PATH", "TRACKLOG_CONTEXT"}
    assert run.execution_id == extract(environment).execution_id == extract(os.environ).execution_id
    assert HEADER not in os.environ
    monkeypatch.delenv("TRACKLOG_CONTEXT")


def test_a_program_is_a_child(logs: Path) -> None:
    """With the environment that was made for it, where it takes the parent from there."""
    program = """
import os, sys
from tracklog.processors import ExecutionLog, execution, extract
ExecutionLog(sys.argv[1])
with execution("Alone"):
    pass
with extract(os.environ), execution("Child"):
    pass
"""
    with execution("Parent", conversation_id="c") as run:
        done = run_program(program, logs, **inject(env=True))
    assert (done.stderr, done.returncode) == ("", 0)
    started = {entry["agent_name"]: entry for entry in of_kind(logs, "execution.started")}
    child = started["Child"]
    assert "parent_execution_id" not in started["Alone"]
    assert (run.execution_id, run.execution_id, 1, "c") == tuple(
        child[key] for key in ("parent_execution_id", "root_execution_id", "depth", "conversation_id")
    )


@pytest.mark.parametrize(
    "carrier",
    [
        {"Tracklog-Context": "execution_id=e1"},
        {"HTTP_TRACKLOG_CONTEXT": "execution_id=e1"},
        {b"tracklog-context": b"execution_id=e1"},
        [("accept", "*/*"), ("TRACKLOG-CONTEXT", "execution_id=e1")],
        [(b"accept", b"*/*"), (b"tracklog-context", b"execution_id=e1")],
        UserDict({"tracklog-context": "execution_id=e1"}),
        iter([("tracklog-context", "execution_id=e1")]),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_headers_come_in_many_forms(carrier: Any) -> None:
    """Of WSGI, of ASGI, and of HTTP libraries."""
    assert extract(carrier).execution_id == "e1"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nonsense",
        "execution_id=",
        "root=r;depth=1",
        "execution_id=" + "x" * 129,
        "execution_id=%0a",
        "execution_id=a%00b",
        "execution_id=e1;" * 10_000,
        5,
        None,
    ],
    ids=lambda value: str(value)[:30],
)
def test_nonsense_is_passed_over(value: Any) -> None:
    """What a stranger sends is no parent, and breaks nothing."""
    remote = extract({HEADER: value})
    assert remote.execution_id is None
    with remote, execution("A") as run:
        assert run.identity.parent_execution_id is None


@pytest.mark.parametrize(
    "carrier",
    [None, 5, [1], ["ab"], [("a", "b", "c")], [(None, None)], object()],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_what_is_no_carrier_carries_nothing(carrier: Any) -> None:
    """And raises nothing."""
    assert extract(carrier).execution_id is None


@pytest.mark.parametrize("depth", ["-1", "1e3", "x", "1" * 7, "²", ""])
def test_an_odd_depth_is_not_known(depth: str) -> None:
    """The parent is."""
    remote = extract({HEADER: f"execution_id=e1;depth={depth}"})
    assert ("e1", None) == (remote.execution_id, remote.depth)
    with remote, execution("A") as run:
        assert (run.identity.parent_execution_id, run.identity.depth) == ("e1", None)


@given(st.dictionaries(st.text() | st.just(HEADER) | st.binary(), st.text() | st.binary() | st.none()))
def test_no_headers_raise(headers: dict[Any, Any]) -> None:
    """Whatever they are."""
    remote = extract(headers)
    with remote:
        assert (inject() == {}) == (remote.execution_id is None)


def test_an_execution_inside_a_remote_parent_is_the_nearer_one(logs: Path) -> None:
    """And one that is entered inside an execution is nearer than that."""
    with extract({HEADER: "execution_id=p1"}) as remote:
        with execution("A") as a:
            with execution("B") as b, extract({HEADER: "execution_id=p2"}), execution("C") as c:
                pass
            with execution("D") as d:
                pass
        assert extract(inject()).execution_id == remote.execution_id
        with execution("E") as e:
            pass
    with execution("F") as f:
        pass
    assert ["p1", a.execution_id, "p2", a.execution_id, "p1", None] == [
        run.identity.parent_execution_id for run in (a, b, c, d, e, f)
    ]


def test_a_remote_parent_may_be_async_entered_twice_and_left_twice() -> None:
    """Nothing raises, and nothing is left."""
    remote = extract({HEADER: "execution_id=p1"})

    async def main() -> None:
        async with remote, remote:
            with execution("A") as run:
                assert run.identity.parent_execution_id == "p1"

    asyncio.run(main())
    remote.__enter__()
    remote.__exit__()
    remote.__exit__()
    assert inject() == {}


def test_what_came_in_is_handed_on() -> None:
    """A service without executions of its own hands the parent on."""
    with extract({HEADER: "execution_id=p1;root=r;depth=2;vault_id=v;conversation_id=c;user_id=u"}) as remote:
        onward = extract(inject())
    assert [getattr(remote, name) for name in remote.__slots__] == [getattr(onward, name) for name in onward.__slots__]


def test_headers_of_the_standard_librarys_server() -> None:
    """They are a message's, which has names more than once and is no mapping."""
    message = Message()
    message["Accept"] = "*/*"
    message["Tracklog-Context"] = "execution_id=e1"
    assert "e1" == extract(message).execution_id


@pytest.mark.parametrize("carrier", [[], [("accept", "*/*")], [("Tracklog-Context", "execution_id=old")]])
def test_pairs_are_injected_into(logs: Path, carrier: list[tuple[str, str]]) -> None:
    """As they are extracted from; an older one gives way."""
    with execution("A") as run:
        assert inject(carrier) is carrier
    assert run.execution_id == extract(carrier).execution_id
    assert 1 == [name.lower() for name, _ in carrier].count(HEADER)


@pytest.mark.parametrize("carrier", [5, (), "text", [1]])
def test_what_is_no_carrier_is_left_as_it_was(logs: Path, carrier: Any) -> None:
    """Inside an execution as outside of one."""
    with execution("A"):
        assert carrier == inject(carrier)
