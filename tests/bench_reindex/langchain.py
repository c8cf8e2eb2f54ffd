"""LangChain's `index()` with its SQL record manager, over Qdrant's local mode."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from langchain_classic.indexes import SQLRecordManager
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index
from langchain_qdrant import QdrantVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from qdrant_client import models

from tests.bench.sizes import CHUNK_TOKENS, OVERLAP_TOKENS
from tests.bench_reindex.boundary import Counts, Death, Model, open_store, read_folder
from tests.bench_reindex.stored import COLLECTION

__all__ = ["run"]

_NAMESPACE = "bench"


class _Embeddings(Embeddings):  # type: ignore[misc]  # not installed where types are checked
    def __init__(self, model: Model) -> None:
        self._model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._model.embed(texts)

    def embed_query(self, text: str) -> list[float]:
        return self._model.embed([text])[0]


def run(
    folder: Path,
    state: Path,
    cleanup: Literal["full", "incremental"],
    *,
    model: Model,
    counts: Counts,
    death: Death,
) -> None:
    """Bring the store to what the folder holds, as LangChain's guide shows it."""
    client = open_store(state, death)
    if not client.collection_exists(COLLECTION):
        client.create_collection(
            COLLECTION,
            vectors_config=models.VectorParams(size=384, distance=models.Distance.COSINE),
        )
    store = QdrantVectorStore(
        client, COLLECTION, _Embeddings(model), validate_collection_config=False
    )
    records = SQLRecordManager(_NAMESPACE, db_url=f"sqlite:///{state / 'records.sqlite'}")
    records.create_schema()
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(
        model.tokenizer, chunk_size=CHUNK_TOKENS, chunk_overlap=OVERLAP_TOKENS
    )

    def documents() -> Iterator[Document]:
        for name, text in read_folder(folder, counts):
            whole = Document(page_content=text, metadata={"source": name})
            yield from splitter.split_documents([whole])

    index(
        documents(),
        records,
        store,
        cleanup=cleanup,
        source_id_key="source",
    )
    client.close()
