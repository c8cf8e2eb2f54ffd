"""Why a stack does not start or go on; every message says what to do."""

__all__ = ["KeepsDyingError", "StackError"]


class StackError(Exception):
    """The stack cannot start, or cannot go on."""


class KeepsDyingError(StackError):
    """A child that no restart helps.

    Args:
        name: the child.
        message: how it died, its last lines, and what to do.
    """

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)
