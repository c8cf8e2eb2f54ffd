import pytest
from hypothesis import given
from hypothesis import strategies as st

from kartoteka_contracts.media_type import UNKNOWN, sniff

RUSSIAN = "Настоящий договор заключён между сторонами. Стороны согласны.\n" * 20


@pytest.mark.parametrize(
    ("head", "filename", "expected"),
    [
        pytest.param(b"%PDF-1.7\n", "a.bin", "application/pdf", id="pdf-by-content"),
        pytest.param(b"\xef\xbb\xbf\n%PDF-1.4", "a", "application/pdf", id="pdf-after-junk"),
        pytest.param(b"hello", "a.pdf", "text/plain", id="text-called-pdf"),
        pytest.param(b"hello", "a.txt", "text/plain", id="text"),
        pytest.param(b"# Title\n", "README.MD", "text/markdown", id="markdown"),
        pytest.param(b"<!DOCTYPE html><p>x", "page", "text/html", id="html-by-content"),
        pytest.param(b"<!-- c --> <html>", "page.txt", "text/html", id="html-after-comment"),
        pytest.param(b'<?xml version="1.0"?><html>', "p", "text/html", id="xhtml"),
        pytest.param(b"<p>fragment", "page.htm", "text/html", id="html-by-name"),
        pytest.param(b"<svg xmlns='x'>", "a.txt", "image/svg+xml", id="svg"),
        pytest.param(b"PK\x03\x04rest", "a.txt", "application/zip", id="zip-called-text"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "a.md", "image/png", id="png-called-markdown"),
        pytest.param(b"\xff\xd8\xff\xe0", "a.jpg", "image/jpeg", id="jpeg"),
        pytest.param(b"MZ\x90\x00", "a.txt", "application/x-msdownload", id="exe-called-text"),
        pytest.param(b"{\\rtf1", "a.txt", "application/rtf", id="rtf"),
        pytest.param(bytes(range(256)), "a.txt", UNKNOWN, id="all-bytes"),
        pytest.param(b"\x00" * 64, "a.txt", UNKNOWN, id="zeros"),
        pytest.param(RUSSIAN.encode("cp1251"), "a.txt", "text/plain", id="cp1251"),
        pytest.param(RUSSIAN.encode("koi8-r"), "a.txt", "text/plain", id="koi8-r"),
        pytest.param(RUSSIAN.encode("utf-16"), "a.txt", "text/plain", id="utf-16-bom"),
        pytest.param(RUSSIAN.encode("utf-16-le"), "a.txt", "text/plain", id="utf-16-le"),
        pytest.param(RUSSIAN.encode("utf-16-be"), "a.md", "text/markdown", id="utf-16-be"),
        pytest.param(b"plain words".decode().encode("utf-16-le"), "a", "text/plain", id="latin-16"),
        pytest.param(RUSSIAN.encode("utf-32-le"), "a.txt", "text/plain", id="utf-32-le"),
        pytest.param("<html>".encode("utf-16"), "a", "text/html", id="utf-16-html"),
    ],
)
def test_content_decides_and_the_name_only_tells_texts_apart(
    head: bytes, filename: str, expected: str
) -> None:
    assert sniff(head, filename) == expected


@given(head=st.binary(max_size=4096), filename=st.text(max_size=20))
def test_anything_at_all_has_some_type(head: bytes, filename: str) -> None:
    assert "/" in sniff(head, filename)
