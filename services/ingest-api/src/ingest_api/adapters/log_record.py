"""One consumed record."""

from typing import Protocol

__all__ = ["LogRecord"]


class LogRecord(Protocol):
    """A consumed record, as the Kafka client has it."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - the client's own names
    @property
    def partition(self) -> int: ...  # noqa: D102 - likewise
    @property
    def offset(self) -> int: ...  # noqa: D102 - likewise
    @property
    def timestamp(self) -> int: ...  # noqa: D102 - milliseconds since the epoch
    @property
    def key(self) -> bytes | None: ...  # noqa: D102 - likewise
    @property
    def value(self) -> bytes | None: ...  # noqa: D102 - likewise
    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]: ...  # noqa: D102 - likewise
