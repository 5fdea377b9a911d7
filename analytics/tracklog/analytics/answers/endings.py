"""Say of an execution that was ended by a verdict what its own lines could not."""

from typing import Final

from tracklog.analytics.record import Record
from tracklog.processors.states import ExecutionStatus

CRASHED: Final = "Crashed"
TIMED_OUT: Final = "Timeout"
"""The `error_type` of executions that wrote none of their own."""


def explain(execution: Record, call: Record | None) -> None:
    """Fill `error_type`, `error_message` and `call_in_flight` of an execution that did not write its own end."""
    where = reached(execution, call)
    if execution["status"] == ExecutionStatus.CRASHED:
        execution["error_type"] = CRASHED
        execution["error_message"] = f"its process died {where}"
    elif execution["status"] == ExecutionStatus.TIMEOUT:
        execution["error_type"] = TIMED_OUT
        execution["error_message"] = f"no line came any more {where}"
    execution["call_in_flight"] = call


def reached(execution: Record, call: Record | None) -> str:
    """Say how far an execution had come: its stage, and the model it was waiting for.

    >>> reached(Record(current_stage="llm_call"), Record(call_id="c1", model="gpt-5.1"))
    'in stage llm_call, waiting for gpt-5.1 to answer'
    """
    stage = execution.get("current_stage")
    text = f"in stage {stage}" if stage else "before its first stage"
    return f"{text}, waiting for {call.get('model') or 'a language model'} to answer" if call else text


def error_of(execution: Record) -> str:
    """Give an execution's error on one line, as a traceback ends; empty when it has none.

    >>> error_of(Record(error_type="ValueError", error_message="no manuscript"))
    'ValueError: no manuscript'
    """
    parts = [str(execution[name]) for name in ("error_type", "error_message") if execution.get(name)]
    return ": ".join(parts)
