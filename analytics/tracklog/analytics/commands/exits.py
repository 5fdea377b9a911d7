"""Name the exit codes."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    meaning: str
    """In a few words, for the documentation."""

    def __new__(cls, code: int, meaning: str) -> "Exit":
        one = int.__new__(cls, code)
        one._value_ = code
        one.meaning = meaning
        return one

    DONE = 0, "done, also with an empty answer"
    FAILED = 1, "it failed, or what was watched did"
    USAGE = 2, "the command is wrong: an option, an argument, a setting, an ambiguous id"
    NOT_FOUND = 3, "there is no such execution, conversation or file"
    UNTRUE = 4, "a check found something: `doctor`, `verify`"
    UNAVAILABLE = 5, "the database cannot be used"
    INTERRUPTED = 130, "interrupted by Ctrl-C"
    TERMINATED = 143, "ended by SIGTERM, where that is not the usual end"
