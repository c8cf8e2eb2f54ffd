"""Why a request was not served, with the HTTP status that a Qdrant server would answer."""

from typing import Final, Self

__all__ = ["CorruptDataError", "Refusal"]

_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_INTERNAL: Final = 500
_NOT_IMPLEMENTED: Final = 501

# The engine raises bare exceptions: what happened can be told by the text alone.
_STATUS_BY_TEXT: Final = (
    ("No point with id", _NOT_FOUND),
    ("dimension", _BAD_REQUEST),
    ("ot existing vector", _BAD_REQUEST),
    ("No range index", _BAD_REQUEST),
    ("failed to parse", _BAD_REQUEST),
)


class Refusal(Exception):  # noqa: N818 - most are answers, not errors of this process
    """An answer other than success."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)

    @classmethod
    def wrong(cls, message: str) -> Self:
        """Return the refusal of a request that no server would serve."""
        return cls(_BAD_REQUEST, message)

    @classmethod
    def absent(cls, message: str) -> Self:
        """Return the refusal of a request for what is not there."""
        return cls(_NOT_FOUND, message)

    @classmethod
    def unknown(cls, what: str) -> Self:
        """Return the refusal of what a server can do and this facade cannot."""
        return cls(_NOT_IMPLEMENTED, f"the embedded Qdrant does not know {what}")

    @classmethod
    def of_engine(cls, error: Exception) -> Self:
        """Return the refusal that an exception of the engine amounts to."""
        text = str(error)
        for part, status in _STATUS_BY_TEXT:
            if part in text:
                return cls(status, text)
        return cls(_INTERNAL, f"Service internal error: {text}")


class CorruptDataError(Exception):
    """What is on disk is not what was written; serving it would hide a loss."""

    def __init__(self, folder: object, found: str) -> None:
        super().__init__(f"{folder} is damaged: {found}")
