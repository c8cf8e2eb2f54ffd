"""``/openapi.json`` of the whole service says what is sent, and nothing else."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from kartoteka_contracts.errors import ERRORS
from kartoteka_testkit.ports import free_ports
from kartoteka_testkit.process import ServerProcess

PROBLEM = "application/problem+json"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """The description that the service gives; nothing that it needs is there."""
    folder = tmp_path_factory.mktemp("api")
    (port,) = free_ports(1)
    env = {
        **os.environ,
        "API_PORT": str(port),
        "API_KEYS_FILE": str(folder / "keys.json"),
        "OBJECT_STORE_URL": f"file://{folder}/objects",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "QDRANT_URL": "http://127.0.0.1:1",
        "EMBEDDINGS_URLS": "http://127.0.0.1:1",
        "VIEW_PATH": str(folder / "view"),
    }
    argv = [sys.executable, "-m", "ingest_api", "serve"]
    process = ServerProcess(argv, log=folder / "log", cwd=folder, env=env)
    try:
        while True:
            process.must_run()
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/openapi.json", trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            return dict(answer.raise_for_status().json())
    finally:
        process.kill()


def faults(value: Any, schema: Json, description: Json) -> list[str]:
    whole = {**schema, "components": description["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def operations(description: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def contents(description: Json) -> Iterator[tuple[str, Json]]:
    for name, operation in operations(description):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield name, content
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values():
                yield f"{name} {status}", content


def examples(description: Json) -> Iterator[tuple[str, Any, Json]]:
    """Yield every example with where it stands and the schema that it must hold."""
    for name, schema in description["components"]["schemas"].items():
        yield from own_examples(name, schema)
    for name, content in contents(description):
        yield from own_examples(name, content["schema"])
        for code, example in content.get("examples", {}).items():
            yield f"{name} {code}", example["value"], content["schema"]
        if "example" in content:
            yield name, content["example"], content["schema"]
    for name, operation in operations(description):
        for parameter in operation.get("parameters", ()):
            yield from own_examples(f"{name} {parameter['name']}", parameter["schema"])


def own_examples(name: str, schema: Json) -> Iterator[tuple[str, Any, Json]]:
    for example in schema.get("examples", ()):
        yield name, example, schema
    for field, part in schema.get("properties", {}).items():
        for example in part.get("examples", ()):
            yield f"{name}.{field}", example, part


async def test_every_example_is_what_its_schema_says(description: Json) -> None:
    found = list(examples(description))
    assert len(found) > 100
    for name, example, schema in found:
        assert faults(example, schema, description) == [], name


async def test_every_documented_error_is_a_problem_document(description: Json) -> None:
    for name, operation in operations(description):
        if "/healthz/" in name:
            continue  # the platform's probes answer with their reasons, whatever the status
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert set(answer["content"]) == {PROBLEM}, (name, status)
                content = answer["content"][PROBLEM]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                for code in content["examples"]:
                    assert ERRORS[code].http_status == int(status), (name, code)


async def test_what_reads_parameters_or_a_body_says_how_it_refuses_them(description: Json) -> None:
    assert "HTTPValidationError" not in str(description)
    for name, operation in operations(description):
        in_query = any(one["in"] == "query" for one in operation.get("parameters", ()))
        if in_query or "requestBody" in operation:
            assert "422" in operation["responses"], name


async def test_every_reference_leads_somewhere(description: Json) -> None:
    schemas = description["components"]["schemas"]

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    assert {name.rpartition("/")[2] for name in references(description)} <= set(schemas)
