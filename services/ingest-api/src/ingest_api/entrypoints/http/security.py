"""The door: a key in ``X-API-Key`` or ``Authorization: Bearer`` becomes a principal."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from ingest_api.domain.access import Principal, Scope
from ingest_api.ports import KeyRing
from kartoteka_contracts.errors import RequestError

__all__ = ["AUTH_CODES", "install", "require"]

AUTH_CODES: Final = ("unauthenticated", "forbidden")
"""What every route behind :func:`require` may answer."""

_HEADER: Final = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key.")
_BEARER: Final = HTTPBearer(auto_error=False, description="The same API key.")
_MAX_TOKEN: Final = 256


def install(state: Any, keys: KeyRing) -> None:
    """Give an app's state the keys that :func:`require` asks."""
    state.keys = keys


def _authenticated(
    request: Request,
    header: Annotated[str | None, Security(_HEADER)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Principal:
    token = header or (bearer.credentials if bearer is not None else "")
    keys: KeyRing = request.app.state.keys
    principal = keys.find(token[:_MAX_TOKEN])
    if principal is None:
        raise RequestError("unauthenticated")
    request.scope["key_id"] = principal.key_id
    return principal


def require(*scopes: Scope) -> Callable[..., Principal]:
    """Return the dependency of a route that needs a scope: ``Annotated[Principal, Depends(...)]``.

    Of several, any one will do. It answers 401 without a valid key and 403 without the scope; the
    cabinet is the route's to check, by :func:`ingest_api.domain.access.authorise` or
    ``Principal.sees``.
    """

    def check(principal: Annotated[Principal, Depends(_authenticated)]) -> Principal:
        if not any(principal.has(scope) for scope in scopes):
            names = " or ".join(f"'{scope}'" for scope in scopes)
            raise RequestError("forbidden", f"the key has not the scope {names}")
        return principal

    return check
