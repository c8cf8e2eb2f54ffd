"""Query parameters: a misspelt one must not be a filter that silently does nothing."""

from collections.abc import Callable

from fastapi import Request

from kartoteka_contracts.errors import RequestError

__all__ = ["only"]


def only(*names: str) -> Callable[[Request], None]:
    """Return a dependency that raises RequestError("invalid_request") for any other parameter."""

    def check(request: Request) -> None:
        if set(request.query_params) - set(names):
            # Without the stranger's name: it may be anything.
            known = f"there are {', '.join(names)}" if names else "this call takes none"
            raise RequestError("invalid_request", f"unknown query parameter; {known}")

    return check
