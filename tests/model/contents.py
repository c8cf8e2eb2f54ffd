"""What documents of the model say, and the parser and model that make chunks of it."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from embedder.domain.parsed import Chunk, Extraction, Parsed, Rejected, TokenIds
from embedder.ports import StageReport, Vectors
from kartoteka_contracts.errors import DocumentError
from kartoteka_contracts.tasks import Stage
from tests.model.process import Fate, Process

__all__ = ["DIMENSION", "FlatEmbedder", "LineExtractor", "lines_of"]

DIMENSION: Final = 2


def lines_of(body: str) -> list[str]:
    """Return the texts of a body's chunks; a body that is rejected or kills its parser has none."""
    return [] if body.startswith(("!", "?")) else body.splitlines()


class LineExtractor:
    """One chunk a line. ``!code`` is rejected with it, ``?code`` fails with it."""

    fingerprint = "lines"

    def __init__(self, process: Process) -> None:
        self._process = process

    async def extract(
        self,
        body: Path,
        *,
        media_type: str,
        filename: str,
        report: StageReport,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> Extraction:
        del media_type, filename
        if begin is not None:
            await begin()
        report(Stage.PARSING, 0.1)
        if await self._process.park("parse") is not Fate.GO:
            raise DocumentError("parser_crashed")
        text = _text(body)
        if text.startswith("!"):
            return Rejected(code=text[1:], message="the verdict of the model")
        if text.startswith("?"):
            raise DocumentError(text[1:])
        chunks = tuple(
            Chunk(n=n, text=line, start=0, end=len(line), page=None, tokens=np.zeros(1, np.int32))
            for n, line in enumerate(lines_of(text))
        )
        return Parsed(chunks=chunks, characters=len(text), parser="lines", seconds={})


def _text(body: Path) -> str:
    return body.read_text("utf-8")


class FlatEmbedder:
    """The same vector for everything: a search finds all that it may find."""

    name = "model/flat"
    dimension = DIMENSION

    def __init__(self, process: Process) -> None:
        self._process = process

    async def embed_passages(self, passages: Sequence[TokenIds]) -> Vectors:
        if await self._process.park("embed") is not Fate.GO:
            raise DocumentError("embedding_failed")
        return np.ones((len(passages), DIMENSION), dtype=np.float32)

    async def embed_queries(self, queries: Sequence[str]) -> Any:
        raise AssertionError(queries)
