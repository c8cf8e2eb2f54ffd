"""LlamaIndex's IngestionPipeline over Qdrant's local mode."""

from pathlib import Path
from typing import Literal

from llama_index.core import Document
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.qdrant import QdrantVectorStore

from tests.bench.sizes import CHUNK_TOKENS, OVERLAP_TOKENS
from tests.bench_reindex.boundary import Counts, Death, Model, open_store, read_folder
from tests.bench_reindex.stored import COLLECTION

__all__ = ["run"]


class _Embedding(BaseEmbedding):  # type: ignore[misc]  # not installed where types are checked
    _model: Model = PrivateAttr()

    def __init__(self, model: Model) -> None:
        super().__init__(model_name="all-MiniLM-L6-v2", embed_batch_size=32)
        self._model = model

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._model.embed([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._model.embed(texts)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._model.embed([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def run(
    folder: Path,
    state: Path,
    strategy: Literal["upserts", "upserts_and_delete"],
    *,
    model: Model,
    counts: Counts,
    death: Death,
) -> None:
    """Bring the store to what the folder holds, as LlamaIndex's guide shows it.

    The docstore and the cache are files, loaded before the run and persisted after it.
    """
    client = open_store(state, death)
    store = QdrantVectorStore(COLLECTION, client=client)
    tokenize = model.tokenizer.tokenize
    splitter = SentenceSplitter(
        chunk_size=CHUNK_TOKENS, chunk_overlap=OVERLAP_TOKENS, tokenizer=tokenize
    )
    pipeline = IngestionPipeline(
        transformations=[splitter, _Embedding(model)],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy(strategy),
        vector_store=store,
    )
    kept = state / "pipeline"
    if kept.exists():
        pipeline.load(str(kept))
    documents = [Document(text=text, id_=name) for name, text in read_folder(folder, counts)]
    pipeline.run(documents=documents)
    pipeline.persist(str(kept))
    client.close()
