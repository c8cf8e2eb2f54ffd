"""Metadata as keywords. Qdrant's match knows no floats and no null; equal strings are enough."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kartoteka_index.search import Scalar

__all__ = ["facet", "facets"]


def facet(key: str, value: Scalar) -> str:
    """Return the one spelling of ``key = value``.

    A float without a fraction is spelled as the integer it equals: JSON does not tell them apart.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def facets(metadata: Mapping[str, Any]) -> list[str]:
    """Return the facets of a document's metadata, sorted, each once.

    A list counts as each of its scalars. Objects, and lists within lists, cannot be matched.
    """
    return sorted({facet(key, value) for key, value in _scalars(metadata)})


def _scalars(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    for key, value in metadata.items():
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        for item in value if is_list else (value,):
            if item is None or isinstance(item, str | int | float):
                yield key, item
