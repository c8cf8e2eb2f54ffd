"""Whether Qdrant answers, whichever model its collections are for."""

from typing import Final

from kartoteka_index.client import QdrantSettings, connect
from kartoteka_index.failures import attempt

__all__ = ["Reach"]

_ANY: Final = "ping"


class Reach:
    """A connection for that question alone.

    Args:
        settings: where Qdrant is.

    Raises:
        OSError: the authority's file cannot be read.
    """

    def __init__(self, settings: QdrantSettings) -> None:
        self._client = connect(settings)
        self._name = f"{settings.collection}-{_ANY}"

    async def ping(self) -> None:
        """Return when Qdrant answers us; whether anything is in it does not matter.

        Raises:
            UnavailableError: ``index_unavailable``, also where it refuses our key.
        """
        await attempt("ping", lambda: self._client.collection_exists(self._name))

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()
