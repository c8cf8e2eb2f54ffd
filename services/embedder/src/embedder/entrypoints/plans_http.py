"""``GET /v1/plans/{cabinet_id}?mode=changed``: what a reindex run would do, without doing it.

For ingest-api, which has checked that its caller may read the cabinet.
"""

from typing import Any, Final, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from embedder.domain.reindex_plan import RunForecast
from kartoteka_contracts.access import AuthorisedCabinet, grant
from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_contracts.reindex import ReindexMode
from kartoteka_contracts.wire import CabinetField

__all__ = ["Planner", "PlansHttp"]

_AT_ONCE: Final = 2
"""Plans under way: each reads all manifests of a cabinet and lists all of its sources."""


class Planner(Protocol):
    """What answers."""

    async def plan(self, cabinet: AuthorisedCabinet, mode: ReindexMode) -> RunForecast:
        """Return what a run would do now; its own failures are a part of the answer.

        Raises:
            KartotekaError: ``not_found``: there is no such cabinet.
            UnavailableError: a dependency is away.
        """
        ...


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True)

    cabinet_id: CabinetField
    mode: ReindexMode = ReindexMode.CHANGED


class PlansHttp:
    """The route."""

    def __init__(self, planner: Planner, *, at_once: int = _AT_ONCE) -> None:
        self._planner = planner
        self._at_once = at_once
        self._under_way = 0

    def routes(self) -> list[web.RouteDef]:
        """Return what the application adds."""
        return [web.get("/v1/plans/{cabinet_id}", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the plan."""
        try:
            wanted = _Request.model_validate(
                {**request.query, "cabinet_id": request.path.rpartition("/")[2]}
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return _error(400, "invalid_request", f"{first['loc'][0]}: {first['msg']}")
        if self._under_way >= self._at_once:
            return _error(503, "overloaded", "too many plans are under way", retry_after=1)
        self._under_way += 1
        try:
            forecast = await self._planner.plan(grant(wanted.cabinet_id), wanted.mode)
        except UnavailableError as error:
            return _error(503, error.code, error.message, retry_after=1)
        except KartotekaError as error:
            return _error(error.spec.http_status or 500, error.code, error.message)
        finally:
            self._under_way -= 1
        return web.json_response(_body(wanted, forecast))


def _body(wanted: _Request, forecast: RunForecast) -> dict[str, Any]:
    fault = forecast.fault
    return {
        "cabinet_id": wanted.cabinet_id,
        "mode": wanted.mode,
        "total": forecast.total,
        "counts": forecast.counts.model_dump(mode="json"),
        "chunks": forecast.chunks,
        "estimated_seconds": forecast.estimated_seconds,
        "would_fail": None if fault is None else {"code": fault[0], "message": fault[1]},
    }


def _error(status: int, code: str, message: str, *, retry_after: int = 0) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 - HTTP's own
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    headers = {"Retry-After": str(retry_after)} if retry_after else None
    return web.json_response(body, status=status, headers=headers)
