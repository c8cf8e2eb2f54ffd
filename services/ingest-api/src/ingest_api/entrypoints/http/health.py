"""Probes and metrics: without a key, without a dependency."""

from http import HTTPStatus
from typing import Any, Final, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from kartoteka_runtime.health import Health
from kartoteka_runtime.metrics import Metrics

__all__ = ["router"]


class Probe(BaseModel):
    """What a probe says."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {"status": "ok", "reasons": {}},
                {"status": "unavailable", "reasons": {"topics": "Kafka does not answer"}},
            ]
        },
    )

    status: Literal["ok", "unavailable"]
    """``ok`` goes with 200, ``unavailable`` with 503."""
    reasons: dict[str, str]
    """What is wrong, by name."""


_UNAVAILABLE: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.SERVICE_UNAVAILABLE.value: {"model": Probe, "description": "Not now, and why."}
}


def router(health: Health, metrics: Metrics) -> APIRouter:
    """Return the routes that the platform asks."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/healthz/startup", response_model=Probe, responses=_UNAVAILABLE)
    async def startup() -> JSONResponse:
        """Is start-up over?"""
        reasons = {} if health.started else {"startup": "start-up is not over"}
        return _answer(reasons)

    @routes.get("/healthz/live", response_model=Probe, responses=_UNAVAILABLE)
    async def live() -> JSONResponse:
        """Should this process live on? Dependencies do not count."""
        return _answer(health.live()[1])

    @routes.get("/healthz/ready", response_model=Probe, responses=_UNAVAILABLE)
    async def ready() -> JSONResponse:
        """May requests be sent here now?"""
        return _answer(health.ready()[1])

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def prometheus() -> Response:
        """Metrics in Prometheus' text format."""
        body, content_type = metrics.render()
        return Response(body, media_type=content_type)

    return routes


def _answer(reasons: dict[str, str]) -> JSONResponse:
    probe = Probe(status="unavailable" if reasons else "ok", reasons=reasons)
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return JSONResponse(probe.model_dump(), status_code=status)
