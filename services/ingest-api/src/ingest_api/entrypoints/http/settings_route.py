"""A route whose body is settings: what is wrong with them has a code of its own."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from ingest_api.entrypoints.http.problems import faults_in
from kartoteka_contracts.errors import RequestError

__all__ = ["SettingsRoute"]

_NO_JSON = "json_invalid"


class SettingsRoute(APIRoute):
    """Answers ``invalid_settings``, naming the field, where the body can be read but not used."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                is_body = any(one["loc"][:1] == ("body",) for one in error.errors())
                if not is_body or any(one["type"] == _NO_JSON for one in error.errors()):
                    raise
                raise RequestError("invalid_settings", faults_in(error)) from error

        return handle
