from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.entrypoints.http.multipart import Form, FormLimits, boundary_of
from kartoteka_contracts.errors import RequestError

BOUNDARY = b"xYzZY"
LIMITS = FormLimits(bytes=100_000, parts=10)


def part(name: bytes, content: bytes, *, filename: bytes | None = None, more: bytes = b"") -> bytes:
    tail = b"" if filename is None else b'; filename="' + filename + b'"'
    head = b'Content-Disposition: form-data; name="' + name + b'"' + tail
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n" + more + b"\r\n" + content + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"


async def source(body: bytes, step: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), step):
        yield body[start : start + step]


async def read(body: bytes, *, step: int = 4096) -> list[tuple[str, str | None, bytes]]:
    form = Form(BOUNDARY, source(body, step), limits=LIMITS)
    return [
        (found.name, found.filename, b"".join([chunk async for chunk in found.chunks()]))
        async for found in form.parts()
    ]


@given(
    contents=st.lists(st.binary(max_size=200) | st.sampled_from([b"\r\n--xYzZ", b"--", b"\r\n"])),
    step=st.integers(1, 64),
)
async def test_parts_come_out_as_they_went_in_however_they_are_cut(
    contents: list[bytes], step: int
) -> None:
    contents = [content for content in contents[:9] if BOUNDARY not in content]
    if not contents:
        return
    body = b"".join(part(b"f", content, filename=b"n") for content in contents) + END
    assert await read(body, step=step) == [("f", "n", content) for content in contents]


async def test_a_part_that_nobody_reads_is_skipped() -> None:
    body = part(b"a", b"x" * 50_000, filename=b"n") + part(b"b", b"2") + END
    form = Form(BOUNDARY, source(body, 1000), limits=LIMITS)
    names = [(found.name, found.filename) async for found in form.parts()]
    assert names == [("a", "n"), ("b", None)]


async def test_names_are_utf8() -> None:
    body = part("поле".encode(), b"1", filename="имя;.txt".encode()) + END
    assert await read(body) == [("поле", "имя;.txt", b"1")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", "invalid_request", id="nothing"),
        pytest.param(part(b"a", b"1"), "invalid_request", id="no-end"),
        pytest.param(part(b"a", b"1")[:30], "invalid_request", id="cut-in-headers"),
        pytest.param(b"preamble" + part(b"a", b"1") + END, "invalid_request", id="preamble"),
        pytest.param(b"--other\r\n\r\n", "invalid_request", id="other-boundary"),
        pytest.param(b"\x1f\x8b\x08gzip", "invalid_request", id="compressed"),
        pytest.param(part(b"a", b"1") * 11 + END, "too_many_parts", id="too-many-parts"),
        pytest.param(part(b"a", b"x" * 100_001) + END, "body_too_large", id="too-large"),
        pytest.param(END + b"x" * 100_001, "body_too_large", id="endless-epilogue"),
        pytest.param(b"\r\n" * 50_001, "body_too_large", id="endless-line-breaks"),
        pytest.param(part(b"\xff", b"1") + END, "invalid_name", id="field-not-utf8"),
        pytest.param(part(b"a", b"1", filename=b"\xff") + END, "invalid_name", id="name-not-utf8"),
        pytest.param(
            part(b"a", b"1", more=b"X: y\r\n" * 20) + END, "invalid_request", id="many-headers"
        ),
        pytest.param(
            part(b"a", b"1", more=b"X: " + b"y" * 20_000 + b"\r\n") + END,
            "invalid_request",
            id="long-header",
        ),
        pytest.param(
            part(b"a", b"1", more=b"Content-Transfer-Encoding: base64\r\n") + END,
            "invalid_request",
            id="encoded-part",
        ),
    ],
)
@pytest.mark.parametrize("step", [7, 4096])
async def test_a_hostile_form_is_refused(body: bytes, code: str, step: int) -> None:
    with pytest.raises(RequestError) as caught:
        await read(body, step=step)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "header",
    [
        "",
        "application/json",
        "multipart/form-data",
        'multipart/form-data; boundary=""',
        "multipart/mixed; boundary=x",
        "multipart/form-data; ;;;a;a;a;",
    ],
)
def test_only_a_form_with_a_boundary_is_a_form(header: str) -> None:
    with pytest.raises(RequestError):
        boundary_of(header)


def test_a_boundary_that_is_too_long_is_refused() -> None:
    with pytest.raises(RequestError):
        Form(b"x" * 5000, source(b"", 1), limits=LIMITS)


async def test_memory_holds_no_more_than_a_chunk() -> None:
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        yield part(b"a", b"", filename=b"n")[:-2]
        while True:
            pulled += 1
            yield b"x" * 1000

    form = Form(BOUNDARY, endless(), limits=LIMITS)
    found = await anext(form.parts())
    chunks = found.chunks()
    await anext(chunks)
    assert pulled <= 2
