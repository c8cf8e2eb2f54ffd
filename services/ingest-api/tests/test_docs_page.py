import re
from typing import Any

import pytest

World = Any  # the fixture's class; test modules cannot import conftest


async def test_the_docs_page_loads_nothing_from_another_host(world: World) -> None:
    page = await world.client.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page.text) == []
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {path.rpartition(".")[2] for path in loaded} == {"js", "css", "png"}
    for path in loaded:
        assert path.startswith("/docs/")
        asset = await world.client.get(path)
        assert asset.status_code == 200
        assert len(asset.content) > 1000


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        ("/docs/swagger-ui-bundle.js", "text/javascript", b"SwaggerUIBundle"),
        ("/docs/swagger-ui.css", "text/css", b".swagger-ui"),
        ("/docs/favicon.png", "image/png", b"PNG"),
    ],
)
async def test_its_parts_are_what_they_are_called(
    world: World, path: str, kind: str, content: bytes
) -> None:
    asset = await world.client.get(path)
    assert asset.headers["content-type"].startswith(kind)
    assert content in asset.content


async def test_the_page_shows_the_description_and_asks_no_validator(world: World) -> None:
    page = (await world.client.get("/docs")).text
    assert "url: '/openapi.json'" in page
    assert '"validatorUrl": null' in page


async def test_a_page_that_would_need_another_host_is_not_there(world: World) -> None:
    assert (await world.client.get("/redoc")).status_code == 404
