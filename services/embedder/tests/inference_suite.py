"""What every backend promises behind the engine."""

import asyncio

import numpy as np
import pytest

from embedder.adapters.inference.assembly import PreparedModel
from embedder.adapters.inference.engine import Engine
from embedder.adapters.tokenizer import load_tokenizer
from embedder.domain.parsed import TokenIds
from embedder.domain.vectors import Vectors

TEXTS = (
    "The cat sat on the mat.",
    "Invoices are due within thirty days of receipt.",
    "Der Vertrag endet am 31. Dezember.",
    "",
    "東京は日本の首都である。",
    "one two three four five six seven eight nine ten " * 20,
    "x",
)


def cosines(left: Vectors, right: Vectors) -> list[float]:
    pairs = (left.astype(np.float64) * right.astype(np.float64)).sum(axis=1)
    return [float(cosine) for cosine in pairs]


def rows_of(prepared: PreparedModel, texts: tuple[str, ...] = TEXTS) -> list[TokenIds]:
    tokenizer = load_tokenizer(prepared.tokenizer)
    return [tokenizer.encode(text).ids[: prepared.spec.passage_room] for text in texts]


class InferenceSuite:
    """Subclassed with the fixtures ``prepared`` and ``engine`` (started)."""

    async def test_one_row_a_passage_in_order(
        self, engine: Engine, prepared: PreparedModel
    ) -> None:
        rows = rows_of(prepared)

        together = await engine.embed_passages(rows)
        alone = [await engine.embed_passages([row]) for row in rows]

        assert together.shape == (len(rows), engine.dimension)
        assert min(cosines(together, np.concatenate(alone))) >= 0.9999

    async def test_vectors_are_contiguous_float32_of_length_one(
        self, engine: Engine, prepared: PreparedModel
    ) -> None:
        vectors = await engine.embed_passages(rows_of(prepared))

        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-3)

    async def test_company_in_a_batch_does_not_change_a_vector(
        self, engine: Engine, prepared: PreparedModel
    ) -> None:
        row, *company = rows_of(prepared)
        alone = await engine.embed_passages([row])

        crowds = await asyncio.gather(
            engine.embed_passages([row, *company] * 10),
            engine.embed_passages(company * 10),
            engine.embed_passages([row] * 30),
        )

        for crowd in (crowds[0][:: len(company) + 1], crowds[2]):
            assert min(cosines(crowd, np.repeat(alone, len(crowd), axis=0))) >= 0.9999

    async def test_no_passages_give_no_rows(self, engine: Engine) -> None:
        assert (await engine.embed_passages([])).shape == (0, engine.dimension)
        assert (await engine.embed_queries([])).shape == (0, engine.dimension)

    async def test_a_query_finds_its_passage(self, engine: Engine, prepared: PreparedModel) -> None:
        passages = await engine.embed_passages(rows_of(prepared))
        queries = await engine.embed_queries(["cat on a mat", "when are invoices due"])

        assert (queries @ passages.T).argmax(axis=1).tolist() == [0, 1]

    async def test_the_tail_of_a_long_query_is_cut_off(self, engine: Engine) -> None:
        long, longer = await engine.embed_queries(["word " * 1000, "word " * 1000 + "other"])

        assert cosines(long[None], longer[None])[0] >= 0.9999

    async def test_the_longest_passage_fits_and_a_longer_one_is_refused(
        self, engine: Engine, prepared: PreparedModel
    ) -> None:
        (longest,) = rows_of(prepared, ("word " * 1000,))

        assert len(longest) == prepared.spec.passage_room
        assert (await engine.embed_passages([longest])).shape == (1, engine.dimension)
        with pytest.raises(ValueError, match="a passage of"):
            await engine.embed_passages([np.append(longest, longest[:1])])

    async def test_a_passage_as_text_is_a_passage_as_tokens(
        self, engine: Engine, prepared: PreparedModel
    ) -> None:
        as_text = await engine.embed_texts(TEXTS, input_type="passage")

        as_tokens = await engine.embed_passages(rows_of(prepared))

        assert min(cosines(as_text.vectors, as_tokens)) >= 0.9999
        assert as_text.tokens == sum(len(prepared.spec.passage(row)) for row in rows_of(prepared))
