"""``GET /docs``: the API's own pages, which load nothing from another host."""

from importlib.metadata import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

__all__ = ["PATH", "router"]

PATH: Final = "/docs"

_PACKAGE: Final = "fastapi-offline"
"""Carries Swagger UI's files. Nothing of its code is used."""
_SCRIPT, _STYLE, _ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"
_MEDIA_TYPES: Final = {_SCRIPT: "text/javascript", _STYLE: "text/css", _ICON: "image/png"}
_CACHED: Final = {"Cache-Control": "public, max-age=86400"}


def router(*, title: str, openapi_url: str) -> APIRouter:
    """Return the routes of the page and of what it loads.

    Args:
        title: of the page.
        openapi_url: the path of the description that it shows.
    """
    routes = APIRouter(include_in_schema=False)
    page = get_swagger_ui_html(
        openapi_url=openapi_url,
        title=title,
        swagger_js_url=f"{PATH}/{_SCRIPT}",
        swagger_css_url=f"{PATH}/{_STYLE}",
        swagger_favicon_url=f"{PATH}/{_ICON}",
        # Its badge would send the description to a validator of others.
        swagger_ui_parameters={"validatorUrl": None},
    )

    @routes.get(PATH)
    async def docs() -> HTMLResponse:
        return page

    for asset in _assets():
        _serve(routes, asset)
    return routes


def _serve(routes: APIRouter, asset: Path) -> None:
    @routes.get(f"{PATH}/{asset.name}")
    async def file() -> FileResponse:
        return FileResponse(asset, media_type=_MEDIA_TYPES[asset.name], headers=_CACHED)


def _assets() -> list[Path]:
    found = {Path(file).name: Path(str(file.locate())) for file in files(_PACKAGE) or ()}
    return [found[name] for name in _MEDIA_TYPES]
