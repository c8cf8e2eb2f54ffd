"""``Idempotency-Key``: however often and wherever a request is sent, it counts once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from submit_world import Replica, Shared, accepted, shared

from kartoteka_contracts.ids import document_id
from kartoteka_testkit.frozen_clock import FrozenClock

REPLAYED = "Idempotency-Replayed"
CALLS = 7
"""Calls to the world that one upload under a key makes: is there a claim? body, is there a claim
now? newest version, claim, record, and the event (the cabinet's first is an eighth)."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Shared]:
    async with shared(tmp_path) as store:
        yield store


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_hundred_at_once_over_two_replicas_are_one_document(world: Shared) -> None:
    pair = (world.replica(), world.replica())
    answers = await asyncio.gather(*(pair[n % 2].upload(b"text") for n in range(100)))
    told = [accepted(answer) for answer in answers]
    assert all(one == told[0] for one in told)
    [record] = await world.records()
    assert (record.task_id, record.version) == (told[0]["task_id"], told[0]["version"])
    assert await world.bodies() == {record.body_key}, "the others' bodies are gone"
    assert [answer.headers.get(REPLAYED) for answer in answers].count("true") == 99
    published = pair[0].published + pair[1].published
    assert {event.task_id for event in published} == {record.task_id}
    assert {event.version for event in published} == {record.version}


async def test_a_repetition_is_answered_the_same_after_any_time_and_restart(world: Shared) -> None:
    first = await world.replica().upload()
    assert REPLAYED not in first.headers
    restarted = world.replica()
    again = await restarted.upload()
    assert accepted(again) == accepted(first)
    assert again.headers[REPLAYED] == "true"
    assert restarted.bodies_written == 0, "it is hashed as it comes, and not stored again"
    assert again.headers["location"] == first.headers["location"]
    assert len(await world.bodies()) == len(await world.records()) == 1


async def test_without_a_key_every_request_counts(world: Shared) -> None:
    replica = world.replica()
    first = accepted(await replica.upload(key=None))
    second = await replica.upload(key=None)
    assert accepted(second)["replaces"] == first["version"]
    assert REPLAYED not in second.headers


@pytest.mark.parametrize(
    "other",
    [
        {"content": b"other bytes"},
        {"name": "b.txt"},
        {"external_id": "b"},
        {"metadata": '{"year": 2026}'},
    ],
    ids=str,
)
async def test_another_request_under_the_same_key_is_refused_and_leaves_nothing(
    world: Shared, other: dict[str, str]
) -> None:
    replica = world.replica()
    first = accepted(await replica.upload())
    bodies = await world.bodies()
    refused = await replica.upload(**other)  # type: ignore[arg-type] # one of them is bytes
    assert code_of(refused) == (422, "idempotency_mismatch")
    assert await world.bodies() == bodies
    assert [record.task_id for record in await world.records()] == [first["task_id"]]
    assert accepted(await replica.upload()) == first


async def test_of_two_different_requests_at_once_one_is_refused_and_leaves_nothing(
    world: Shared,
) -> None:
    pair = (world.replica(), world.replica())
    answers = await asyncio.gather(
        *(pair[n % 2].upload(b"one" if n % 2 else b"other") for n in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [422] * 5
    [record] = await world.records()
    assert await world.bodies() == {record.body_key}


async def test_keys_of_other_callers_and_cabinets_are_other_keys(world: Shared) -> None:
    replica = world.replica()
    first = accepted(await replica.upload())
    theirs = accepted(await replica.upload(b"theirs", api_key="two"))
    elsewhere = accepted(await replica.upload(b"elsewhere", cabinet_id="2"))
    assert len({one["task_id"] for one in (first, theirs, elsewhere)}) == 3


async def test_metadata_counts_by_what_it_says(world: Shared) -> None:
    replica = world.replica()
    first = accepted(await replica.upload(metadata='{"a": 1, "b": {"c": 2, "d": 3}}'))
    again = accepted(await replica.upload(metadata='{"b":{"d":3,"c":2},"a":1}'))
    assert again == first


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tinside", "gr\xfcn"])
async def test_what_is_no_key_is_refused_before_the_body(world: Shared, key: str) -> None:
    replica = world.replica()
    answer = await replica.client.post(
        "/rag/add-document",
        data={"cabinet_id": "1"},
        files={"file": ("a.txt", b"x")},
        headers=[(b"X-API-Key", b"one"), (b"Idempotency-Key", key.encode("latin-1"))],
    )
    assert code_of(answer) == (422, "invalid_request")
    twice = [("X-API-Key", "one"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await replica.client.post("/rag/add-document", headers=twice)
    assert code_of(answer) == (422, "invalid_request")
    assert replica.halt.calls == 0


async def test_the_longest_key_is_one(world: Shared) -> None:
    replica = world.replica()
    first = accepted(await replica.upload(key="~ " * 127 + "x"))
    assert accepted(await replica.upload(key="~ " * 127 + "x")) == first


async def test_each_file_of_a_batch_counts_once(world: Shared) -> None:
    replica = world.replica()
    first = await replica.upload_batch(("a.txt", b"a"), ("b.txt", b"b"))
    assert REPLAYED not in first.headers
    again = await world.replica().upload_batch(("a.txt", b"a"), ("b.txt", b"b"))
    assert accepted(again) == accepted(first)
    assert again.headers[REPLAYED] == "true"
    more = await replica.upload_batch(("b.txt", b"changed"), ("a.txt", b"a"), ("c.txt", b"c"))
    refused, old, new = accepted(more)["tasks"]
    assert refused["error"]["code"] == "idempotency_mismatch"
    assert old == accepted(first)["tasks"][0]
    assert new["document_id"] == document_id(1, "c.txt")  # type: ignore[arg-type] # a cabinet
    assert REPLAYED not in more.headers
    records = await world.records()
    assert len(records) == 3
    assert await world.bodies() == {record.body_key for record in records}


async def calls_of_one(world: Shared) -> int:
    probe = world.replica()
    accepted(await probe.upload(name="probe.txt", key="probe"))
    return probe.halt.calls


async def started(replica: Replica) -> asyncio.Task[httpx.Response]:
    """Send a request to a replica that halts, and wait until it did."""
    request = asyncio.create_task(replica.upload())
    await replica.halt.reached.wait()
    return request


async def given_up(request: asyncio.Task[httpx.Response]) -> None:
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)


@pytest.mark.parametrize("after", range(CALLS + 1))
async def test_killed_before_any_call_the_repetition_finishes_the_same_task(
    world: Shared, after: int
) -> None:
    calls = await calls_of_one(world)
    assert calls == CALLS + 1, "every call is enumerated"
    killed, other = world.replica(halt_after=after), world.replica()
    request = await started(killed)
    claims = await world.objects.keys("idempotency/one/")
    told = accepted(again := await other.upload())
    [record] = [one for one in await world.records() if one.filename == "a.txt"]
    assert (record.task_id, record.version) == (told["task_id"], told["version"])
    assert [event.task_id for event in other.published] == [told["task_id"]]
    assert record.body_key in await world.bodies()
    # What the first one had claimed is what the second one finishes.
    was_claimed = len(claims) == 2
    assert (again.headers.get(REPLAYED) == "true") is was_claimed
    await given_up(request)


@pytest.mark.parametrize("after", range(CALLS + 1))
async def test_suspended_before_any_call_both_answer_the_same(world: Shared, after: int) -> None:
    suspended, other = world.replica(halt_after=after), world.replica()
    request = await started(suspended)
    told = accepted(await other.upload())
    suspended.halt.go_on.set()
    assert accepted(await request) == told
    [record] = await world.records()
    assert await world.bodies() == {record.body_key}
    for replica in (suspended, other):
        assert [event.task_id for event in replica.published] == [record.task_id]


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "suspended"])
@pytest.mark.parametrize("after", range(CALLS + 1))
async def test_another_upload_in_between_takes_the_version_and_no_task_is_doubled(
    tmp_path: Path, after: int, *, is_killed: bool
) -> None:
    # Time stands still, so that both would take the same version.
    async with shared(tmp_path, FrozenClock()) as world:
        halted, other = world.replica(halt_after=after), world.replica()
        request = await started(halted)
        stranger = accepted(await other.upload(b"stranger", key=None))
        told = accepted(await other.upload())
        if is_killed:
            await given_up(request)
        else:
            halted.halt.go_on.set()
            assert accepted(await request) == told
        third = world.replica()
        assert accepted(await third.upload()) == told
        records = {record.version: record.task_id for record in await world.records()}
        assert records == {
            stranger["version"]: stranger["task_id"],
            told["version"]: told["task_id"],
        }
        bodies = {record.body_key for record in await world.records()}
        assert bodies <= await world.bodies()


async def test_a_request_without_acknowledgement_is_finished_by_its_repetition(
    world: Shared,
) -> None:
    replica = world.replica()
    replica.log.silent = True
    assert code_of(await replica.upload()) == (503, "event_log_unavailable")
    replica.log.silent = False
    again = await replica.upload()
    [record] = await world.records()
    assert accepted(again)["task_id"] == record.task_id
    assert [event.task_id for event in replica.published] == [record.task_id]


async def test_a_claim_of_another_release_is_no_licence_to_do_it_twice(world: Shared) -> None:
    replica = world.replica()
    await replica.upload()
    [key] = await world.objects.keys("idempotency/")
    await world.objects.delete([key])
    await world.objects.create(key, b'{"schema_version": 2}')
    assert code_of(await replica.upload()) == (422, "idempotency_mismatch")
    assert len(await world.records()) == 1
