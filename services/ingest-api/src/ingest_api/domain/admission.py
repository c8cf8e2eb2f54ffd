"""How many uploads may be under way: refused early, so that those let in can finish."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kartoteka_contracts.errors import UnavailableError

__all__ = ["UploadGate"]

_RETRY_AFTER: Final = 2.0


class UploadGate:
    """Counts uploads under way, and the bytes that they announced.

    Args:
        uploads: how many at once.
        announced_bytes: how many bytes together. A single upload may exceed it while it is alone,
            so that no size that is allowed is impossible.
    """

    def __init__(self, *, uploads: int, announced_bytes: int) -> None:
        self._most_uploads = uploads
        self._most_bytes = announced_bytes
        self._uploads = 0
        self._bytes = 0

    @property
    def uploads(self) -> int:
        """Uploads under way."""
        return self._uploads

    @property
    def announced_bytes(self) -> int:
        """Bytes that they announced together."""
        return self._bytes

    @contextmanager
    def admitted(self, announced: int) -> Iterator[None]:
        """Hold a place for one upload of ``announced`` bytes.

        Raises:
            UnavailableError: ``overloaded``.
        """
        is_full = self._uploads >= self._most_uploads
        is_heavy = self._uploads > 0 and self._bytes + announced > self._most_bytes
        if is_full or is_heavy:
            raise UnavailableError(
                "overloaded", "too many uploads are under way", retry_after=_RETRY_AFTER
            )
        self._uploads += 1
        self._bytes += announced
        try:
            yield
        finally:
            self._uploads -= 1
            self._bytes -= announced
