import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from ingest_api.domain.access import Scope
from kartoteka_contracts.envelope import Envelope
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import CabinetId, document_id

World = Any  # the fixture's class; test modules cannot import conftest
Upload = Callable[..., Awaitable[httpx.Response]]
JOBS = "documents.interactive"
FILE_BYTES = 200_000
BATCH = "/rag/add-documents-batch"


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["instance"].endswith(answer.headers["x-request-id"])
    return answer.status_code, problem["code"]


def files(*named: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", one) for one in named]


async def test_202_means_that_body_record_and_event_are_there(world: World, upload: Upload) -> None:
    content = b"# Title\n\nWords.\n" * 100
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    world.client.headers["traceparent"] = trace
    answer = await upload(world, "notes.md", content, metadata='{"year": 2026}')
    assert answer.status_code == 202
    accepted = answer.json()
    document = document_id(CabinetId(1), "notes.md")
    assert accepted == {
        "status": "queued",
        "task_id": accepted["task_id"],
        "document_id": document,
        "version": accepted["version"],
        "replaces": None,
        "filename": "notes.md",
    }
    assert answer.headers["location"] == f"/rag/task/{accepted['task_id']}"
    [record] = await world.records()
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    assert (record.size, record.media_type) == (len(content), "text/markdown")
    assert record.metadata == {"year": 2026}
    assert await world.objects.read(record.body_key) == content
    [job] = world.log.on(JOBS)
    assert job.key == f"1/{document}"
    assert job.event == DocumentSubmitted.of(record)
    assert Envelope.from_headers(job.headers).traceparent == trace
    assert Envelope.from_headers(job.headers).event_id


async def test_the_same_name_again_is_a_new_version_of_the_same_document(
    world: World, upload: Upload
) -> None:
    first = (await upload(world, "a.txt", b"one")).json()
    second = (await upload(world, "a.txt", b"two")).json()
    assert second["document_id"] == first["document_id"]
    assert second["version"] > first["version"]
    assert second["replaces"] == first["version"]
    assert second["task_id"] != first["task_id"]


async def test_uploads_of_one_name_at_once_get_versions_of_their_own(
    world: World, upload: Upload
) -> None:
    answers = await asyncio.gather(
        *(upload(world, "a.txt", f"text {n}".encode()) for n in range(8))
    )
    assert len({answer.json()["version"] for answer in answers}) == 8
    assert len(await world.records()) == 8
    assert len(world.log.on(JOBS)) == 8


async def test_a_cabinet_is_announced_once_and_before_its_first_event(
    world: World, upload: Upload
) -> None:
    for cabinet in ("1", "1", "2"):
        await upload(world, cabinet_id=cabinet)
    assert [(record.topic, record.key.split("/")[0]) for record in world.log.appended] == [
        ("cabinets", "1#seen"),
        (JOBS, "1"),
        (JOBS, "1"),
        ("cabinets", "2#seen"),
        (JOBS, "2"),
    ]


async def test_an_external_id_names_the_document(world: World, upload: Upload) -> None:
    answer = (await upload(world, "v2.txt", external_id="contracts/17")).json()
    assert answer["document_id"] == document_id(CabinetId(1), "contracts/17")
    assert answer["filename"] == "v2.txt"


async def test_the_cabinet_may_come_as_a_query_parameter(world: World) -> None:
    answer = await world.client.post(
        "/rag/add-document?cabinet_id=5", files={"file": ("a.txt", b"x")}
    )
    assert answer.status_code == 202
    assert (await world.records())[0].cabinet_id == 5


def form(*parts: tuple[str, str | None, bytes]) -> dict[str, Any]:
    """Return a request's content with the parts in just this order."""
    body = b""
    for name, filename, content in parts:
        tail = "" if filename is None else f'; filename="{filename}"'
        body += f'--b\r\nContent-Disposition: form-data; name="{name}"{tail}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return {
        "content": body + b"--b--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=b"},
    }


async def test_fields_may_come_after_a_file_that_can_be_held(world: World) -> None:
    sent = form(
        ("file", "a.txt", b"hello"),
        ("external_id", None, b"x"),
        ("metadata", None, b'{"a": 1}'),
        ("cabinet_id", None, b"3"),
    )
    answer = await world.client.post("/rag/add-document", **sent)
    assert answer.status_code == 202
    [record] = await world.records()
    assert (record.cabinet_id, record.external_id, record.metadata) == (3, "x", {"a": 1})


async def test_an_external_id_after_a_stored_file_is_refused(world: World) -> None:
    sent = form(
        ("cabinet_id", None, b"3"), ("file", "a.txt", b"hello"), ("external_id", None, b"x")
    )
    answer = await world.client.post("/rag/add-document", **sent)
    assert code_of(answer) == (422, "invalid_request")
    assert "before the file" in answer.json()["detail"]
    assert await world.stored() == {}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([("cabinet_id", None, b"1")], (422, "missing_file"), id="no-file"),
        pytest.param(
            [("cabinet_id", None, b"1"), ("file", None, b"x")],
            (422, "missing_file"),
            id="file-without-a-name",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("file", "", b"")],
            (422, "missing_file"),
            id="nothing-chosen",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("doc", "a.txt", b"x")],
            (422, "missing_file"),
            id="other-field",
        ),
        pytest.param([("file", "a.txt", b"x")], (422, "invalid_request"), id="no-cabinet"),
        pytest.param(
            [("cabinet_id", None, b"0"), ("file", "a.txt", b"x")],
            (422, "invalid_request"),
            id="cabinet-zero",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("cabinet_id", None, b"2"), ("file", "a.txt", b"x")],
            (422, "invalid_request"),
            id="two-cabinets",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("file", "a.txt", b"")], (422, "empty_file"), id="empty"
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("file", "a\x01.txt", b"x")],
            (422, "invalid_name"),
            id="control-character",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("file", "x" * 256, b"x")],
            (422, "invalid_name"),
            id="long-name",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("metadata", None, b"[]"), ("file", "a.txt", b"x")],
            (422, "invalid_metadata"),
            id="metadata-list",
        ),
        pytest.param(
            [
                ("cabinet_id", None, b"1"),
                ("file", "a.txt", b"x"),
                ("metadata", None, b'"' + b"x" * 70_000),
            ],
            (422, "invalid_metadata"),
            id="metadata-too-large",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("file", "a", b"x"), ("file", "b", b"x")],
            (422, "invalid_request"),
            id="two-files",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), ("file", "a", b"x" * (FILE_BYTES + 1))],
            (413, "upload_too_large"),
            id="too-large",
        ),
        pytest.param(
            [("cabinet_id", None, b"1"), *[("x", None, b"y")] * 60],
            (413, "too_many_parts"),
            id="too-many-parts",
        ),
        pytest.param(
            [("cabinet_id", None, b"1" * 5000), ("file", "a", b"x")],
            (422, "invalid_request"),
            id="long-field",
        ),
    ],
)
async def test_a_form_that_cannot_be_accepted_leaves_nothing(
    world: World, parts: list[tuple[str, str | None, bytes]], expected: tuple[int, str]
) -> None:
    answer = await world.client.post("/rag/add-document", **form(*parts))
    assert code_of(answer) == expected
    assert await world.stored() == {}
    assert world.log.appended == []
    assert world.gate.uploads == 0


async def test_no_form_is_no_upload(world: World) -> None:
    answer = await world.client.post("/rag/add-document", json={"cabinet_id": 1})
    assert code_of(answer) == (422, "invalid_request")


async def test_a_size_that_is_announced_too_large_is_refused_without_a_look_at_it(
    world: World,
) -> None:
    answer = await world.client.post(
        "/rag/add-document",
        content=b"no form at all",
        headers={"content-length": "3000000", "content-type": "multipart/form-data; boundary=b"},
    )
    assert code_of(answer) == (413, "upload_too_large")


async def test_a_batch_gives_every_file_its_own_fate(world: World) -> None:
    answer = await world.client.post(
        BATCH,
        data={"cabinet_id": "1", "metadata": '{"a": 1}'},
        files=files(
            ("one.txt", b"1"),
            ("empty.txt", b""),
            ("big.txt", b"x" * (FILE_BYTES + 1)),
            ("bad\u2028name.txt", b"x"),
            ("one.txt", b"again"),
            ("dir/two.txt", b"2"),
        ),
    )
    assert answer.status_code == 202
    body = answer.json()
    assert body["status"] == "queued"
    found = [entry.get("error", {}).get("code") or entry["filename"] for entry in body["tasks"]]
    assert found == [
        "one.txt",
        "empty_file",
        "upload_too_large",
        "invalid_name",
        "duplicate_name",
        "two.txt",
    ]
    records = await world.records()
    assert {record.filename for record in records} == {"one.txt", "two.txt"}
    assert {record.metadata["a"] for record in records} == {1}
    assert len(world.log.on(JOBS)) == 2
    assert len(await world.stored()) == 4


async def test_a_batch_whose_cabinet_comes_last_is_accepted(world: World) -> None:
    sent = form(("files", "a", b"x"), ("files", "b", b"y"), ("cabinet_id", None, b"1"))
    answer = await world.client.post(BATCH, **sent)
    assert [entry["filename"] for entry in answer.json()["tasks"]] == ["a", "b"]


async def test_a_batch_that_breaks_off_leaves_nothing(world: World) -> None:
    sent = form(("cabinet_id", None, b"1"), ("files", "a", b"x" * 9000), ("files", "b", b"y"))
    sent["content"] = sent["content"][:-6]
    answer = await world.client.post(BATCH, **sent)
    assert code_of(answer) == (422, "invalid_request")
    assert await world.stored() == {}
    assert world.log.appended == []


async def test_a_batch_of_too_many_files_leaves_nothing(world: World) -> None:
    many = files(*((f"{n}.txt", b"x") for n in range(21)))
    answer = await world.client.post(BATCH, data={"cabinet_id": "1"}, files=many)
    assert code_of(answer) == (413, "too_many_parts")
    assert await world.stored() == {}


async def test_a_broker_that_is_away_is_told_before_the_body_is_read(
    world: World, upload: Upload
) -> None:
    world.log.trouble = "no broker answers"
    answer = await upload(world)
    assert code_of(answer) == (503, "event_log_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert await world.stored() == {}


async def test_an_event_without_acknowledgement_is_503_and_keeps_the_record(
    world: World, upload: Upload
) -> None:
    world.log.silent = True
    answer = await upload(world)
    assert code_of(answer) == (503, "event_log_unavailable")
    assert "retry-after" in answer.headers
    [record] = await world.records()
    assert await world.objects.read(record.body_key) == b"hello"


async def test_a_batch_of_which_nothing_was_acknowledged_is_503(world: World) -> None:
    world.log.silent = True
    answer = await world.client.post(
        BATCH, data={"cabinet_id": "1"}, files=files(("a", b"x"), ("b", b"y"))
    )
    assert code_of(answer) == (503, "event_log_unavailable")


async def test_too_many_uploads_at_once_are_refused_with_retry_after(
    world: World, upload: Upload
) -> None:
    with world.gate.admitted(9_999_999):
        answer = await upload(world)
    assert code_of(answer) == (503, "overloaded")
    assert "retry-after" in answer.headers


async def test_a_slow_body_is_cut_off_and_leaves_nothing(world: World) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield form(("cabinet_id", None, b"1"), ("file", "a", b"x" * 9000))["content"][:5000]
        await asyncio.sleep(30)

    answer = await world.client.post(
        "/rag/add-document",
        content=slowly(),
        headers={"content-type": "multipart/form-data; boundary=b", "transfer-encoding": "chunked"},
    )
    assert code_of(answer) == (408, "receive_timeout")
    assert await world.stored() == {}


@pytest.mark.parametrize("path", ["/rag/add-document", BATCH])
async def test_without_a_good_key_nothing_is_read(world: World, path: str) -> None:
    del world.client.headers["X-API-Key"]
    for headers in ({"X-API-Key": ""}, {"X-API-Key": "ktk_no_no"}, {"Authorization": "Bearer x"}):
        answer = await world.client.post(path, headers=headers)
        assert code_of(answer) == (401, "unauthenticated")
        assert "www-authenticate" in answer.headers


async def test_a_bearer_token_is_as_good(world: World, upload: Upload) -> None:
    token = world.client.headers.pop("X-API-Key")
    world.client.headers["Authorization"] = f"Bearer {token}"
    assert (await upload(world)).status_code == 202


async def test_a_key_works_for_its_scopes_and_cabinets_only(world: World, upload: Upload) -> None:
    world.client.headers["X-API-Key"] = world.new_key(Scope.SEARCH)
    assert code_of(await upload(world)) == (403, "forbidden")
    world.client.headers["X-API-Key"] = world.new_key(Scope.INGEST, cabinets=(2,))
    assert code_of(await upload(world)) == (403, "forbidden")
    assert await world.stored() == {}
    assert (await upload(world, cabinet_id="2")).status_code == 202


async def test_a_foreign_cabinet_answers_as_one_that_does_not_exist(
    world: World, upload: Upload
) -> None:
    await upload(world, cabinet_id="3")
    world.client.headers["X-API-Key"] = world.new_key(Scope.INGEST, cabinets=(2,))
    foreign = (await upload(world, cabinet_id="3")).json()
    unknown = (await upload(world, cabinet_id="4")).json()
    for answer in (foreign, unknown):
        del answer["instance"]
        answer["detail"] = answer["detail"].replace("3", "N").replace("4", "N")
    assert foreign == unknown
