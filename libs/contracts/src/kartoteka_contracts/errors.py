"""Every failure that a caller can see, by its stable code.

The registry is the only place where a code's HTTP status, its retriability and its advice stand::

    KartotekaError
    ├── DocumentError          a verdict on a document: the task fails with it
    ├── UnavailableError       a dependency is away: the same work may succeed later
    ├── RequestError           a request cannot be served as it is
    └── EventError             a Kafka record cannot be read
        ├── MalformedEventError
        └── UnsupportedSchemaError
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = [
    "ERRORS",
    "DocumentError",
    "ErrorSpec",
    "EventError",
    "KartotekaError",
    "MalformedEventError",
    "RequestError",
    "UnavailableError",
    "UnsupportedSchemaError",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSpec:
    """What a code means, everywhere."""

    code: str
    title: str
    """One line for people."""
    advice: str
    """What to do next."""
    http_status: int | None = None
    """The status of the answer; None for codes that only tasks carry."""
    retriable: bool = False
    """Whether the same request or work may succeed later, unchanged."""


def _document(code: str, title: str, advice: str, *, retriable: bool = False) -> ErrorSpec:
    return ErrorSpec(code=code, title=title, advice=advice, retriable=retriable)


def _request(code: str, status: int, title: str, advice: str) -> ErrorSpec:
    return ErrorSpec(code=code, title=title, advice=advice, http_status=status)


def _unavailable(code: str, title: str, advice: str) -> ErrorSpec:
    return ErrorSpec(code=code, title=title, advice=advice, http_status=503, retriable=True)


_WAIT: Final = "Try again after a while; if it lasts, tell the operators the request or task id."

_SPECS: Final = (
    # Verdicts on documents: seen in a task's error.
    _document("encrypted", "The document is encrypted", "Upload it without a password."),
    _document(
        "unsupported",
        "The content is of no type that can be indexed",
        "Upload PDF, text, Markdown or HTML.",
    ),
    _document("malformed", "The document is damaged", "Repair or export it again, then upload."),
    _document(
        "text_too_large", "The document holds too much text", "Split it and upload the parts."
    ),
    _document(
        "too_many_pages", "The document has too many pages", "Split it and upload the parts."
    ),
    _document(
        "poison",
        "The document ended its parser or worker repeatedly",
        "Export it again with other software; if it is harmless, send it to the maintainers.",
    ),
    _document(
        "body_missing",
        "The uploaded body is no longer in object storage",
        "Upload the document again; check who deletes from the object store.",
    ),
    _document(
        "body_corrupt",
        "The uploaded body is no longer what was uploaded",
        "Upload the document again; check the object store's disks and who writes to it.",
    ),
    _document(
        "timeout",
        "Parsing took longer than the time limit",
        "It is tried again; split the document if it keeps failing.",
        retriable=True,
    ),
    _document(
        "parser_crashed",
        "The parser ended while it read the document",
        "It is tried again; export the document with other software if it keeps failing.",
        retriable=True,
    ),
    _document(
        "unexpected",
        "The worker failed in a way that it does not know",
        "It is tried again; report it with the task id if it keeps failing.",
        retriable=True,
    ),
    _document(
        "embedding_failed",
        "The embedding model failed on the document's text",
        "It is tried again; the embedder's log names the cause if it keeps failing.",
        retriable=True,
    ),
    _document(
        "retries_exhausted",
        "Every try failed",
        "See the message for the last failure; upload again once its cause is gone.",
    ),
    _document(
        "event_malformed",
        "A record on a job topic cannot be read",
        "It lies in the dead letters with its raw value; see who produced it.",
    ),
    _document(
        "event_unsupported",
        "A record on a job topic has a schema that this release does not know",
        "Finish the upgrade, then replay the dead letter.",
    ),
    # What a reindex run fails with, or reports of one document.
    _document(
        "source_unavailable",
        "A source of the cabinet could not be listed whole",
        "Nothing was removed. See the message; check the source's URL and its credentials.",
    ),
    _document(
        "source_too_large",
        "The cabinet's sources hold more objects than one cabinet's may",
        "Nothing was sent or removed. Exclude some in the settings, spread them over several "
        "cabinets, or ask the operators to raise SOURCE_MAX_OBJECTS.",
    ),
    _document(
        "vanish_guard",
        "Suspiciously many objects of a source are gone",
        "Nothing was removed. If they are really gone, request a run with confirm_vanished.",
    ),
    _document(
        "source_object_gone",
        "The object was gone before it could be copied",
        "Nothing to do: the next run sees what is there then.",
    ),
    _document(
        "source_object_too_large",
        "The object is larger than the limit of an upload",
        "Split it, or exclude it in the cabinet's settings.",
    ),
    _document(
        "source_object_unreadable",
        "The object is there and could not be copied",
        "See the message, which says what to do; the next run tries it again.",
    ),
    # Requests.
    _request("unauthenticated", 401, "No valid API key", "Send a key in the X-API-Key header."),
    _request(
        "forbidden",
        403,
        "The key may not do this",
        "Ask an administrator for a key with this scope and cabinet.",
    ),
    _request(
        "not_found", 404, "There is no such thing here", "Check the id and the key's cabinet."
    ),
    _request("method_not_allowed", 405, "The path has no such method", "See the API's docs page."),
    _request("receive_timeout", 408, "The request body came too slowly", "Send it again, faster."),
    _request("upload_too_large", 413, "The file is larger than the limit", "Split the file."),
    _request("body_too_large", 413, "The request body is too large", "Send a smaller request."),
    _request("too_many_parts", 413, "The form has too many parts", "Send several requests."),
    _request("invalid_request", 422, "The request cannot be read", "See the message and the docs."),
    _request(
        "unknown_field",
        422,
        "The form has a field that the API does not know",
        "Correct the name of the field that the message gives, or leave the field out.",
    ),
    _request(
        "invalid_metadata", 422, "The metadata is not a small JSON object", "See the message."
    ),
    _request("invalid_filter", 422, "The filter cannot be read", "See the message."),
    _request("missing_file", 422, "The form has no file", "Send the file in the field 'file'."),
    _request("empty_file", 422, "The file has no bytes", "Upload a file with content."),
    _request("invalid_name", 422, "The document's name cannot be used", "See the message."),
    _request(
        "duplicate_name",
        422,
        "Two files of one batch have the same name",
        "Rename one, or send them in two requests.",
    ),
    _request(
        "task_ended",
        409,
        "The task has ended already",
        "Read its status; to undo what it did, delete the document or upload it again.",
    ),
    _request(
        "not_cancellable",
        409,
        "A task of this kind cannot be cancelled",
        "Wait for its end; a delete that has begun cannot be taken back.",
    ),
    _request(
        "invalid_settings",
        422,
        "The cabinet's settings cannot be used",
        "See the message, which names the field.",
    ),
    _request(
        "source_not_allowed",
        422,
        "The source's URL is not on the operator's list",
        "Ask the operators to add its prefix to SOURCE_ALLOWED_URLS.",
    ),
    _request(
        "idempotency_mismatch",
        422,
        "The Idempotency-Key was used for another request",
        "Send a new key with every new request, and the same key only with the same one.",
    ),
    _request(
        "replay_limit",
        409,
        "The dead letter was replayed too often",
        "Find out why it fails (its reason says) before you replay it with a higher limit.",
    ),
    _request(
        "dead_letter_resolved",
        409,
        "The dead letter was replayed or discarded before",
        "See the task that its mark names.",
    ),
    _request(
        "dead_letter_without_value",
        409,
        "Kafka has no value of the dead letter",
        "It was too large to be kept, or is older than the topic keeps; upload the document "
        "again, then discard the letter.",
    ),
    _request(
        "index_mismatch",
        500,
        "The index belongs to another embedding model",
        "Configure the model that it was made with, or another QDRANT_COLLECTION.",
    ),
    _request(
        "index_too_old",
        500,
        "Qdrant is older than this release needs",
        "Upgrade Qdrant to 1.16 or later.",
    ),
    _request("internal", 500, "Something is wrong on our side", "Report the request id."),
    # Dependencies that are away: requests answer 503 with Retry-After, tasks are retried.
    _unavailable(
        "event_log_unavailable",
        "Kafka did not acknowledge in time; the outcome is unknown",
        "Send the request again; a document that did arrive is indexed once more, not twice.",
    ),
    _unavailable("object_store_unavailable", "Object storage is away", _WAIT),
    _unavailable("index_unavailable", "Qdrant is away", _WAIT),
    _unavailable("embeddings_unavailable", "No embedder answers", _WAIT),
    _unavailable("planner_unavailable", "No embedder answers with a plan", _WAIT),
    _unavailable("scratch_full", "The embedder's disk for scratch files is full", _WAIT),
    _unavailable("parser_unavailable", "The embedder's parsers do not start", _WAIT),
    _unavailable("view_behind", "This replica has not caught up yet", "Try again in a second."),
    _unavailable("overloaded", "Too many requests are under way", "Try again after Retry-After."),
    _unavailable("shutting_down", "This replica is about to stop", "Try again at once."),
)

ERRORS: Final[Mapping[str, ErrorSpec]] = MappingProxyType({spec.code: spec for spec in _SPECS})
"""Every code. ``docs/errors.md`` is generated from it."""


class KartotekaError(Exception):
    """The root. Its code must be registered.

    Args:
        code: one of :data:`ERRORS`.
        message: what happened here; the code's title when left out.
    """

    def __init__(self, code: str, message: str | None = None) -> None:
        self.spec = ERRORS[code]
        self.message = message or self.spec.title
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The stable code."""
        return self.spec.code

    @property
    def retriable(self) -> bool:
        """Whether the same may succeed later."""
        return self.spec.retriable


class DocumentError(KartotekaError):
    """A verdict on one document."""


class UnavailableError(KartotekaError):
    """A dependency is away.

    Args:
        code: one of :data:`ERRORS`.
        message: what happened here.
        retry_after: seconds after which to try again.
    """

    def __init__(self, code: str, message: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class RequestError(KartotekaError):
    """A request that cannot be served as it is."""


class EventError(KartotekaError):
    """A Kafka record that cannot be read."""


class MalformedEventError(EventError):
    """Not JSON, or not what its schema says."""

    def __init__(self, message: str) -> None:
        super().__init__("event_malformed", message)


class UnsupportedSchemaError(EventError):
    """A type or schema version that this release does not know."""

    def __init__(self, message: str) -> None:
        super().__init__("event_unsupported", message)
