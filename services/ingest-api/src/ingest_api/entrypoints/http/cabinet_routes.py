"""``GET /rag/cabinets``, and ``GET`` and ``PUT /rag/cabinets/{id}``."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.cabinet import Cabinet
from ingest_api.entrypoints.http.cabinet_answers import (
    CabinetAnswer,
    CabinetList,
    SettingsBody,
    cabinet_answer,
)
from ingest_api.entrypoints.http.path_ids import cabinet_cursor, cabinet_in_path
from ingest_api.entrypoints.http.problems import responses
from ingest_api.entrypoints.http.query_parameters import only
from ingest_api.entrypoints.http.security import AUTH_CODES, require
from ingest_api.entrypoints.http.settings_route import SettingsRoute
from ingest_api.entrypoints.http.trace import traceparent_of
from ingest_api.usecases.configure_cabinet import ConfigureCabinet
from ingest_api.usecases.read_cabinets import ReadCabinets

__all__ = ["router"]

_MAX_LIMIT: Final = 200
_Reader = Annotated[Principal, Depends(require(Scope.READ))]
_Admin = Annotated[Principal, Depends(require(Scope.ADMIN))]


def router(cabinets: ReadCabinets, configure: ConfigureCabinet) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/rag/cabinets", tags=["cabinets"], route_class=SettingsRoute)

    @routes.get(
        "",
        responses=responses(*AUTH_CODES, "invalid_request", "view_behind"),
        summary="List cabinets",
        dependencies=[Depends(only("cursor", "limit"))],
    )
    async def list_cabinets(
        principal: _Reader,
        cursor: Annotated[
            str | None, Query(description="From the page before.", max_length=100)
        ] = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="Cabinets in a page.")] = 50,
    ) -> CabinetList:
        """Return the cabinets of the key that were uploaded to or configured, by their ids."""
        after = None if cursor is None else cabinet_cursor(cursor)
        page = await cabinets.page(principal, after=after, limit=limit)
        return CabinetList(
            cabinets=[cabinet_answer(state) for state in page.cabinets],
            next_cursor=None if page.next is None else str(page.next),
        )

    @routes.get(
        "/{cabinet_id}",
        responses=responses(*AUTH_CODES, "not_found", "invalid_request", "view_behind"),
        summary="Read a cabinet",
        dependencies=[Depends(only())],
    )
    async def read_cabinet(cabinet_id: str, principal: _Reader) -> CabinetAnswer:
        """Return what a cabinet is to be, its last run, its next one, and one under way.

        There is a cabinet from its first upload on, or from when it was configured.
        """
        return cabinet_answer(await cabinets.find(principal, cabinet_in_path(cabinet_id)))

    @routes.put(
        "/{cabinet_id}",
        responses=responses(
            *AUTH_CODES,
            "invalid_request",
            "invalid_settings",
            "source_not_allowed",
            "body_too_large",
            "event_log_unavailable",
            "object_store_unavailable",
            "view_behind",
        ),
        summary="Configure a cabinet",
        dependencies=[Depends(only())],
    )
    async def put_cabinet(
        request: Request, cabinet_id: str, body: SettingsBody, principal: _Admin
    ) -> CabinetAnswer:
        """Give a cabinet settings in place of all that it had; it need not exist before.

        After a 503 they may count or not: send them again. Documents of a source that is no longer
        in the settings stay as they are: a mistake in them must not empty a cabinet. To drop them,
        empty the source first and let a run with ``confirm_vanished`` see that, or delete them.
        """
        cabinet = authorise(principal, Scope.ADMIN, cabinet_in_path(cabinet_id))
        event = await configure.configure(
            cabinet, body.settings(), traceparent=traceparent_of(request)
        )
        known = await cabinets.known(cabinet.cabinet_id)
        seen_at = None if known is None else known.seen_at
        now = Cabinet(cabinet_id=cabinet.cabinet_id, seen_at=seen_at, configured=event)
        return cabinet_answer(await cabinets.state(now))

    return routes
