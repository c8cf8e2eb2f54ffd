import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from kartoteka_local.errors import StackError
from kartoteka_local.home import Home
from kartoteka_local.plan import Plan, make_plan
from kartoteka_local.settings import Settings
from kartoteka_runtime.env import SettingsError

REAL = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9093",
    "QDRANT_URL": "https://qdrant.example",
    "OBJECT_STORE_URL": "s3://bucket/prefix",
}


def planned(folder: Path, env: Mapping[str, str]) -> Plan:
    home = Home(root=folder)
    home.create()
    return make_plan(Settings.load({"KARTOTEKA_API_PORT": "0", **env}), home)


def test_real_servers_take_the_place_of_embedded_ones(tmp_path: Path) -> None:
    plan = planned(tmp_path, {**REAL, "KAFKA_SASL_USERNAME": "me", "EMBEDDERS": "1"})
    assert plan.broker is None
    assert plan.kafka is None
    assert plan.qdrant is None
    for program in (plan.api, *plan.embedders):
        assert {name: program.env[name] for name in REAL} == REAL
        assert program.env["KAFKA_SASL_USERNAME"] == "me"
    assert plan.kafka_address == REAL["KAFKA_BOOTSTRAP_SERVERS"]
    assert plan.qdrant_url == REAL["QDRANT_URL"]


def test_each_embedder_has_a_port_and_the_api_knows_them_all(tmp_path: Path) -> None:
    plan = planned(tmp_path, {**REAL, "EMBEDDERS": "3"})
    ports = [program.env["EMBEDDER_HTTP_PORT"] for program in plan.embedders]
    assert len(set(ports)) == 3
    urls = plan.api.env["EMBEDDINGS_URLS"].split(",")
    assert urls == [f"http://127.0.0.1:{port}" for port in ports]


def test_the_scheduler_loops_without_a_lease_unless_one_is_asked_for(tmp_path: Path) -> None:
    plan = planned(tmp_path, REAL)
    assert plan.scheduler.argv[-2:] == ("scheduler", "loop")
    assert plan.scheduler.env["SCHEDULER_LEASE"] == "off"
    assert plan.scheduler.env["KAFKA_BOOTSTRAP_SERVERS"] == REAL["KAFKA_BOOTSTRAP_SERVERS"]
    plan = planned(tmp_path, {**REAL, "SCHEDULER_LEASE": "on"})
    assert plan.scheduler.env["SCHEDULER_LEASE"] == "on"


def test_a_key_for_qdrant_is_asked_for_by_the_embedded_one_too(tmp_path: Path) -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": "k:1", "QDRANT_API_KEY": "secret"}
    plan = planned(tmp_path, env)
    assert plan.qdrant is not None
    assert plan.qdrant.env["EMBEDDED_QDRANT_API_KEY"] == "secret"
    assert plan.api.env["QDRANT_API_KEY"] == "secret"


def test_an_api_that_listens_everywhere_is_reached_on_loopback(tmp_path: Path) -> None:
    plan = planned(tmp_path, {**REAL, "KARTOTEKA_API_HOST": "0.0.0.0"})  # noqa: S104 - a setting
    assert plan.api_url.startswith("http://127.0.0.1:")


def test_a_taken_port_stops_the_plan_with_the_name_of_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {**REAL, "KARTOTEKA_EMBEDDER_PORT": str(taken.getsockname()[1]), "EMBEDDERS": "1"}
        with pytest.raises(StackError, match="set KARTOTEKA_EMBEDDER_PORT"):
            planned(tmp_path, env)


def test_no_java_is_said_with_what_to_do(tmp_path: Path) -> None:
    settings = Settings.load({"KARTOTEKA_API_PORT": "0"})
    with pytest.raises(StackError, match=r"(?s)Java 17 .* JAVA_HOME"):
        make_plan(settings, Home(root=tmp_path), java=lambda _java_home: None)


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({"KARTOTEKA_API_PORT": "99999", "EMBEDDERS": "none"})
    assert "KARTOTEKA_API_PORT" in str(caught.value)
    assert "EMBEDDERS" in str(caught.value)
