"""Query vectors from the embedders' OpenAI-compatible interface."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray

from ingest_api.adapters.embedder_pool import Address, EmbedderPool
from ingest_api.adapters.shared_attempt import SharedAttempt
from ingest_api.settings import EmbeddingsSettings
from kartoteka_contracts.errors import UnavailableError
from kartoteka_index import ModelIdentity
from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger

__all__ = ["HttpEmbedder"]

_log = get_logger(__name__)

_OK: Final = 200
_CONNECT_SECONDS: Final = 1.0


class _UnusableError(Exception):
    """An embedder's answer cannot be used; the next one is asked."""


class _OtherModelError(_UnusableError):
    """It serves another model than the one that is searched with."""


class HttpEmbedder:
    """Asks the embedders in turn.

    Which model they serve is asked once and kept; an answer for another model is never used for a
    search, since its vectors mean nothing in this model's collection.

    Args:
        settings: where they are.
        clock: for turns.
        model: the model, where it is set and need not be asked.
    """

    def __init__(
        self, settings: EmbeddingsSettings, clock: Clock, *, model: ModelIdentity | None = None
    ) -> None:
        self._settings = settings
        self._fixed = model
        self._model = model
        self._pool = EmbedderPool(settings.urls, rest=settings.rest, clock=clock)
        self._asking = SharedAttempt(self._ask_model)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(settings.timeout, connect=_CONNECT_SECONDS),
            # Embedders are neighbours; a proxy from the environment is not meant for them.
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._asking.close()
        await self._client.aclose()

    async def model(self) -> ModelIdentity:
        """Return the model that the embedders serve.

        Raises:
            UnavailableError: ``embeddings_unavailable``.
        """
        return self._model or await self._asking.outcome()

    async def ping(self) -> None:
        """Return when an embedder answers, whichever. Raises UnavailableError likewise."""
        await self._first("GET", "/v1/models", None)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a query.

        Raises:
            UnavailableError: ``embeddings_unavailable``: no embedder of the model answers.
        """
        model = await self.model()
        request = {"input": text, "model": model.name, "input_type": "query"}
        failure = ""
        others = 0
        for address in await self._pool.in_turn():
            try:
                vector = _vector(await self._call(address, "/v1/embeddings", request), model)
            except _OtherModelError as error:
                failure = str(error)
                others += 1
            except _UnusableError as error:
                failure = str(error)
                self._pool.failed(address)
                _log.warning("embedder_left_out", url=address.base_url, reason=failure)
            else:
                self._pool.answered(address)
                return vector
        if others and self._fixed is None:
            # The installation may have another model now: ask anew with the next query.
            _log.warning("model_forgotten", model=model.name, reason=failure)
            self._model = None
        raise UnavailableError("embeddings_unavailable", failure or None, retry_after=2.0)

    async def _ask_model(self) -> ModelIdentity:
        self._model = _identity(await self._first("GET", "/v1/models", None))
        return self._model

    async def _first(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        failure = "no address of an embedder resolves"
        for address in await self._pool.in_turn():
            try:
                return await self._call(address, path, body, method=method)
            except _UnusableError as error:
                failure = str(error)
                self._pool.failed(address)
        raise UnavailableError("embeddings_unavailable", failure, retry_after=2.0)

    async def _call(
        self,
        address: Address,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        method: str = "POST",
    ) -> Any:
        headers = {} if address.host is None else {"Host": address.host}
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await self._client.request(
                    method, f"{address.base_url}{path}", json=body, headers=headers
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise _UnusableError(f"an embedder does not answer: {reason}") from error
        if answer.status_code != _OK:
            raise _UnusableError(f"an embedder answered {answer.status_code}")
        try:
            return answer.json()
        except ValueError as error:
            raise _UnusableError("an embedder's answer is not JSON") from error


def _identity(answer: Any) -> ModelIdentity:
    match answer:
        case {"data": [{"id": str(name), "dimension": int(dimension)}, *_]} if dimension > 0:
            return ModelIdentity(name=name, dimension=dimension)
        case _:
            raise UnavailableError(
                "embeddings_unavailable", "an embedder does not say which model it serves"
            )


def _vector(answer: Any, model: ModelIdentity) -> NDArray[np.float32]:
    match answer:
        case {"model": str(name), "data": [{"embedding": list(numbers)}]}:
            pass
        case _:
            raise _UnusableError("an embedder's answer has no vector")
    if name != model.name:
        raise _OtherModelError(f"an embedder serves {name}, searches are for {model.name}")
    try:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused as that below
            vector = np.asarray(numbers, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise _UnusableError("an embedder's vector is not made of numbers") from error
    if vector.shape != (model.dimension,):
        raise _OtherModelError(
            f"an embedder's vector has the shape {vector.shape}, not {model.dimension} numbers"
        )
    if not np.isfinite(vector).all():
        raise _UnusableError("an embedder's vector has numbers that are not finite")
    return vector
