"""An upload's form: its fields in any order, its files stored while they arrive."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ingest_api.domain.submission import (
    MAX_METADATA_BYTES,
    UploadLimits,
    cabinet_id_of,
    external_id_of,
    filename_of,
    metadata_of,
)
from ingest_api.entrypoints.http.multipart import Form, Part
from ingest_api.usecases.submit import StoredBody
from kartoteka_contracts.access import AuthorisedCabinet
from kartoteka_contracts.errors import KartotekaError, RequestError
from kartoteka_contracts.ids import CabinetId

__all__ = ["BodyStore", "Received", "UploadForm"]

_MAX_FIELD_BYTES: Final = 4096
_SHOWN_NAME: Final = 64
_HELD_BYTES: Final = 8 * 1024 * 1024
"""What may be held in memory while a file waits for a cabinet_id that comes after it."""


class BodyStore(Protocol):
    """Where a file goes while it arrives."""

    async def store(
        self,
        cabinet: AuthorisedCabinet,
        chunks: AsyncIterator[bytes],
        *,
        external_id: str,
        filename: str,
    ) -> StoredBody:
        """Take a file in; an error raised by ``chunks`` passes through, and leaves nothing."""
        ...


@dataclass(slots=True, kw_only=True)
class Received:
    """One file of the form: stored, held for want of a cabinet, or refused."""

    sent_as: str
    filename: str = ""
    body: StoredBody | None = None
    error: KartotekaError | None = None
    held: bytes | None = None


@dataclass(slots=True, kw_only=True)
class _Fields:
    cabinet_id: CabinetId | None = None
    external_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class UploadForm:
    """Reads one form to its end.

    Args:
        bodies: takes the files.
        limits: how much of them.
        file_field: the name of the field with the file or files.
        is_batch: many files, each with its own fate; else one, whose error is the request's.
        authorise: the access check of the key that sent the form.
        cabinet_id: from the query, where it stands there.
    """

    def __init__(
        self,
        bodies: BodyStore,
        limits: UploadLimits,
        *,
        file_field: str,
        is_batch: bool,
        authorise: Callable[[CabinetId], AuthorisedCabinet],
        cabinet_id: CabinetId | None = None,
    ) -> None:
        self._bodies = bodies
        self._limits = limits
        self._file_field = file_field
        self._is_batch = is_batch
        self._authorise = authorise
        self._fields = _Fields(cabinet_id=cabinet_id)
        self._held = 0
        self.files: list[Received] = []
        if cabinet_id is not None:
            authorise(cabinet_id)

    @property
    def metadata(self) -> dict[str, Any]:
        """What the caller said of the files."""
        return self._fields.metadata

    @property
    def bodies(self) -> list[StoredBody]:
        """What lies in object storage by now."""
        return [file.body for file in self.files if file.body is not None]

    async def read(self, form: Form) -> None:
        """Store every file of the form.

        Raises:
            KartotekaError: the request as a whole is refused. What was stored by then is still in
                ``bodies``, and the caller's to discard.
        """
        async for part in form.parts():
            if part.filename is None:
                await self._take_field(part)
            else:
                await self._take_file(part, part.filename, form)
        if self._fields.cabinet_id is None:
            raise RequestError("invalid_request", "the form has no cabinet_id")
        if not self.files:
            raise RequestError("missing_file", f"send the file in the field '{self._file_field}'")
        for file in self.files:
            if file.held is not None:
                content, file.held = file.held, None
                await self._settle(file, _once(content), form)

    async def _take_field(self, part: Part) -> None:
        match part.name:
            case "cabinet_id":
                self._take_cabinet(cabinet_id_of(await _text(part)))
            case "external_id" if self._is_batch:
                raise RequestError("invalid_request", "external_id goes with one file, not a batch")
            case "external_id":
                self._take_external_id(external_id_of(await _text(part)))
            case "metadata":
                text = await part.value(MAX_METADATA_BYTES, code="invalid_metadata")
                # An empty field is what a form sends for one that was left out.
                self._fields.metadata = metadata_of(text) if text.strip() else {}
            case name if name == self._file_field:
                raise RequestError("missing_file", f"the part '{name}' has no file name")
            case name:
                # A misspelt external_id would make another document of the file's name.
                known = ("cabinet_id", "metadata", self._file_field)
                fields = known if self._is_batch else ("external_id", *known)
                raise RequestError(
                    "unknown_field",
                    f"the form has a field '{name[:_SHOWN_NAME]}'; there are {', '.join(fields)}",
                )

    def _take_cabinet(self, cabinet: CabinetId) -> None:
        if self._fields.cabinet_id not in {None, cabinet}:
            raise RequestError("invalid_request", "the request names two cabinets")
        self._authorise(cabinet)
        self._fields.cabinet_id = cabinet

    def _take_external_id(self, name: str) -> None:
        if any(body.external_id != name for body in self.bodies):
            raise RequestError("invalid_request", "send external_id before the file")
        self._fields.external_id = name

    async def _take_file(self, part: Part, sent_as: str, form: Form) -> None:
        if part.name != self._file_field:
            raise RequestError(
                "missing_file",
                f"a file came in the field '{part.name[:_SHOWN_NAME]}'; use '{self._file_field}'",
            )
        if sent_as == "":
            raise RequestError("missing_file", f"the part '{part.name}' has no file name")
        if len(self.files) >= self._limits.files:
            raise RequestError("too_many_parts", f"more than {self._limits.files} files")
        if self.files and not self._is_batch:
            raise RequestError(
                "invalid_request", "send one file, or several to /rag/add-documents-batch"
            )
        file = Received(sent_as=sent_as)
        self.files.append(file)
        await self._settle(file, self._limited(part), form)

    async def _settle(self, file: Received, chunks: AsyncIterator[bytes], form: Form) -> None:
        try:
            await self._store(file, chunks)
        except KartotekaError as error:
            if not self._is_batch or form.failure is not None:
                raise
            file.error = error

    async def _store(self, file: Received, chunks: AsyncIterator[bytes]) -> None:
        if not file.filename:
            name = filename_of(file.sent_as)
            if any(other.filename == name for other in self.files):
                raise RequestError("duplicate_name")
            file.filename = name
        if self._fields.cabinet_id is None:
            file.held = await self._hold(chunks)
            return
        file.body = await self._bodies.store(
            self._authorise(self._fields.cabinet_id),
            chunks,
            external_id=self._fields.external_id or file.filename,
            filename=file.filename,
        )

    async def _hold(self, chunks: AsyncIterator[bytes]) -> bytes:
        content = bytearray()
        async for chunk in chunks:
            content += chunk
            self._held += len(chunk)
            if self._held > _HELD_BYTES:
                raise RequestError(
                    "invalid_request",
                    "send cabinet_id before the file: one this large cannot wait for it",
                )
        return bytes(content)

    async def _limited(self, part: Part) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in part.chunks():
            size += len(chunk)
            if size > self._limits.file_bytes:
                raise RequestError(
                    "upload_too_large", f"the file has more than {self._limits.file_bytes} bytes"
                )
            yield chunk


async def _text(part: Part) -> str:
    try:
        return (await part.value(_MAX_FIELD_BYTES)).decode()
    except UnicodeDecodeError as error:
        raise RequestError("invalid_request", f"the field '{part.name}' is not UTF-8") from error


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
