from dataclasses import replace
from typing import Any

import pytest

from kartoteka_contracts.errors import KartotekaError
from kartoteka_index import KEEP, Fault, Index, ModelIdentity, Outcome, QdrantSettings
from kartoteka_index.facets import facet, facets
from kartoteka_index.schema import require_server
from kartoteka_testkit.index_cases import MODEL, Case, cabinet


def test_facets_tell_types_apart_but_not_spellings_of_a_number() -> None:
    assert facet("a", 1) == facet("a", 1.0) == "a=1"
    spelled = {facet("a", value) for value in (1, 1.5, True, False, "1", "true", None, "null")}
    assert len(spelled) == 8


def test_facets_take_scalars_and_lists_of_them_each_once() -> None:
    metadata = {"b": ["x", "x", {"no": 1}, ["no"]], "a": {"no": 1}, "c": True}
    assert facets(metadata) == ['b="x"', "c=true"]


def test_no_two_pairs_of_key_and_value_share_a_facet() -> None:
    pairs: list[tuple[str, Any]] = [
        ("a", "b=1"),
        ("a=b", 1),
        ('a="b"', 1),
        ("a", '"b"=1'),
        ("a=", 1),
    ]
    assert len({facet(key, value) for key, value in pairs}) == len(pairs)


def test_collections_are_named_by_prefix_model_and_dimension() -> None:
    model = ModelIdentity(name="sentence-transformers/All_MiniLM-L6-v2", dimension=384)
    name = "kartoteka-sentence-transformers-all-minilm-l6-v2-384"
    assert model.chunk_collection("kartoteka") == name
    assert model.document_collection("kartoteka") == f"{name}-documents"


@pytest.mark.parametrize(
    ("outcome", "change"),
    [
        (Outcome.PUBLISHED, {"published": None}),
        (Outcome.PUBLISHED, {"published": KEEP}),
        (Outcome.PUBLISHED, {"version": 6}),
        (Outcome.EMPTY, {"published": KEEP}),
        (Outcome.FAILED, {"published": None}),
        (Outcome.FAILED, {"error": None}),
        (Outcome.EMPTY, {"error": Fault(code="malformed", message="m")}),
        (Outcome.EMPTY, {"version": 0}),
        (Outcome.EMPTY, {"epoch": -1}),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(
    outcome: Outcome, change: dict[str, Any]
) -> None:
    index = Index.open(QdrantSettings(url="http://127.0.0.1:9"), MODEL)
    decision = Case(index, cabinet()).decision(5, outcome=outcome)
    with pytest.raises(ValueError, match=r"outcome|error|version"):
        replace(decision, **change)


class _OldQdrant:
    def __init__(self, version: str) -> None:
        self.version = version

    async def info(self) -> Any:
        return self


@pytest.mark.parametrize("version", ["1.15.5", "1.9.0", "0.11.0"])
async def test_a_server_that_would_overwrite_manifests_is_refused(version: str) -> None:
    with pytest.raises(KartotekaError) as refused:
        await require_server(_OldQdrant(version))  # type: ignore[arg-type] # a fake of one call
    assert refused.value.code == "index_too_old"


@pytest.mark.parametrize("version", ["1.16.0", "1.20.0", "2.0.0", "1.18.0-dev"])
async def test_a_new_enough_server_is_taken(version: str) -> None:
    await require_server(_OldQdrant(version))  # type: ignore[arg-type] # a fake of one call
