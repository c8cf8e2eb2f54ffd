"""The probes and the metrics, over HTTP."""

from collections.abc import Sequence

from aiohttp import web

from kartoteka_runtime.health import Health
from kartoteka_runtime.metrics import Metrics

__all__ = ["probe_routes"]


def probe_routes(health: Health, metrics: Metrics) -> Sequence[web.AbstractRouteDef]:
    """Return ``/healthz/{startup,live,ready}`` and ``/metrics``."""

    async def startup(_request: web.Request) -> web.Response:
        return _verdict(health.started, {} if health.started else {"startup": "not over yet"})

    async def live(_request: web.Request) -> web.Response:
        return _verdict(*health.live())

    async def ready(_request: web.Request) -> web.Response:
        return _verdict(*health.ready())

    async def scrape(_request: web.Request) -> web.Response:
        body, content_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return (
        web.get("/healthz/startup", startup),
        web.get("/healthz/live", live),
        web.get("/healthz/ready", ready),
        web.get("/metrics", scrape),
    )


def _verdict(is_well: bool, reasons: dict[str, str]) -> web.Response:  # noqa: FBT001 - Health returns the pair
    body = {"status": "ok" if is_well else "unavailable", "reasons": reasons}
    return web.json_response(body, status=200 if is_well else 503)
