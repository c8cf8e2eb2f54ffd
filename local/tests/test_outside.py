import socket
from collections.abc import Mapping

import pytest

from kartoteka_local.excerpt import excerpt
from kartoteka_local.outside import Outside, outside_servers
from kartoteka_local.settings import Settings


def servers(env: Mapping[str, str]) -> list[tuple[str, str, int]]:
    found = outside_servers(Settings.load(env).real, env)
    return [(server.setting, server.host, server.port) for server in found]


def test_every_server_of_others_is_known_by_its_setting_and_address() -> None:
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": "one.example:9093, two.example",
        "QDRANT_URL": "https://qdrant.example",
        "OBJECT_STORE_URL": "s3://bucket/prefix",
        "OBJECT_STORE_ENDPOINT": "http://[::1]:9000",
    }
    assert servers(env) == [
        ("KAFKA_BOOTSTRAP_SERVERS", "one.example", 9093),
        ("KAFKA_BOOTSTRAP_SERVERS", "two.example", 9092),
        ("QDRANT_URL", "qdrant.example", 443),
        ("OBJECT_STORE_ENDPOINT", "::1", 9000),
    ]


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({}, id="all embedded"),
        pytest.param({"OBJECT_STORE_URL": "file:///objects"}, id="a folder has no address"),
        pytest.param({"OBJECT_STORE_URL": "s3://bucket"}, id="the platform's own store"),
        pytest.param({"QDRANT_URL": "http://host:port"}, id="no address: the services say so"),
    ],
)
def test_what_has_no_address_is_not_asked(env: dict[str, str]) -> None:
    assert servers(env) == []


async def test_a_server_that_is_away_is_told_with_its_address_and_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        there = Outside(setting="QDRANT_URL", host="127.0.0.1", port=port)
        assert await there.probe() is None
    reason = await there.probe()
    assert reason == f"QDRANT_URL: no connection to 127.0.0.1:{port} (Connection refused)"


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("short", 5, "short"),
        ("one two three", 9, "one two …"),
        ("one two three", 10, "one two …"),
        ("undivided", 6, "undi …"),
    ],
)
def test_a_long_text_is_cut_between_words(text: str, width: int, cut: str) -> None:
    assert excerpt(text, width) == cut
