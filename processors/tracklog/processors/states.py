"""The states an execution goes through, by the names that are stored."""

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """What became of an execution."""

    PENDING = "pending"
    """Selected, not started."""
    RUNNING = "running"
    LLM_REQUEST = "llm_request"
    """A request was sent to a language model."""
    LLM_RESPONSE = "llm_response"
    """The language model answered."""
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    """The agent decided not to respond."""
    CRASHED = "crashed"
    """Its process died before it ended; a verdict of the ingester, never on a line."""


class ExecutionStage(StrEnum):
    """Where an execution stands; a stage may also be any other text of the caller's."""

    INIT = "init"
    SHOULD_RESPOND = "should_respond"
    PRE_PROCESS = "pre_process"
    LLM_PREPARE = "llm_prepare"
    LLM_CALL = "llm_call"
    LLM_PARSE = "llm_parse"
    POST_PROCESS = "post_process"
    COMPLETE = "complete"
