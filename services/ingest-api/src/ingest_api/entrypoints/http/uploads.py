"""``POST /rag/add-document`` and ``POST /rag/add-documents-batch``."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, JsonValue
from structlog.contextvars import bound_contextvars

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.admission import UploadGate
from ingest_api.domain.submission import UploadLimits, cabinet_id_of
from ingest_api.entrypoints.http.idempotency import REPLAYED, REPLAYED_HEADER, idempotency_key
from ingest_api.entrypoints.http.multipart import Form, FormLimits, boundary_of
from ingest_api.entrypoints.http.problems import log_reason, responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.entrypoints.http.trace import about
from ingest_api.entrypoints.http.upload_form import Received, UploadForm
from ingest_api.entrypoints.http.wording import public_words
from ingest_api.ports import Claims
from ingest_api.telemetry import Telemetry
from ingest_api.usecases.submit import Acceptance, StoredBody, Submit
from ingest_api.usecases.submit_once import SubmitOnce
from kartoteka_contracts.errors import KartotekaError, RequestError, UnavailableError
from kartoteka_contracts.ids import document_id
from kartoteka_contracts.records import DocumentRecord
from kartoteka_runtime.tracing import child, traceparent

__all__ = ["BATCH_PATH", "FORM_OVERHEAD", "SINGLE_PATH", "Intake", "router"]

SINGLE_PATH: Final = "/rag/add-document"
BATCH_PATH: Final = "/rag/add-documents-batch"
FORM_OVERHEAD: Final = 1024 * 1024
"""Bytes that a form may have besides its file: fields, part headers, boundaries."""

_MAX_FIELDS: Final = 16
_COMMITS_AT_ONCE: Final = 16
_UPLOAD_CODES: Final = (
    *AUTH_CODES,
    "receive_timeout",
    "body_too_large",
    "too_many_parts",
    "invalid_request",
    "invalid_metadata",
    "missing_file",
    "unknown_field",
    "event_log_unavailable",
    "object_store_unavailable",
)
_FILE_CODES: Final = ("upload_too_large", "empty_file", "invalid_name", "idempotency_mismatch")
_EXAMPLE_TASK: Final[dict[str, JsonValue]] = {
    "task_id": "0198f2c4-b7a9-7d0e-8f5c-2a1b3d4e5f60",
    "document_id": "5b1f4c1e-6d0a-5c3e-9b57-0a1b2c3d4e5f",
    "version": 1795000000000000,
    "replaces": None,
    "filename": "contract.pdf",
}


class AcceptedDocument(BaseModel):
    """A document that is safe, and will be indexed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    task_id: str
    """Follow it at ``GET /rag/task/{task_id}``."""
    document_id: str
    """The same for every upload of this name to this cabinet."""
    version: int
    """The newest version wins."""
    replaces: int | None
    """The version that this one follows, if there was one."""
    filename: str
    """As it was understood: without a path, in Unicode NFC."""


class Accepted(AcceptedDocument):
    """The answer to one upload."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "queued", **_EXAMPLE_TASK}]}
    )

    status: Literal["queued"] = "queued"


class RefusalReason(BaseModel):
    """Why one file was refused."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    code: str
    """Stable; ``docs/errors.md`` lists them all."""
    message: str


class RefusedDocument(BaseModel):
    """A file that was not accepted; the others were not harmed."""

    filename: str
    error: RefusalReason


class BatchAccepted(BaseModel):
    """The answer to a batch: one entry for each file, in the order of the form."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "queued",
                    "tasks": [
                        _EXAMPLE_TASK,
                        {
                            "filename": "empty.txt",
                            "error": {"code": "empty_file", "message": "The file has no bytes"},
                        },
                    ],
                }
            ]
        }
    )

    status: Literal["queued"] = "queued"
    tasks: list[AcceptedDocument | RefusedDocument]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What the upload routes need."""

    submit: Submit
    claims: Claims
    gate: UploadGate
    limits: UploadLimits
    telemetry: Telemetry


_Submit = Submit | SubmitOnce
_Uploader = Annotated[Principal, Depends(require(Scope.INGEST))]
_Key = Annotated[str | None, Depends(idempotency_key)]
_CabinetQuery = Annotated[
    str | None,
    Query(description="The cabinet, where the form does not name it.", examples=["1"]),
]


def router(intake: Intake) -> APIRouter:
    """Return the upload routes."""
    routes = APIRouter(tags=["documents"], dependencies=[Depends(only("cabinet_id"))])

    @routes.post(
        SINGLE_PATH,
        status_code=HTTPStatus.ACCEPTED,
        responses={202: REPLAYED_HEADER, **responses(*_UPLOAD_CODES, *_FILE_CODES)},
        openapi_extra=_form_schema("file", is_batch=False),
    )
    async def add_document(
        request: Request,
        response: Response,
        principal: _Uploader,
        key: _Key,
        cabinet_id: _CabinetQuery = None,
    ) -> Accepted:
        """Take one document in.

        Send `cabinet_id` (and `external_id`) before the file: the file is stored while it arrives.
        """
        submit = _submit(intake, principal, key, is_batch=False)
        form = _form(intake, submit, principal, cabinet_id, is_batch=False)
        with intake.gate.admitted(_announced(request, intake.limits, is_batch=False)):
            await _receive(intake, submit, request, form, is_batch=False)
            accepted = await _commit(intake, submit, form.bodies[0], form.metadata)
        record = accepted.record
        about(
            request,
            task_id=record.task_id,
            cabinet_id=record.cabinet_id,
            document_id=record.document_id,
        )
        response.headers["Location"] = f"/rag/task/{record.task_id}"
        if accepted.is_repeat:
            response.headers[REPLAYED] = "true"
        return Accepted(**_entry(record).model_dump())

    @routes.post(
        BATCH_PATH,
        status_code=HTTPStatus.ACCEPTED,
        responses={202: REPLAYED_HEADER, **responses(*_UPLOAD_CODES)},
        openapi_extra=_form_schema("files", is_batch=True),
    )
    async def add_documents_batch(
        request: Request,
        response: Response,
        principal: _Uploader,
        key: _Key,
        cabinet_id: _CabinetQuery = None,
    ) -> BatchAccepted:
        """Take several documents in: one task for each, and one bad file harms no other.

        With an `Idempotency-Key`, each file counts once: a batch that came to nothing half-way may
        be sent again, and the answer is marked as replayed where no file of it was new.
        """
        submit = _submit(intake, principal, key, is_batch=True)
        form = _form(intake, submit, principal, cabinet_id, is_batch=True)
        with intake.gate.admitted(_announced(request, intake.limits, is_batch=True)):
            await _receive(intake, submit, request, form, is_batch=True)
            settled = await _commit_all(intake, submit, form)
        accepted = [one for one in settled if one is not None]
        if accepted and all(one.is_repeat for one in accepted):
            response.headers[REPLAYED] = "true"
        return BatchAccepted(
            tasks=[
                _refusal(file) if one is None else _entry(one.record)
                for one, file in zip(settled, form.files, strict=True)
            ]
        )

    return routes


def _submit(intake: Intake, principal: Principal, key: str | None, *, is_batch: bool) -> _Submit:
    if key is None:
        return intake.submit
    return SubmitOnce(
        intake.submit,
        intake.claims,
        key_id=principal.key_id,
        key=lambda external_id: f"{key}/{external_id}" if is_batch else key,
    )


def _form(
    intake: Intake,
    submit: _Submit,
    principal: Principal,
    cabinet_id: str | None,
    *,
    is_batch: bool,
) -> UploadForm:
    return UploadForm(
        submit,
        intake.limits,
        file_field="files" if is_batch else "file",
        is_batch=is_batch,
        authorise=lambda cabinet: authorise(principal, Scope.INGEST, cabinet),
        cabinet_id=None if cabinet_id is None else cabinet_id_of(cabinet_id),
    )


def _announced(request: Request, limits: UploadLimits, *, is_batch: bool) -> int:
    """Return the bytes that the request says it brings, or the most that it may.

    Raises:
        RequestError: ``upload_too_large`` or ``body_too_large``, before a byte is read.
    """
    most = limits.request_bytes if is_batch else limits.file_bytes + FORM_OVERHEAD
    text = request.headers.get("content-length", "")
    announced = int(text) if text.isascii() and text.isdigit() else most
    if announced > most:
        code = "body_too_large" if is_batch else "upload_too_large"
        raise RequestError(code, f"the request has {announced} bytes, the limit is {most}")
    return announced


async def _receive(
    intake: Intake, submit: _Submit, request: Request, form: UploadForm, *, is_batch: bool
) -> None:
    """Read the form to its end, or leave nothing behind."""
    submit.check()
    limits = FormLimits(
        bytes=intake.limits.request_bytes if is_batch else intake.limits.file_bytes + FORM_OVERHEAD,
        parts=intake.limits.files + _MAX_FIELDS,
    )
    boundary = boundary_of(request.headers.get("content-type", ""))
    try:
        await form.read(Form(boundary, request.stream(), limits=limits))
    except BaseException as error:
        await submit.discard(form.bodies)
        if isinstance(error, KartotekaError):
            intake.telemetry.refused.labels(error.code).inc()
        raise


async def _commit(
    intake: Intake, submit: _Submit, body: StoredBody, metadata: dict[str, Any]
) -> Acceptance:
    cabinet = body.cabinet.cabinet_id
    document = document_id(cabinet, body.external_id)
    with (
        bound_contextvars(task_id=body.task_id, cabinet_id=cabinet, document_id=document),
        child("accept document", cabinet_id=cabinet, document_id=document, size=body.size) as span,
    ):
        try:
            accepted = await submit.accept(body, metadata, traceparent=traceparent())
        except KartotekaError as error:
            intake.telemetry.refused.labels(error.code).inc()
            raise
        # A repetition is answered as the first request's task.
        span.note(task_id=accepted.record.task_id, is_repeat=accepted.is_repeat)
    intake.telemetry.accepted.inc()
    intake.telemetry.upload_bytes.observe(body.size)
    return accepted


async def _commit_all(intake: Intake, submit: _Submit, form: UploadForm) -> list[Acceptance | None]:
    """Accept every stored file of a batch; None for one that has an error.

    Raises:
        UnavailableError: none was accepted, and a later try may do better.
    """
    places = asyncio.Semaphore(_COMMITS_AT_ONCE)

    async def settle(file: Received) -> Acceptance | None:
        if file.body is None:
            return None
        async with places:
            try:
                return await _commit(intake, submit, file.body, form.metadata)
            except KartotekaError as error:
                file.error = error
                return None

    settled = await asyncio.gather(*(settle(file) for file in form.files))
    errors = [file.error for file in form.files if file.error is not None]
    if len(errors) == len(form.files):
        for error in errors:
            if isinstance(error, UnavailableError):
                raise error
    return settled


def _entry(record: DocumentRecord) -> AcceptedDocument:
    return AcceptedDocument(
        task_id=record.task_id,
        document_id=record.document_id,
        version=record.version,
        replaces=record.replaces,
        filename=record.filename,
    )


def _refusal(file: Received) -> RefusedDocument:
    error = file.error or KartotekaError("internal")
    log_reason(error)
    return RefusedDocument(
        filename=file.filename or file.sent_as[:255],
        error=RefusalReason(code=error.code, message=public_words(error.code, error.message)),
    )


def _form_schema(field: str, *, is_batch: bool) -> dict[str, Any]:
    # In the order to send them in: the docs page's own form keeps it, and the file comes last.
    properties: dict[str, Any] = {"cabinet_id": {"type": "integer", "minimum": 1, "examples": [1]}}
    if not is_batch:
        properties["external_id"] = {
            "type": "string",
            "maxLength": 255,
            "description": "The document's name in the cabinet; the file name where left out.",
            "examples": ["contracts/2026-17"],
        }
    properties["metadata"] = {
        "type": "string",
        "description": "A JSON object of at most 64 KiB; searches can filter on it.",
        "examples": ['{"year": 2026, "kind": "contract"}'],
    }
    file: dict[str, Any] = {"type": "string", "format": "binary"}
    properties[field] = {"type": "array", "items": file} if is_batch else file
    schema = {"type": "object", "required": ["cabinet_id", field], "properties": properties}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
