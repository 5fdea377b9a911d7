"""Which process this is, told apart from the one it was forked from."""

import os

_token = object()


def token() -> object:
    """Give an object that is this process's own; unlike a process id, it never comes again."""
    return _token


def _renew() -> None:
    global _token
    _token = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
