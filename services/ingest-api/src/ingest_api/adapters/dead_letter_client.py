"""The dead letters of a running API, asked over HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx

__all__ = ["ApiError", "DeadLetterClient"]

_PAGE: Final = 200
_SECONDS: Final = 120.0
"""For one answer: a batch of replays waits for the broker with each letter."""


class ApiError(Exception):
    """The API did not do what was asked; the text is for people."""


class DeadLetterClient:
    """Speaks to one API. Every call raises ApiError.

    Args:
        url: base URL.
        key: an API key with the scope ``admin``.
        transport: how to get there; the network when left out.
    """

    def __init__(self, url: str, key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._http = httpx.Client(
            base_url=url, headers={"X-API-Key": key}, timeout=_SECONDS, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def letters(self, query: Mapping[str, str], *, most: int | None) -> Iterator[dict[str, Any]]:
        """Yield letters, page by page, ``most`` of them at most."""
        cursor: str | None = None
        left = most
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            more = {} if cursor is None else {"cursor": cursor}
            page = self._ask("GET", "/rag/dlq", params={**query, "limit": str(size), **more})
            yield from page["letters"]
            left = None if left is None else left - len(page["letters"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def letter(self, letter_id: str) -> dict[str, Any]:
        """Return a letter with its raw record."""
        return self._ask("GET", f"/rag/dlq/{letter_id}")

    def resolve(
        self,
        action: Literal["replay", "discard"],
        ids: Sequence[str],
        *,
        is_dry: bool,
        **options: int,
    ) -> dict[str, Any]:
        """Replay or discard letters, or ask what that would do."""
        body = {"ids": list(ids), "dry_run": is_dry, **options}
        return self._ask("POST", f"/rag/dlq/{action}", json=body)

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise ApiError(
                f"no API answers at {self._url} ({type(error).__name__}); see --url and API_URL"
            ) from error
        try:
            body: dict[str, Any] = answer.json()
            if answer.is_success:
                return body
            said = f"{body['code']}: {body['detail']}"
        except (ValueError, KeyError, TypeError):
            said = "it is no Kartoteka API"
        raise ApiError(f"{self._url} answers {answer.status_code}: {said}")
