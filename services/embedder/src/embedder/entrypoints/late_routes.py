"""Routes that are served before what answers them is there."""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

__all__ = ["LateRoutes"]


class LateRoutes:
    """Everything below ``/v1/``: refused as unavailable until :meth:`fill` is called."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], Handler] | None = None

    def route(self) -> web.AbstractRouteDef:
        """Return the one route that stands for all of them."""
        return web.route("*", "/v1/{path:.*}", self._answer)

    def fill(self, routes: Iterable[web.RouteDef]) -> None:
        """Answer these from now on. Only the last segment of a path may be a parameter.

        Raises:
            TypeError: a route is answered by a class-based view.
        """
        handlers: dict[tuple[str, str], Handler] = {}
        for route in routes:
            if isinstance(route.handler, type):
                raise TypeError(f"{route.path} must be answered by a function")
            handlers[route.method, _pattern(route.path)] = route.handler
        self._handlers = handlers

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._handlers is None:
            return web.json_response(
                {
                    "error": {
                        "message": "the model is not loaded",
                        "type": "server_error",
                        "param": None,
                        "code": "embeddings_unavailable",
                    }
                },
                status=503,
                headers={"Retry-After": "1"},
            )
        paths = (request.path, _pattern(request.path, is_parameter=True))
        for path in paths:
            handler = self._handlers.get((request.method, path))
            if handler is not None:
                return await handler(request)
        allowed = [method for method, path in self._handlers if path in paths]
        if allowed:
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        raise web.HTTPNotFound


def _pattern(path: str, *, is_parameter: bool = False) -> str:
    """Return the path with its last segment, where that is a parameter, left open."""
    folder, _, last = path.rpartition("/")
    return f"{folder}/*" if is_parameter or last.startswith("{") else path
