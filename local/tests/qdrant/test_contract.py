"""What any Qdrant must answer to the calls that Kartoteka makes, asked by plain HTTP."""

import itertools
import math
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kartoteka_testkit.qdrant_facade import QdrantFacade, qdrant_facade

pytestmark = pytest.mark.integration

_A, _B, _C = (str(uuid.UUID(int=n)) for n in range(1, 4))
_names = itertools.count()


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantFacade]:
    with qdrant_facade(tmp_path_factory.mktemp("contract")) as running:
        yield running


@pytest.fixture
def http(facade: QdrantFacade) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=facade.url) as client:
        yield client


@pytest.fixture
def points(http: httpx.Client) -> Iterator[str]:
    """The path of a collection's points."""
    path = f"/collections/c{next(_names)}"
    created = http.put(path, json={"vectors": {"size": 2, "distance": "Cosine"}})
    assert created.status_code == 200
    yield f"{path}/points"
    assert http.delete(path).json()["result"] is True


def _upsert(http: httpx.Client, points: str, *each: dict[str, Any], **more: Any) -> httpx.Response:
    return http.put(points, params={"wait": "true"}, json={"points": list(each), **more})


def _point(
    identity: str | int, vector: list[float] | None = None, **payload: Any
) -> dict[str, Any]:
    return {"id": identity, "vector": vector or [1.0, 0.0], "payload": payload}


def _payloads(http: httpx.Client, points: str, *ids: str | int) -> dict[Any, Any]:
    found = http.post(points, json={"ids": list(ids)}).json()["result"]
    return {each["id"]: each["payload"] for each in found}


def _counted(http: httpx.Client, points: str, condition: dict[str, Any]) -> httpx.Response:
    return http.post(f"{points}/count", json={"filter": {"must": [condition]}, "exact": True})


def test_it_names_the_servers_version_and_is_ready(http: httpx.Client) -> None:
    assert http.get("/").json()["version"] == "1.20.0"
    for probe in ("/healthz", "/livez", "/readyz"):
        assert http.get(probe).status_code == 200


def test_a_collection_is_described_as_it_was_created(http: httpx.Client) -> None:
    wanted = {
        "vectors": {"size": 3, "distance": "Cosine"},
        "hnsw_config": {"m": 0, "payload_m": 16},
        "metadata": {"kartoteka_model": "m"},
    }
    assert http.put("/collections/described", json=wanted).json()["result"] is True
    index = {"field_name": "k", "field_schema": {"type": "keyword", "is_tenant": True}}
    for _ in range(2):
        assert http.put("/collections/described/index", json=index).status_code == 200
    found = http.get("/collections/described").json()["result"]
    assert found["config"]["params"]["vectors"] == wanted["vectors"]
    assert found["config"]["hnsw_config"]["m"] == 0
    assert found["config"]["metadata"] == {"kartoteka_model": "m"}
    assert found["payload_schema"]["k"]["params"]["is_tenant"] is True
    assert {"name": "described"} in http.get("/collections").json()["result"]["collections"]
    assert http.put("/collections/described", json=wanted).status_code == 409
    assert http.delete("/collections/described").json()["result"] is True
    assert http.get("/collections/described/exists").json()["result"] == {"exists": False}
    assert http.delete("/collections/described").json()["result"] is False


@pytest.mark.parametrize("name", ["..%2Fescape", ".hidden", "a%2Fb", "ü"])
def test_a_name_that_could_leave_the_folder_is_refused(http: httpx.Client, name: str) -> None:
    wanted = {"vectors": {"size": 3, "distance": "Cosine"}}
    assert http.put(f"/collections/{name}", json=wanted).status_code in {400, 501}


def test_an_insert_only_upsert_leaves_what_is_there(http: httpx.Client, points: str) -> None:
    _upsert(http, points, _point(_A, old=1))
    _upsert(http, points, _point(_A, new=1), _point(_B, new=1), update_mode="insert_only")
    assert _payloads(http, points, _A, _B) == {_A: {"old": 1}, _B: {"new": 1}}


def test_an_update_only_upsert_adds_nothing(http: httpx.Client, points: str) -> None:
    _upsert(http, points, _point(_A, old=1))
    _upsert(http, points, _point(_A, new=1), _point(_B, new=1), update_mode="update_only")
    assert _payloads(http, points, _A, _B) == {_A: {"new": 1}}


def test_an_update_filter_decides_on_points_that_are_there(http: httpx.Client, points: str) -> None:
    _upsert(http, points, _point(_A, v=1), _point(_B, v=5))
    older = {"must": [{"key": "v", "range": {"lt": 3}}]}
    _upsert(http, points, *(_point(each, v=3) for each in (_A, _B, _C)), update_filter=older)
    assert _payloads(http, points, _A, _B, _C) == {_A: {"v": 3}, _B: {"v": 5}, _C: {"v": 3}}


def test_a_payload_is_set_where_the_filter_matches_and_nowhere_else(
    http: httpx.Client, points: str
) -> None:
    top = 2**53 - 1
    _upsert(http, points, _point(_A, v=top - 1, keep=True), _point(_B, v=top))
    body = {"payload": {"v": top, "p": {"x": 1}}, "filter": _below(top)}
    assert http.post(f"{points}/payload", json=body).status_code == 200
    expected = {_A: {"v": top, "keep": True, "p": {"x": 1}}, _B: {"v": top}}
    assert _payloads(http, points, _A, _B) == expected
    body = {"payload": {"p": None}, "filter": {"must": [{"has_id": [_A]}]}}
    assert http.post(f"{points}/payload", json=body).status_code == 200
    assert "p" not in _payloads(http, points, _A)[_A]


def _below(value: int) -> dict[str, Any]:
    return {"must": [{"key": "v", "range": {"lt": value}}]}


def test_points_are_deleted_by_id_and_by_filter(http: httpx.Client, points: str) -> None:
    _upsert(http, points, _point(_A, v=1), _point(_B, v=2), _point(7, v=3))
    http.post(f"{points}/delete", json={"points": [7]})
    http.post(f"{points}/delete", json={"filter": _below(2)})
    assert _payloads(http, points, _A, _B, 7) == {_B: {"v": 2}}


def test_a_query_orders_by_score_and_keeps_to_its_filter(http: httpx.Client, points: str) -> None:
    _upsert(
        http,
        points,
        _point(_A, [1, 0], t="x"),
        _point(_B, [1, 1], t="x"),
        _point(_C, [1, 0], t="y"),
    )
    body = {
        "query": {"nearest": [2.0, 0.0]},
        "filter": {"must": {"key": "t", "match": {"value": "x"}}},
        "score_threshold": 0.5,
        "with_payload": ["t"],
    }
    found = http.post(f"{points}/query", json=body).json()["result"]["points"]
    assert [each["id"] for each in found] == [_A, _B]
    assert [each["score"] for each in found] == pytest.approx([1.0, math.sqrt(0.5)], abs=1e-5)
    assert found[0]["payload"] == {"t": "x"}
    batch = http.post(f"{points}/query/batch", json={"searches": [body, body | {"limit": 1}]})
    assert [len(each["points"]) for each in batch.json()["result"]] == [2, 1]


def test_a_scroll_pages_through_every_point_once(http: httpx.Client, points: str) -> None:
    _upsert(http, points, *(_point(n) for n in range(25)))
    seen: list[int] = []
    offset = None
    while True:
        body = {"limit": 10, "offset": offset, "with_payload": False}
        page = http.post(f"{points}/scroll", json=body).json()["result"]
        seen += [each["id"] for each in page["points"]]
        offset = page["next_page_offset"]
        if offset is None:
            break
    assert seen == list(range(25))


def test_one_point_comes_with_its_vector_or_as_404(http: httpx.Client, points: str) -> None:
    _upsert(http, points, _point(7, [0.0, 1.0], t="x"))
    assert http.get(f"{points}/7").json()["result"] == {
        "id": 7,
        "payload": {"t": "x"},
        "vector": [0.0, 1.0],
    }
    assert http.get(f"{points}/8").status_code == 404


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ({"key": "t", "match": {"value": "x"}}, 2),
        ({"key": "t", "match": {"any": ["y", "z"]}}, 1),
        ({"key": "t", "match": {"except": ["x"]}}, 1),
        ({"key": "n", "match": {"value": 1}}, 1),
        ({"key": "n", "match": {"value": "1"}}, 0),
        ({"key": "n", "range": {"gte": 1, "lt": 3}}, 2),
        ({"key": "d", "range": {"gt": "2026-01-01T00:00:00Z"}}, 1),
        ({"is_empty": {"key": "d"}}, 2),
        ({"is_null": {"key": "o"}}, 1),
        ({"key": "l", "values_count": {"gte": 2}}, 1),
        ({"has_id": [_A, _B]}, 2),
        ({"nested": {"key": "q", "filter": {"must": [{"key": "r", "match": {"value": 5}}]}}}, 1),
        ({"should": [{"key": "n", "match": {"value": 1}}, {"key": "n", "match": {"value": 2}}]}, 2),
        ({"must_not": [{"key": "t", "match": {"value": "x"}}]}, 1),
        (
            {
                "min_should": {
                    "conditions": [
                        {"key": "t", "match": {"value": "x"}},
                        {"key": "n", "match": {"value": 1}},
                        {"key": "n", "match": {"value": 3}},
                    ],
                    "min_count": 2,
                }
            },
            1,
        ),
    ],
)
def test_filters_mean_what_they_say(
    http: httpx.Client, points: str, condition: dict[str, Any], count: int
) -> None:
    _upsert(
        http,
        points,
        _point(_A, t="x", n=1, d="2026-02-01T00:00:00Z", l=[1, 2]),
        _point(_B, t="x", n=2, o=None, l=[1]),
        _point(_C, t="y", n=3, q=[{"r": 5}, {"r": 6}]),
    )
    answer = _counted(http, points, condition)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"] == {"count": count}


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ({"id": _B, "vector": [1.0]}, 400),
        ({"id": _B, "vector": [1.0, 2.0, 3.0]}, 400),
        ({"id": "no uuid", "vector": [1.0, 2.0]}, 400),
        ({"id": -1, "vector": [1.0, 2.0]}, 400),
        ({"id": _B, "vector": {"other": [1.0, 2.0]}}, 501),
        ({"id": _B}, 400),
    ],
)
def test_a_batch_with_one_bad_point_is_refused_as_a_whole(
    http: httpx.Client, points: str, bad: dict[str, Any], status: int
) -> None:
    assert _upsert(http, points, _point(_A), bad).status_code == status
    assert _payloads(http, points, _A) == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/collections/none", None, 404),
        ("PUT", "/collections/none/points", {"points": []}, 404),
        ("POST", "/collections/none/points/query", {"query": [1.0]}, 404),
        ("POST", "/collections/none/points/count", {"filter": {"must": 5}}, 400),
        ("POST", "/collections/none/points/count", {"surprise": 1}, 400),
        ("PUT", "/collections/bad", {"vectors": {"size": "x", "distance": "Cosine"}}, 400),
    ],
)
def test_wrong_requests_are_told_from_absent_things(
    http: httpx.Client, method: str, path: str, body: object, status: int
) -> None:
    answer = http.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["status"]["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/collections/c/points/recommend"),
        ("POST", "/collections/c/points/search"),
        ("PUT", "/collections/c/points/payload"),
        ("POST", "/collections/c/points/batch"),
        ("POST", "/collections/c/facet"),
        ("PATCH", "/collections/c"),
        ("GET", "/collections/c/snapshots"),
        ("POST", "/collections/aliases"),
        ("GET", "/cluster"),
        ("GET", "/telemetry"),
    ],
)
def test_a_call_that_it_does_not_know_is_501_with_its_name(
    http: httpx.Client, method: str, path: str
) -> None:
    answer = http.request(method, path, json={})
    assert answer.status_code == 501
    assert f"{method} {path}" in answer.json()["status"]["error"]


@pytest.mark.parametrize(
    ("call", "body", "name"),
    [
        ("/count", {"filter": {"must": [{"key": "b", "match": {"value": True}}]}}, "boolean"),
        ("/count", {"filter": {"must_not": [{"key": "b", "match": {"value": False}}]}}, "boolean"),
        ("/count", {"filter": {"must": [{"key": "t", "match": {"prefix": "x"}}]}}, "MatchPrefix"),
        (
            "/count",
            {
                "filter": {
                    "must": [
                        {"key": "g", "geo_radius": {"center": {"lat": 1, "lon": 1}, "radius": 1}}
                    ]
                }
            },
            "geo_radius",
        ),
        ("/query", {"query": [1.0, 0.0], "using": "other"}, "using"),
        ("/query", {"query": {"fusion": "rrf"}, "prefetch": [{"query": [1.0, 0.0]}]}, "prefetch"),
        ("/query", {"query": {"recommend": {"positive": [1]}}}, "RecommendQuery"),
        ("/query", {"query": _A}, "UUID"),
        ("/scroll", {"order_by": "n"}, "order_by"),
        ("/scroll?shard_key=a", {}, "shard_key"),
    ],
)
def test_a_part_of_a_call_that_it_does_not_know_is_501_with_its_name(
    http: httpx.Client, points: str, call: str, body: dict[str, Any], name: str
) -> None:
    answer = http.post(f"{points}{call}", json=body)
    assert answer.status_code == 501, answer.text
    assert name in answer.json()["status"]["error"]


def test_a_collection_that_it_could_not_serve_rightly_is_501(http: httpx.Client) -> None:
    for wanted in (
        {"vectors": {"named": {"size": 2, "distance": "Dot"}}},
        {"vectors": {"size": 2, "distance": "Dot"}, "sparse_vectors": {"s": {}}},
        {"vectors": {"size": 2, "distance": "Dot", "datatype": "uint8"}},
        {},
    ):
        assert http.put("/collections/never", json=wanted).status_code == 501
    assert http.get("/collections/never").status_code == 404
