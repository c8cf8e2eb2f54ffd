"""``/v1/embeddings`` and ``/v1/models``, as OpenAI's clients know them.

One field is ours: ``input_type``, ``query`` (the default) or ``passage``, since many models want
another prompt for each. What is longer than the model takes is cut off.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedder.domain.model import ModelSpec
from embedder.domain.vectors import Embedded, InputType, Vectors
from kartoteka_contracts.errors import KartotekaError, UnavailableError

__all__ = ["EmbeddingsHttp", "HttpLimits", "TextEmbedder"]

_UNPROCESSABLE: Final = 400
_SHOWN_ERRORS: Final = 3


class TextEmbedder(Protocol):
    """What answers: the engine."""

    @property
    def model(self) -> ModelSpec:
        """What the model is."""
        ...

    @property
    def loaded(self) -> bool:
        """Whether it can answer at once."""
        ...

    async def embed_texts(self, texts: Sequence[str], *, input_type: InputType) -> Embedded:
        """Return one vector a text, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much one request, and all of them together, may ask for."""

    inputs: int = 256
    """Texts of one request."""
    characters: int = 100_000
    """Characters of one text."""
    requests: int = 64
    """Requests under way; the next ones are told to come again."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    input: str | Annotated[list[str], Field(min_length=1)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: InputType = "query"

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class _Refusal(Exception):  # noqa: N818 - an answer, not a fault
    def __init__(self, status: int, code: str, message: str, *, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class EmbeddingsHttp:
    """The routes. The application's ``client_max_size`` bounds a request's bytes."""

    def __init__(self, embedder: TextEmbedder, limits: HttpLimits | None = None) -> None:
        self._embedder = embedder
        self._limits = limits or HttpLimits()
        self._under_way = 0

    def routes(self) -> list[web.RouteDef]:
        """Return what the application adds."""
        return [
            web.get("/v1/models", self.list_models),
            web.post("/v1/embeddings", self.create_embeddings),
        ]

    async def list_models(self, _request: web.Request) -> web.Response:
        """Answer with the one model that is served here, loaded or not."""
        model = self._embedder.model
        entry = {
            "id": model.name,
            "object": "model",
            "owned_by": "kartoteka",
            "dimension": model.dimension,
            "max_tokens": model.max_tokens,
        }
        return web.json_response({"object": "list", "data": [entry]})

    async def create_embeddings(self, request: web.Request) -> web.Response:
        """Answer with one vector a text, in order."""
        try:
            return await self._answer(request)
        except _Refusal as refusal:
            return _error(
                refusal.status, refusal.code, str(refusal), retry_after=refusal.retry_after
            )
        except UnavailableError as error:
            return _error(503, error.code, error.message, retry_after=1)
        except KartotekaError as error:
            return _error(500, error.code, error.message)

    async def _answer(self, request: web.Request) -> web.Response:
        if not self._embedder.loaded:
            raise _Refusal(503, "embeddings_unavailable", "the model is not loaded", retry_after=1)
        if self._under_way >= self._limits.requests:
            raise _Refusal(429, "overloaded", "too many requests are under way", retry_after=1)
        self._under_way += 1
        try:
            wanted = self._checked(await _body(request))
            found = await self._embedder.embed_texts(wanted.texts, input_type=wanted.input_type)
        finally:
            self._under_way -= 1
        return web.json_response(
            {
                "object": "list",
                "model": self._embedder.model.name,
                "data": [
                    {"object": "embedding", "index": index, "embedding": embedding}
                    for index, embedding in enumerate(_encoded(found.vectors, wanted))
                ],
                "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
            }
        )

    def _checked(self, wanted: _Request) -> _Request:
        model, limits = self._embedder.model, self._limits
        if wanted.model is not None and wanted.model != model.name:
            raise _Refusal(
                404, "model_not_found", f"{wanted.model!r} is not served here, {model.name!r} is"
            )
        if wanted.dimensions is not None and wanted.dimensions != model.dimension:
            raise _invalid(f"dimensions: {model.name!r} has {model.dimension}")
        if len(wanted.texts) > limits.inputs:
            raise _invalid(f"input: {len(wanted.texts)} texts, at most {limits.inputs} are taken")
        for text in wanted.texts:
            if len(text) > limits.characters:
                raise _invalid(
                    f"input: a text of {len(text)} characters, at most {limits.characters}"
                )
            if not _is_unicode(text):
                raise _invalid("input: a text holds half of a surrogate pair")
        return wanted


async def _body(request: web.Request) -> _Request:
    try:
        return _Request.model_validate(json.loads(await request.read()))
    except web.HTTPRequestEntityTooLarge as error:
        raise _Refusal(413, "body_too_large", "the request body is too large") from error
    except ValidationError as error:
        shown = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [f"{item['loc'][0] if item['loc'] else 'body'}: {item['msg']}" for item in shown]
        raise _invalid("; ".join(dict.fromkeys(lines[:_SHOWN_ERRORS]))) from error
    except (ValueError, RecursionError) as error:
        raise _invalid("the body is not JSON in UTF-8") from error


def _encoded(vectors: Vectors, wanted: _Request) -> list[Any]:
    if wanted.encoding_format == "float":
        return list(vectors.tolist())
    little_endian = vectors.astype("<f4", copy=False)
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in little_endian]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(message: str) -> _Refusal:
    return _Refusal(_UNPROCESSABLE, "invalid_request", message)


def _error(status: int, code: str, message: str, *, retry_after: int = 0) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 - HTTP's own
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    headers = {"Retry-After": str(retry_after)} if retry_after else None
    return web.json_response(body, status=status, headers=headers)
