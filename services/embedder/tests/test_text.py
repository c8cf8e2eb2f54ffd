import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder.domain.reading import PageStart, ReadingBuilder, TextTooLargeError
from embedder.domain.text import clean

_ANY = st.text(st.characters(exclude_categories=()), max_size=200)


@given(_ANY)
@settings(deadline=None)
def test_clean_text_is_encodable_composed_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)

    assert clean(cleaned) == cleaned
    assert cleaned.encode().decode() == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not set(cleaned) & set("\x00\r\u200b\ufeff")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("a\x00b\ud800c", "abc", id="nul and lone surrogate"),
        pytest.param("pass\u200bword\u00ad", "password", id="zero width"),
        pytest.param("e\u0301", "\u00e9", id="composed"),
        pytest.param("a\r\nb\rc\u2028d", "a\nb\nc\nd", id="line ends"),
        pytest.param("\n\n a  \n\n\n\nb\u00a0c\n", " a\n\nb c", id="white space"),
        pytest.param("a" + " " * 100 + "b", "a b", id="long gap"),
        pytest.param(
            "a" + "\u0301\u0316" * 100_000, "\u00e1" + "\u0316" * 8 + "\u0301" * 7, id="marks"
        ),
        pytest.param("\uf0b7 item", " item", id="private use"),
    ],
)
def test_cleaning(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_a_reading_knows_where_headings_and_pages_lie() -> None:
    builder = ReadingBuilder(100)
    builder.turn_to(1)
    builder.add("Title", is_heading=True)
    builder.turn_to(2)
    builder.turn_to(3)
    builder.add("Body")
    builder.add("more", is_tight=True)

    reading = builder.build(parser="test 1", pages=3)

    assert reading.text == "Title\n\nBody\nmore"
    assert reading.text[reading.headings[0].start : reading.headings[0].end] == "Title"
    assert reading.page_starts == (PageStart(offset=0, page=1), PageStart(offset=7, page=3))
    assert (reading.pages, reading.pages_with_text) == (3, 2)


def test_a_reading_above_the_limit_is_refused() -> None:
    builder = ReadingBuilder(5)
    builder.add("12345")
    with pytest.raises(TextTooLargeError):
        builder.add("6")
