"""The OpenAPI description, put right where FastAPI describes what is never sent."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from ingest_api.entrypoints.http.problems import MEDIA_TYPE

__all__ = ["DescribedApp"]

_NEVER_SENT: Final = frozenset({"HTTPValidationError", "ValidationError"})
_SCHEMA_PREFIX: Final = "#/components/schemas/"
_Json = dict[str, Any]


class DescribedApp(FastAPI):
    """An application whose description holds.

    * Errors have the schema of a problem document, under its media type.
    * FastAPI's own validation errors, which are answered as problem documents, are not in it.
    * Examples have their nulls, which FastAPI leaves out though the fields are required.
    """

    def openapi(self) -> _Json:
        """Return the description; made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _corrected(super().openapi())
        return self.openapi_schema


def _corrected(description: _Json) -> _Json:
    for operation in _operations(description):
        answers: dict[str, _Json] = operation["responses"]
        for status in [status for status, answer in answers.items() if _is_never_sent(answer)]:
            del answers[status]
        for status, answer in answers.items():
            if int(status) >= HTTPStatus.BAD_REQUEST and MEDIA_TYPE in answer["content"]:
                _as_problem(answer["content"])
    schemas: dict[str, _Json] = description["components"]["schemas"]
    for name in _NEVER_SENT:
        schemas.pop(name, None)
    for schema in schemas.values():
        for example in schema.get("examples", ()):
            _with_nulls(example, schema, schemas)
    return description


def _operations(description: _Json) -> Iterator[_Json]:
    for methods in description["paths"].values():
        yield from methods.values()


def _is_never_sent(answer: _Json) -> bool:
    schemas = [content.get("schema", {}) for content in answer.get("content", {}).values()]
    return any(schema.get("$ref") == f"{_SCHEMA_PREFIX}HTTPValidationError" for schema in schemas)


def _as_problem(content: dict[str, _Json]) -> None:
    """Move the schema to the media type that is sent."""
    for media_type in [media_type for media_type in content if media_type != MEDIA_TYPE]:
        content[MEDIA_TYPE].update(content.pop(media_type))


def _with_nulls(value: Any, schema: _Json, schemas: dict[str, _Json]) -> None:
    schema = _chosen(value, schema, schemas)
    if isinstance(value, list):
        for item in value:
            _with_nulls(item, schema.get("items", {}), schemas)
    if not isinstance(value, dict):
        return
    properties: dict[str, _Json] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value and {"type": "null"} in properties[name].get("anyOf", ()):
            value[name] = None
    for name, item in value.items():
        _with_nulls(item, properties.get(name, {}), schemas)


def _chosen(value: Any, schema: _Json, schemas: dict[str, _Json]) -> _Json:
    """Follow a reference, and of several schemas take the first that knows the value's fields."""
    if "$ref" in schema:
        return schemas[schema["$ref"].removeprefix(_SCHEMA_PREFIX)]
    for option in schema.get("anyOf", ()):
        found = _chosen(value, option, schemas)
        if isinstance(value, dict) and set(value) <= set(found.get("properties", {})):
            return found
    return schema
