"""What a peer left in Qdrant's local mode, read without the peer."""

import json
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient

from tests.bench_reindex.truth import Chunk

__all__ = ["COLLECTION", "stored_chunks"]

COLLECTION = "bench"
_PAGE = 1000


def stored_chunks(state: Path) -> list[Chunk]:
    """Return every chunk of a store that no process has open."""
    client = QdrantClient(path=str(state / "qdrant"))
    try:
        chunks: list[Chunk] = []
        offset: Any = None
        while True:
            points, offset = client.scroll(COLLECTION, limit=_PAGE, offset=offset)
            chunks += [_chunk(point.payload or {}) for point in points]
            if offset is None:
                return chunks
    finally:
        client.close()


def _chunk(payload: dict[str, Any]) -> Chunk:
    """Read a payload as LangChain writes it, or as LlamaIndex does."""
    if "metadata" in payload:
        return payload["metadata"]["source"], payload["page_content"]
    return payload["doc_id"], json.loads(payload["_node_content"])["text"]
