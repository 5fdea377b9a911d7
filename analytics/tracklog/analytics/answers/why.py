"""Answer why an agent did not fire, with evidence."""

import difflib
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select

from tracklog.analytics.answers.calls import calls_in_flight, is_going_on
from tracklog.analytics.answers.endings import error_of, reached
from tracklog.analytics.answers.executions import beside, completed, newest
from tracklog.analytics.answers.ingestion import get_ingestion, reservation
from tracklog.analytics.query import Query, key
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_executions, tracklog_purged
from tracklog.processors.states import ExecutionStatus

_executions = agent_executions.c

_EVIDENCE: Final = tuple(
    _executions[name]
    for name in (
        "execution_id",
        "status",
        "relevance_score",
        "relevance_reasoning",
        "should_respond",
        "input_data",
        "error_type",
        "error_message",
        "current_stage",
        "method",
        "vault_id",
        "conversation_id",
        "parent_execution_id",
        "call_reason",
        "created_at",
        "started_at",
        "completed_at",
        "duration_ms",
        "line_status",
    )
)

_MAX_EXECUTIONS: Final = 20
"""Executions given as evidence, the newest ones; more would hide what happened."""

_MAX_NAMES: Final = 1000
"""Names of agents that are compared with one that was never invoked."""

_MAX_SIMILAR: Final = 3


def debug_why_agent_didnt_fire(
    agent_name: str, conversation_id: str | UUID | None = None, vault_id: str | UUID | None = None
) -> Query[Record]:
    """Say what became of an agent, in a conversation, a vault, or anywhere.

    :return: `status` is one of ``never_invoked``, ``selected_not_started``, ``skipped``, ``failed``, ``timeout``,
        ``crashed``, ``running`` and ``fired_successfully``; with several executions it is that of the newest, unless
        one succeeded. `message` says it in a sentence. `executions` is the evidence, the newest first (at most 20,
        and the newest success). `call_in_flight` is the LLM call that the execution waits for, or died in. `ingestion`
        says how much of the logs is in, `pruned` whether executions were removed, of which no more is known than their
        ids. `agents_in_conversation` tells who fired there. For an agent that was never invoked, `last_execution` is
        its newest one elsewhere; without any, `similar_agents` are names like its own.
    """
    agent_name = str(agent_name)
    name = key(agent_name)
    rows = yield from newest(_of(name, conversation_id, vault_id), _MAX_EXECUTIONS)
    successes = yield from newest(_of(name, conversation_id, vault_id, ExecutionStatus.SUCCESS), 1)
    if successes and not any(row["execution_id"] == successes[0]["execution_id"] for row in rows):
        rows.append(successes[0])
    executions = yield from completed(rows)
    open_calls = yield from calls_in_flight(row["execution_id"] for row in executions if is_going_on(row["status"]))
    for execution in executions:
        execution.setdefault("call_in_flight", open_calls.get(execution["execution_id"]))
    ingestion = yield from get_ingestion()
    pruned = bool((yield select(tracklog_purged.c.execution_id).limit(1)))
    present = (yield from _agents_in(conversation_id)) if conversation_id is not None else []
    similar: list[str] = []
    last: Record | None = None
    if executions:
        decisive = next((one for one in executions if one["status"] == ExecutionStatus.SUCCESS), executions[0])
        status, message = _verdict(agent_name, decisive)
        call = decisive["call_in_flight"]
    else:
        status, call = "never_invoked", None
        elsewhere = yield from newest(_of(name), 1)
        last = next(iter((yield from completed(elsewhere))), None)
        if last is None:
            similar = _similar(agent_name, (yield from _agent_names()))
        message = _never(agent_name, conversation_id, vault_id, ingestion, pruned=pruned)
    return Record(
        status=status,
        message=message,
        executions=executions,
        call_in_flight=call,
        ingestion=ingestion,
        pruned=pruned,
        agents_in_conversation=present,
        similar_agents=similar,
        last_execution=last,
    )


def _of(
    agent_name: str,
    conversation_id: str | UUID | None = None,
    vault_id: str | UUID | None = None,
    status: ExecutionStatus | None = None,
) -> Select[Any]:
    statement = select(*_EVIDENCE).where(beside(_executions.agent_name, conversation_id) == agent_name)
    if conversation_id is not None:
        statement = statement.where(_executions.conversation_id == key(conversation_id))
    if vault_id is not None:
        statement = statement.where(beside(_executions.vault_id, conversation_id) == key(vault_id))
    if status is not None:
        statement = statement.where(beside(_executions.status, conversation_id) == status)
    return statement


def _verdict(agent_name: str, execution: Record) -> tuple[str, str]:
    """Give the status and the sentence for the execution that decides."""
    where = reached(execution, execution["call_in_flight"])
    error = error_of(execution)
    match execution["status"]:
        case ExecutionStatus.SUCCESS:
            return "fired_successfully", f"{agent_name} fired successfully"
        case ExecutionStatus.PENDING:
            reason = f" ({execution['call_reason']})" if execution["call_reason"] else ""
            return "selected_not_started", f"{agent_name} was selected{reason} but never started"
        case ExecutionStatus.SKIPPED:
            return "skipped", f"{agent_name} was invoked but skipped due to relevance check"
        case ExecutionStatus.FAILED:
            return "failed", f"{agent_name} was invoked but failed {where}" + (f": {error}" if error else "")
        case ExecutionStatus.TIMEOUT:
            return "timeout", f"{agent_name} was invoked but timed out {where}" + (f": {error}" if error else "")
        case ExecutionStatus.CRASHED:
            return "crashed", f"{agent_name} was invoked but its process died {where}"
        case _:
            return "running", f"{agent_name} was invoked and is still running, {where}"


def _never(
    agent_name: str,
    conversation_id: str | UUID | None,
    vault_id: str | UUID | None,
    ingestion: Record,
    *,
    pruned: bool,
) -> str:
    parts = [f"{agent_name} was never invoked"]
    if conversation_id is not None:
        parts.append(f"in conversation {conversation_id}")
    if vault_id is not None:
        parts.append(f"in vault {vault_id}")
    sentence, doubt = " ".join(parts), reservation(ingestion)
    if doubt:
        sentence += f", {doubt}"
    if pruned:
        sentence += f", {'and' if doubt else 'but'} executions were pruned, and whose they were is not kept"
    return sentence


def _agents_in(conversation_id: str | UUID) -> Query[list[Record]]:
    rows = yield (
        select(_executions.agent_name, _executions.status, func.count().label("count"))
        .where(_executions.conversation_id == key(conversation_id))
        .group_by(_executions.agent_name, _executions.status)
        .order_by(_executions.agent_name.nulls_last(), _executions.status)
    )
    agents: dict[str | None, Record] = {}
    for row in rows:
        agent = agents.setdefault(
            row["agent_name"], Record(agent_name=row["agent_name"], total_executions=0, status_counts={})
        )
        agent["total_executions"] += row["count"]
        agent["status_counts"][row["status"]] = row["count"]
    return list(agents.values())


def _agent_names() -> Query[list[str]]:
    """Give the names of all agents, by one step in an index for each; DISTINCT would read every row."""
    names: list[str] = []
    while len(names) < _MAX_NAMES:
        statement = select(func.min(_executions.agent_name).label("name"))
        if names:
            statement = statement.where(_executions.agent_name > names[-1])
        rows = yield statement
        if rows[0]["name"] is None:
            break
        names.append(rows[0]["name"])
    return names


def _similar(agent_name: str, names: list[str]) -> list[str]:
    by_folded = {name.casefold(): name for name in names}
    folded = agent_name.casefold()
    # Lists show an agent with its method behind its name.
    close = [name for name in by_folded if name and folded.startswith(f"{name}.")]
    close += difflib.get_close_matches(folded, by_folded, n=_MAX_SIMILAR, cutoff=0.6)
    return [by_folded[name] for name in dict.fromkeys(close)][:_MAX_SIMILAR]
