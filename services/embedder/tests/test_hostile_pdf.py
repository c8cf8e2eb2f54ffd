from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from embedder.adapters.extractor_pool import ExtractorPool
from embedder.adapters.parser_settings import ParserSettings
from embedder.domain.chunking import ChunkPolicy
from embedder.domain.parsed import Extraction, Parsed, Rejected
from kartoteka_testkit import hostile_pdf


@pytest.fixture
async def pool() -> AsyncIterator[ExtractorPool]:
    settings = ParserSettings(
        children=1,
        memory_bytes=768 << 20,
        soft_limit_seconds=20,
        hard_limit_seconds=25,
        max_pages=100,
    )
    pool = ExtractorPool(settings, tokenizer="hash", policy=ChunkPolicy(max_tokens=50))
    await pool.start()
    yield pool
    await pool.stop()


async def _extract(pool: ExtractorPool, path: Path, body: bytes) -> Extraction:
    return await pool.extract(
        _written(path, body),
        media_type="application/pdf",
        filename="a.pdf",
        report=lambda _stage, _share: None,
    )


def _written(path: Path, body: bytes) -> Path:
    path.write_bytes(body)
    return path


async def test_a_document_is_read_with_its_pages(pool: ExtractorPool, tmp_path: Path) -> None:
    found = await _extract(pool, tmp_path / "a", hostile_pdf.plain("First page.", "", "Third."))

    assert isinstance(found, Parsed)
    assert [(chunk.text, chunk.page) for chunk in found.chunks] == [("First page.\n\nThird.", 1)]
    assert (found.pages, found.pages_with_text) == (3, 2)


async def test_a_document_without_text_has_no_chunks(pool: ExtractorPool, tmp_path: Path) -> None:
    found = await _extract(pool, tmp_path / "a", hostile_pdf.plain("", ""))

    assert isinstance(found, Parsed)
    assert found.chunks == ()
    assert (found.pages, found.pages_with_text) == (2, 0)


async def test_a_password_that_only_forbids_changes_hides_nothing(
    pool: ExtractorPool, tmp_path: Path
) -> None:
    found = await _extract(pool, tmp_path / "a", hostile_pdf.encrypted("", "owner"))

    assert isinstance(found, Parsed)
    assert found.chunks[0].text == "Protected words"


async def test_a_polyglot_is_the_pdf_that_it_holds(pool: ExtractorPool, tmp_path: Path) -> None:
    found = await _extract(pool, tmp_path / "a", hostile_pdf.polyglot())

    assert isinstance(found, Parsed)
    assert found.chunks[0].text == "Real words"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(hostile_pdf.encrypted("user", "owner"), "encrypted", id="encrypted"),
        pytest.param(hostile_pdf.truncated(), "malformed", id="truncated"),
        pytest.param(hostile_pdf.pages_cycle(), "malformed", id="pages cycle"),
        pytest.param(b"%PDF-1.7\n", "malformed", id="nothing but a header"),
        pytest.param(b"", "malformed", id="empty"),
        pytest.param(hostile_pdf.plain(*[""] * 101), "too_many_pages", id="too many pages"),
    ],
)
async def test_a_verdict_is_final_and_the_same_every_time(
    pool: ExtractorPool, tmp_path: Path, body: bytes, code: str
) -> None:
    first = await _extract(pool, tmp_path / "a", body)
    second = await _extract(pool, tmp_path / "a", body)

    assert isinstance(first, Rejected)
    assert first.code == code
    assert first == second


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(hostile_pdf.flate_bomb(1 << 30), "malformed", id="flate bomb"),
        pytest.param(hostile_pdf.nested_arrays(100_000), None, id="nested arrays"),
        pytest.param(hostile_pdf.no_pages(), "malformed", id="no pages"),
    ],
)
async def test_after_a_bomb_the_next_document_is_read(
    pool: ExtractorPool, tmp_path: Path, body: bytes, code: str | None
) -> None:
    found = await _extract(pool, tmp_path / "a", body)
    assert (found.code if isinstance(found, Rejected) else None) == code

    good = await _extract(pool, tmp_path / "b", hostile_pdf.plain("Fine."))
    assert isinstance(good, Parsed)
    assert good.chunks[0].text == "Fine."
