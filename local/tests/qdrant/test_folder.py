"""What becomes of the data folder: kills, damage, a second process, the key."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kartoteka_local.qdrant.settings import EmbeddedQdrantSettings
from kartoteka_testkit.qdrant_facade import FacadeEndedError, QdrantFacade, qdrant_facade

pytestmark = pytest.mark.integration

_COLLECTION = "/collections/kept"
_DIMENSION = 16


@pytest.fixture
def facade(tmp_path: Path) -> Iterator[QdrantFacade]:
    with qdrant_facade(tmp_path, flush_seconds=3600) as running:
        created = {"vectors": {"size": _DIMENSION, "distance": "Cosine"}}
        httpx.put(f"{running.url}{_COLLECTION}", json=created).raise_for_status()
        yield running


def _write(facade: QdrantFacade, first: int, last: int) -> None:
    vector = [1.0] * _DIMENSION
    points = [{"id": n, "vector": vector, "payload": {"n": n}} for n in range(first, last)]
    body = {"points": points}
    httpx.put(f"{facade.url}{_COLLECTION}/points?wait=true", json=body).raise_for_status()


def _delete_below(facade: QdrantFacade, n: int) -> None:
    body = {"filter": {"must": [{"key": "n", "range": {"lt": n}}]}}
    httpx.post(f"{facade.url}{_COLLECTION}/points/delete", json=body).raise_for_status()


def _count(facade: QdrantFacade) -> int:
    answer = httpx.post(f"{facade.url}{_COLLECTION}/points/count", json={"exact": True})
    found: int = answer.raise_for_status().json()["result"]["count"]
    return found


def _lose(facade: QdrantFacade) -> None:
    """Take what the engine opens without, silently: its segments, and the log to make them from."""
    shard = facade.data / "collections" / "kept" / "shard"
    for name in ("segments", "wal"):
        shutil.rmtree(shard / name)


def test_writes_and_deletes_survive_a_kill_before_any_flush(facade: QdrantFacade) -> None:
    _write(facade, 0, 500)
    index = {"field_name": "n", "field_schema": "integer"}
    httpx.put(f"{facade.url}{_COLLECTION}/index", json=index).raise_for_status()
    _delete_below(facade, 100)
    facade.kill()
    facade.start()
    assert _count(facade) == 400
    described = httpx.get(f"{facade.url}{_COLLECTION}").json()["result"]
    assert described["payload_schema"]["n"]["data_type"] == "integer"
    facade.kill()
    facade.start()
    assert _count(facade) == 400


def test_a_stop_flushes_and_ends_with_0(facade: QdrantFacade) -> None:
    _write(facade, 0, 10)
    assert facade.stop() == 0
    facade.start()
    assert _count(facade) == 10


def test_missing_points_after_a_clean_stop_are_refused_with_what_to_do(
    facade: QdrantFacade,
) -> None:
    _write(facade, 0, 500)
    facade.stop()
    _lose(facade)
    with pytest.raises(FacadeEndedError) as ended:
        facade.start()
    message = str(ended.value)
    assert "kept is damaged" in message
    assert "it has 0 points and must have 500" in message
    assert f"mv {facade.data} {facade.data}.damaged" in message
    assert "delete" not in message.replace("Nothing was deleted", "")
    assert "Traceback" not in message


def test_missing_points_after_a_kill_are_refused_too(facade: QdrantFacade) -> None:
    _write(facade, 0, 500)
    facade.stop()
    facade.start()
    _write(facade, 500, 600)
    _delete_below(facade, 50)
    facade.kill()
    _lose(facade)
    with pytest.raises(FacadeEndedError, match="it has 0 points and must have at least 450"):
        facade.start()


def test_segments_that_the_log_still_holds_are_made_again(facade: QdrantFacade) -> None:
    _write(facade, 0, 500)
    facade.stop()
    shutil.rmtree(facade.data / "collections" / "kept" / "shard" / "segments")
    facade.start()
    assert _count(facade) == 500


@pytest.mark.parametrize("content", [None, b"{garbage"], ids=["gone", "garbage"])
def test_a_broken_description_is_refused(facade: QdrantFacade, content: bytes | None) -> None:
    facade.stop()
    path = facade.data / "collections" / "kept" / "kartoteka-meta.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(FacadeEndedError, match="is damaged"):
        facade.start()


def test_what_the_engine_cannot_open_is_refused(facade: QdrantFacade) -> None:
    _write(facade, 0, 10)
    facade.stop()
    (state,) = (facade.data / "collections" / "kept").rglob("segment.json")
    state.write_bytes(b"{garbage")
    with pytest.raises(FacadeEndedError, match="is damaged") as ended:
        facade.start()
    assert "Traceback" not in str(ended.value)


def test_a_creation_that_never_finished_is_undone(facade: QdrantFacade) -> None:
    facade.stop()
    half = facade.data / "collections" / "half"
    half.mkdir()
    (half / "unfinished").touch()
    facade.start()
    assert not half.exists()
    assert _count(facade) == 0


def test_a_second_process_on_the_folder_refuses_and_the_first_serves_on(
    facade: QdrantFacade, tmp_path: Path
) -> None:
    second = QdrantFacade(data=facade.data, log=tmp_path / "second.log")
    with pytest.raises(FacadeEndedError, match="another process serves"):
        second.start()
    assert _count(facade) == 0


def test_a_taken_port_is_said_plainly(facade: QdrantFacade, tmp_path: Path) -> None:
    second = QdrantFacade(data=tmp_path / "other", log=tmp_path / "second.log", port=facade.port)
    with pytest.raises(FacadeEndedError, match="does not start") as ended:
        second.start()
    assert "Traceback" not in str(ended.value)


def test_the_key_is_asked_of_everything_but_the_probes(tmp_path: Path) -> None:
    with qdrant_facade(tmp_path, api_key="secret") as facade:
        assert httpx.get(f"{facade.url}/readyz").status_code == 200
        for headers, status in (
            ({}, 401),
            ({"api-key": "wrong"}, 401),
            ({"api-key": "secret"}, 200),
            ({"Authorization": "Bearer secret"}, 200),
        ):
            answer = httpx.get(f"{facade.url}/collections", headers=headers)
            assert answer.status_code == status


def test_settings_come_from_the_environment() -> None:
    settings = EmbeddedQdrantSettings.load(
        {"EMBEDDED_QDRANT_PORT": "7000", "EMBEDDED_QDRANT_API_KEY": "secret"}
    )
    assert (settings.port, settings.host) == (7000, "127.0.0.1")
    assert settings.api_key is not None
    assert "secret" not in repr(settings)
