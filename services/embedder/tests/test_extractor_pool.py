import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from embedder.adapters.extractor_pool import MOCK_MEDIA_TYPE, ExtractorPool
from embedder.adapters.parser_settings import ChunkSettings, ParserSettings
from embedder.adapters.tokenizer import HashTokenizer
from embedder.domain.chunking import ChunkPolicy
from embedder.domain.parsed import Extraction, Parsed, Rejected
from kartoteka_contracts.errors import DocumentError
from kartoteka_contracts.tasks import Stage
from kartoteka_runtime.env import SettingsError, read

_POLICY = ChunkPolicy(max_tokens=50, overlap_tokens=5)
_MOCK = Path(__file__).with_name("mock_extractor.py")

Opened = Callable[[str], Path]


@asynccontextmanager
async def _pool(**settings: float) -> AsyncIterator[ExtractorPool]:
    fragment = ParserSettings.model_validate({"children": 1, "memory_bytes": 512 << 20, **settings})
    pool = ExtractorPool(fragment, tokenizer="hash", policy=_POLICY, extra_extractor=_MOCK)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()
        assert pool.pids == ()


@pytest.fixture
def directives(tmp_path: Path) -> Opened:
    def write(lines: str) -> Path:
        path = tmp_path / f"body-{time.monotonic_ns()}"
        path.write_text(lines)
        return path

    return write


async def _extract(
    pool: ExtractorPool, body: Path, media_type: str = MOCK_MEDIA_TYPE
) -> Extraction:
    return await pool.extract(
        body, media_type=media_type, filename="file", report=lambda _stage, _share: None
    )


async def _text(pool: ExtractorPool, body: Path) -> str:
    found = await _extract(pool, body)
    assert isinstance(found, Parsed)
    return "\n".join(chunk.text for chunk in found.chunks)


async def _code(pool: ExtractorPool, body: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        await _extract(pool, body)
    assert caught.value.retriable
    return caught.value.code


async def test_chunks_come_back_as_they_were_cut_with_stages_on_the_way(tmp_path: Path) -> None:
    body = tmp_path / "body"
    text = " ".join(f"Sentence number {n} is here." for n in range(900))
    body.write_text(text)
    stages: list[Stage] = []

    async with _pool() as pool:
        found = await pool.extract(
            body,
            media_type="Text/Plain; charset=utf-8",
            filename="a.txt",
            report=lambda stage, _share: stages.append(stage),
        )

    assert isinstance(found, Parsed)
    assert len(found.chunks) > 64
    tokenizer = HashTokenizer()
    for chunk in found.chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        np.testing.assert_array_equal(chunk.tokens, tokenizer.encode(chunk.text).ids)
        assert chunk.tokens.dtype == np.int32
    assert found.characters == len(text)
    assert found.seconds.keys() == {"parsing", "chunking"}
    assert stages[0] is Stage.PARSING
    assert stages[-1] is Stage.CHUNKING


async def test_an_unknown_type_is_unsupported(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"\x7fELF")
    async with _pool() as pool:
        found = await _extract(pool, body, "application/octet-stream")
    assert isinstance(found, Rejected)
    assert found.code == "unsupported"


@pytest.mark.parametrize(
    "directive", ["segv", "exit", "oom", "native-oom", "raise x", "flood-stdout\nsegv"]
)
async def test_a_crash_is_retriable_and_the_next_document_is_read(
    directives: Opened, directive: str
) -> None:
    async with _pool() as pool:
        assert await _code(pool, directives(directive)) == "parser_crashed"
        assert await _text(pool, directives("text fine")) == "fine"


@pytest.mark.parametrize("directive", ["hang", "cpu", "hang-politely", "swallow"])
async def test_a_document_without_end_times_out_and_the_next_one_is_read(
    directives: Opened, directive: str
) -> None:
    async with _pool(soft_limit_seconds=1, hard_limit_seconds=1.5) as pool:
        began = time.monotonic()
        assert await _code(pool, directives(directive)) == "timeout"
        assert time.monotonic() - began < 10
        assert await _text(pool, directives("text fine")) == "fine"


async def test_the_soft_limit_ends_a_document_long_before_the_hard_one(directives: Opened) -> None:
    async with _pool(soft_limit_seconds=0.3, hard_limit_seconds=60) as pool:
        assert await _code(pool, directives("hang-politely")) == "timeout"


async def test_one_bad_document_holds_up_no_other(directives: Opened) -> None:
    limits = {"soft_limit_seconds": 2.0, "hard_limit_seconds": 3.0}
    async with _pool(children=2, **limits) as pool:
        bad = asyncio.create_task(_code(pool, directives("hang")))
        good = [await _text(pool, directives(f"text {n}")) for n in range(20)]
        assert good == [str(n) for n in range(20)]
        assert not bad.done()
        assert await bad == "timeout"


async def test_a_cancelled_document_leaves_no_process_behind(directives: Opened) -> None:
    async with _pool() as pool:
        (before,) = pool.pids
        task = asyncio.create_task(_extract(pool, directives("hang")))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _text(pool, directives("text fine")) == "fine"
        assert pool.pids != (before,)
        assert not _is_running(before)


async def test_output_floods_block_nothing(directives: Opened) -> None:
    async with _pool() as pool:
        assert await _text(pool, directives("flood-stdout\ntext fine")) == "fine"


async def test_a_process_can_do_no_harm_and_knows_no_secret(
    directives: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    async with _pool() as pool:
        found = await _text(
            pool,
            directives(
                f"environment\nconnect\nexec\nwrite {tmp_path / 'out'}\nfork\nthread\nstdin"
            ),
        )
    environment, *tries = found.split("\n\n")
    assert set(environment.split()) <= {
        "LANG",
        "LC_CTYPE",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TOKENIZERS_PARALLELISM",
    }
    assert tries == [
        "refused PermissionError",
        "refused PermissionError",
        "refused OSError",
        "refused PermissionError",
        "refused RuntimeError",
    ]


async def test_a_process_is_replaced_after_its_share_of_documents(directives: Opened) -> None:
    async with _pool(recycle_after=2) as pool:
        pids = [await _text(pool, directives("pid")) for _ in range(5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


async def test_a_process_that_died_while_idle_is_replaced(directives: Opened) -> None:
    async with _pool() as pool:
        os.kill(pool.pids[0], 9)
        await asyncio.sleep(0.2)
        assert await _text(pool, directives("text fine")) == "fine"


async def test_too_much_text_and_too_many_chunks_are_verdicts(directives: Opened) -> None:
    async with _pool(max_text_characters=3000, max_chunks=3) as pool:
        for words in (40, 1500):
            found = await _extract(pool, directives("text " + "ab " * words * 5))
            assert isinstance(found, Rejected)
            assert found.code == "text_too_large"


async def test_a_stopped_pool_fails_the_document_that_was_read(directives: Opened) -> None:
    async with _pool() as pool:
        task = asyncio.create_task(_code(pool, directives("hang")))
        await asyncio.sleep(0.2)
        await pool.stop()
        assert await task == "parser_crashed"


async def test_a_pool_that_cannot_start_says_so(tmp_path: Path) -> None:
    missing = tmp_path / "tokenizer.json"
    missing.write_text("{}")
    pool = ExtractorPool(ParserSettings(children=1), tokenizer=missing, policy=_POLICY)
    with pytest.raises(RuntimeError, match="parser process"):
        await pool.start()


def test_the_fingerprint_follows_what_decides_the_chunks() -> None:
    def of(policy: ChunkPolicy, **settings: int) -> str:
        fragment = ParserSettings.model_validate(settings)
        return ExtractorPool(fragment, tokenizer="hash", policy=policy).fingerprint

    assert of(_POLICY) == of(_POLICY, children=7)
    assert of(_POLICY) != of(ChunkPolicy(max_tokens=51, overlap_tokens=5))


def test_chunk_settings_must_fit_the_model() -> None:
    assert ChunkSettings().policy(254) == ChunkPolicy(max_tokens=254, overlap_tokens=32)
    with pytest.raises(SettingsError, match="CHUNK_MAX_TOKENS must be at most 254"):
        ChunkSettings(max_tokens=300).policy(254)
    with pytest.raises(SettingsError, match="CHUNK_OVERLAP_TOKENS must be at most 20"):
        ChunkSettings(max_tokens=40).policy(254)
    with pytest.raises(SettingsError, match="PARSER_SOFT_LIMIT_SECONDS"):
        read(ParserSettings, {"PARSER_SOFT_LIMIT_SECONDS": "300"})


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
