"""Forms, read as they arrive: one part at a time, in bounded memory.

The reader is pulled, never pushed: whoever consumes a part's chunks sets the pace, down to the
client's socket.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from kartoteka_contracts.errors import KartotekaError, RequestError

__all__ = ["Form", "FormLimits", "Part", "boundary_of"]

_MAX_HEADERS: Final = 8
_MAX_HEADER_BYTES: Final = 16 * 1024
_PLAIN_ENCODINGS: Final = frozenset({b"", b"binary", b"7bit", b"8bit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FormLimits:
    """How large a form may be."""

    bytes: int
    parts: int


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a request's Content-Type names.

    Raises:
        RequestError: ``invalid_request`` where it is no multipart form.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise RequestError("invalid_request", "send the file as multipart/form-data")
    return boundary


class Part:
    """One part: a field, or a file where it has a file name."""

    def __init__(self, form: "Form", *, name: str, filename: str | None) -> None:
        self._form = form
        self.name = name
        self.filename = filename

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content as it arrives; once.

        Raises:
            RequestError: the form breaks off, is malformed, too large or too slow.
        """
        while (chunk := await self._form._next_chunk()) is not None:  # noqa: SLF001 - two halves of one reader
            yield chunk

    async def value(self, limit: int, *, code: str = "invalid_request") -> bytes:
        """Return the whole content of a small field.

        Raises:
            RequestError: ``code`` where it is larger than ``limit`` bytes.
        """
        content = bytearray()
        async for chunk in self.chunks():
            content += chunk
            if len(content) > limit:
                raise RequestError(code, f"the field '{self.name}' has more than {limit} bytes")
        return bytes(content)


class Form:
    """A multipart form on its way in.

    Args:
        source: the request's body, as it arrives.
    """

    def __init__(
        self, boundary: bytes, source: AsyncIterator[bytes], *, limits: FormLimits
    ) -> None:
        self._body = self._checked(source)
        self._limits = limits
        self._parts = 0
        self._events: deque[_Event] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._header = (b"", b"")
        self.failure: KartotekaError | None = None
        """Why the form as a whole cannot be read on; None while it can."""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
                max_header_count=_MAX_HEADERS,
                max_header_size=_MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise RequestError("invalid_request", "the form's boundary is too long") from error

    async def parts(self) -> AsyncIterator[Part]:
        """Yield the parts in order; what was not read of one is skipped before the next.

        Raises:
            RequestError: the form breaks off, is malformed, too large or too slow.
        """
        while True:
            match await self._next_event():
                case _Start(name=name, filename=filename):
                    yield Part(self, name=name, filename=filename)
                case _Close():
                    break
                case _:
                    pass  # the rest of a part that nobody read
        async for _ in self._body:
            pass  # what follows the end counts, and is nothing else

    async def _next_chunk(self) -> bytes | None:
        match await self._next_event():
            case bytes(chunk):
                return chunk
            case _:
                return None

    async def _next_event(self) -> "_Event":
        while not self._events:
            await self._fill()
        return self._events.popleft()

    async def _fill(self) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            chunk = await anext(self._body, None)
            if chunk is None:
                raise _malformed("it breaks off before its end")
            self._parser.write(chunk)
        except FormParserError as error:
            self.failure = _malformed("it is not well-formed multipart")
            raise self.failure from error
        except KartotekaError as error:
            self.failure = error
            raise

    async def _checked(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in source:
                size += len(chunk)
                if size > self._limits.bytes:
                    raise RequestError(
                        "body_too_large", f"the request has more than {self._limits.bytes} bytes"
                    )
                yield chunk
        except ClientDisconnect as error:
            raise _malformed("the connection ended before it did") from error

    # Called by the parser, in the middle of a write.

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise RequestError(
                "too_many_parts", f"the form has more than {self._limits.parts} parts"
            )
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name + data[start:end], value)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name, value + data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = (b"", b"")

    def _on_headers_finished(self) -> None:
        if self._headers.get(b"content-transfer-encoding", b"").lower() not in _PLAIN_ENCODINGS:
            raise _malformed("a part has a Content-Transfer-Encoding; send the bytes as they are")
        disposition = self._headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        filename = options.get(b"filename")
        self._events.append(
            _Start(
                name=_decoded(options.get(b"name", b""), "field name"),
                filename=None if filename is None else _decoded(filename, "file name"),
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(_End())

    def _on_end(self) -> None:
        self._events.append(_Close())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class _End:
    pass


@dataclass(frozen=True, slots=True)
class _Close:
    pass


_Event = _Start | bytes | _End | _Close


def _malformed(why: str) -> RequestError:
    return RequestError("invalid_request", f"the form cannot be read: {why}")


def _decoded(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise RequestError("invalid_name", f"a {what} is not UTF-8") from error
