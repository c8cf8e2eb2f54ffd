# ruff: noqa: RUF001 - other scripts are what is tested
import codecs
import time
from pathlib import Path

import pytest
from fpdf import FPDF

from embedder.adapters.extractors import html, markdown, pdf, pdf_fallback, text
from embedder.adapters.extractors.encoding import decode, detect
from embedder.adapters.extractors.registry import ENGINES, engine, parser_versions
from embedder.domain.parsed import Rejected
from embedder.domain.reading import Reading, ReadingLimits, TextTooLargeError, Unreadable

_LIMITS = ReadingLimits(max_characters=1_000_000, max_pages=10)
_RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей же чаю. Договор № 5 «О поставке»."
_PLAIN_RUSSIAN = "Настоящий договор вступает в силу с момента его подписания обеими сторонами."


def _read(module: object, body: bytes, tmp_path: Path, limits: ReadingLimits = _LIMITS) -> Reading:
    path = tmp_path / "body"
    path.write_bytes(body)
    found = module.read(path, limits, lambda _share: None)  # type: ignore[attr-defined]
    assert isinstance(found, Reading), found
    return found


@pytest.mark.parametrize(
    ("characters", "encoding"),
    [
        *((_RUSSIAN, name) for name in ("utf-8", "cp1251", "utf-16", "utf-32", "utf-8-sig")),
        *((_PLAIN_RUSSIAN, name) for name in ("cp1251", "koi8-r", "cp866", "iso8859-5")),
        *((_PLAIN_RUSSIAN.upper(), name) for name in ("cp1251", "koi8-r")),
        *((_PLAIN_RUSSIAN * 20, name) for name in ("mac_cyrillic",)),
        *((_RUSSIAN, name) for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")),
        *(("Plain English words, nothing else.", n) for n in ("ascii", "utf-16-le", "utf-16-be")),
        ("привет", "cp1251"),
        ("Привіт, світе! Це речення українською мовою, з літерами ї та є.", "cp1251"),
        ("Le garçon naïve a mangé une crêpe à Noël.", "cp1252"),
        ("Größe und Übermaß führen zu Ärger – „schön“.", "cp1252"),
        (
            "漢字とひらがなの文章です。これは日本語のテキストであり、文字コードの判定に使います。"
            * 4,
            "shift_jis",
        ),
        ("Ελληνικά κείμενα για τον έλεγχο της κωδικοποίησης χαρακτήρων." * 3, "cp1253"),
    ],
)
def test_text_in_any_encoding_is_read(characters: str, encoding: str) -> None:
    assert decode(characters.encode(encoding)) == characters


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"a\x00b plain text with one nul " * 30, "utf-8", id="nuls in text"),
        pytest.param("Слово ".encode() * 100 + b"\xff\xfe", "utf-8", id="two bad bytes"),
        pytest.param("Слово".encode()[:-1], "utf-8", id="cut in a character"),
        pytest.param(b"", "utf-8", id="nothing"),
    ],
)
def test_damaged_utf8_stays_utf8(data: bytes, expected: str) -> None:
    assert detect(data) == expected


def test_plain_text_is_cleaned(tmp_path: Path) -> None:
    found = _read(text, b"\xef\xbb\xbfOne\x00\r\n\r\n\r\n\r\nTwo\x1b[0m  \r\n", tmp_path)
    assert found.text == "One\n\nTwo[0m"
    assert found.pages is None


def test_lone_surrogates_in_utf8_and_utf16_never_reach_the_text(tmp_path: Path) -> None:
    for body in (b"good \xed\xa0\x80 text", codecs.BOM_UTF16_LE + b"a\x00\x00\xd8b\x00"):
        assert _read(text, body, tmp_path).text.encode()


def test_a_text_file_above_the_limit_is_not_even_read(tmp_path: Path) -> None:
    with pytest.raises(TextTooLargeError):
        _read(text, b"x" * 50, tmp_path, ReadingLimits(max_characters=10, max_pages=1))


def test_markdown_becomes_the_text_that_is_seen(tmp_path: Path) -> None:
    source = (
        "# Title *here*\n\nSome **bold** [link](http://x.test/?a=b) and `code()`.\n"
        "<!-- hidden -->\n![alt text](i.png)\n\n- one\n- two\n\nSub\n---\n"
        "```python\nx = 1  # kept\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "<div>raw <script>evil()</script>html</div>\n\n&amp; \\*star\\*\n"
    )
    found = _read(markdown, source.encode(), tmp_path)
    assert found.text == (
        "Title here\n\nSome bold link and code().\n\nalt text\none\ntwo\n\nSub\n\n"
        "x = 1  # kept\na\tb\n1\t2\n\nraw html\n\n& *star*"
    )
    assert [found.text[h.start : h.end] for h in found.headings] == ["Title here", "Sub"]


def test_long_markdown_is_parsed_in_pieces_and_keeps_code_whole(tmp_path: Path) -> None:
    section = "# Head\n\ntext here\n\n```\n# no heading\n\n\n```\n\n"
    found = _read(markdown, (section * 8000).encode(), tmp_path)
    assert len(found.headings) == 8000
    assert found.text.count("# no heading") == 8000


def test_html_becomes_the_text_that_is_seen(tmp_path: Path) -> None:
    page = """<!doctype html><html><head><title>The Title</title><style>p{color:red}</style>
    <script>var a = "<p>no</p>";</script></head><body><h1>Big
    head</h1><p>First <b>bold</b> words<br>next line. <span style="display: none">no</span></p>
    <template>no</template><noscript>no</noscript><div hidden>no <p>no</p></div>
    <!-- no --><ul><li>one</li><li>two</li></ul><pre>a  b
      c</pre><table><tr><td>x</td><td>y</td></tr><tr><td>z</td></tr></table>
    &lt;tag&gt; &eacute;<img src="http://never.test/fetched.png" alt="no"></body></html>"""
    found = _read(html, page.encode(), tmp_path)
    assert found.text == (
        "The Title\n\nBig head\n\nFirst bold words\nnext line.\none\ntwo\n\na  b\n      c\n"
        "x\ty\nz\n\n<tag> é"
    )
    assert [found.text[h.start : h.end] for h in found.headings] == ["The Title", "Big head"]


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("windows-1251", "cp1251"),
        ("koi8-r", "koi8-r"),
        ("nonsense", "cp1251"),
        ("utf-8", "cp1251"),
        ("iso-8859-1", "utf-8"),
    ],
)
def test_html_honours_the_declared_encoding_where_it_fits(
    tmp_path: Path, declared: str, encoding: str
) -> None:
    page = f'<html><head><meta charset="{declared}"></head><p>{_PLAIN_RUSSIAN}</p>'
    assert _read(html, page.encode(encoding), tmp_path).text == _PLAIN_RUSSIAN


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        pytest.param(b"<div>" * 100_000 + b"deep", "deep", id="deep"),
        pytest.param(
            b'<img alt="' + b"A" * 12_000_000 + b'"><p>after', "after", id="long attribute"
        ),
        pytest.param(b"<p>before<!-- " + b"x" * 100_000, "before", id="open comment"),
        pytest.param(b"<p>a\x00b</p>c", "ab\n\nc", id="nul"),
        pytest.param(b"   \n", "", id="white space"),
        pytest.param(b"no markup at all", "no markup at all", id="no markup"),
        pytest.param(b"<![CDATA[<<<>>>&#0;&#xD800;<p", "", id="rubbish"),
    ],
)
def test_hostile_html_ends_soon(tmp_path: Path, page: bytes, expected: str) -> None:
    began = time.monotonic()
    found = _read(html, page, tmp_path)
    assert expected in found.text
    assert found.text.encode().decode() == found.text
    assert time.monotonic() - began < 5


def test_html_with_too_much_text_is_refused(tmp_path: Path) -> None:
    limits = ReadingLimits(max_characters=100_000, max_pages=1)
    for page in (b"<p>word</p>" * 50_000, b"word " * 200_000):
        with pytest.raises(TextTooLargeError):
            _read(html, page, tmp_path, limits)


def _pdf(*pages: str) -> bytes:
    document = FPDF()
    document.set_font("Helvetica", size=12)
    for page in pages:
        document.add_page()
        document.multi_cell(60, 6, page)
    return bytes(document.output())


def test_pdf_keeps_pages_and_joins_words(tmp_path: Path) -> None:
    found = _read(pdf, _pdf("This is an exam-\nple of wrapped lines.", "", "Third page"), tmp_path)
    assert found.text == "This is an example of wrapped lines.\n\nThird page"
    assert [(p.page, p.offset) for p in found.page_starts] == [(1, 0), (3, 38)]
    assert (found.pages, found.pages_with_text) == (3, 2)
    assert found.parser.startswith("pypdfium2 5.")


def test_pypdf_reads_the_same_pages(tmp_path: Path) -> None:
    found = _read(pdf_fallback, _pdf("First page", "Second page"), tmp_path)
    assert found.text == "First page\n\nSecond page"
    assert found.pages_with_text == 2


def test_too_many_pages_are_refused_by_both(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(_pdf("a", "b", "c"))
    limits = ReadingLimits(max_characters=100, max_pages=2)
    for module in (pdf, pdf_fallback):
        found = module.read(path, limits, lambda _share: None)
        assert isinstance(found, Rejected)
        assert found.code == "too_many_pages"


def test_damage_is_left_to_the_next_engine_and_the_last_one_gives_the_verdict(
    tmp_path: Path,
) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"%PDF-1.7\nrubbish")
    first = pdf.read(path, _LIMITS, lambda _share: None)
    last = pdf_fallback.read(path, _LIMITS, lambda _share: None)
    assert isinstance(first, Unreadable)
    assert isinstance(last, Rejected)
    assert last.code == "malformed"


def test_every_engine_of_the_registry_can_be_loaded() -> None:
    for names in ENGINES.values():
        for name in names:
            assert callable(engine(name))
    assert {"extractors", "pypdfium2", "lxml"} <= parser_versions().keys()
