"""All dashboards, as the chart carries them."""

import json
from collections.abc import Mapping
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import api, cabinets, documents, overview, stores, workers
from dashboards.page import Page

__all__ = ["PAGES", "files"]

PAGES: Final[tuple[Page, ...]] = (
    overview.PAGE,
    documents.PAGE,
    workers.PAGE,
    api.PAGE,
    cabinets.PAGE,
    stores.PAGE,
)


def files() -> Mapping[str, str]:
    """Return every dashboard's JSON by its file's name."""
    return {f"{page.uid}.json": _json(page) for page in PAGES}


def _json(page: Page) -> str:
    dashboard: Any = json.loads(json.dumps(page.build(), cls=JSONEncoder))
    return json.dumps(dashboard, indent=2, sort_keys=True) + "\n"
