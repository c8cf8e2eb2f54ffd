"""Replaying and discarding: what is produced, in which order, and how often."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from letter_world import DLQ, LetterWorld, letter_world

from kartoteka_contracts.codec import encode
from kartoteka_contracts.dead_letter import DeadLetterMark, Resolution
from kartoteka_contracts.events import DocumentDeletionRequested, DocumentSubmitted
from kartoteka_contracts.ids import Epoch, replay_task_id
from kartoteka_testkit.builders import EPOCH, cancellation, deletion, submitted

_BULK = "documents.bulk"
_NOW = int(EPOCH.timestamp() * 1_000_000)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LetterWorld]:
    async with letter_world(tmp_path) as served:
        yield served


async def test_a_replay_is_the_same_work_as_a_new_task(world: LetterWorld) -> None:
    event = submitted(cabinet=7, metadata={"a": [1, "ä"]})
    letter = await world.dead(event)
    done = await world.done("replay", ids=[letter])
    task = replay_task_id(event.task_id, 1)
    assert done == {
        "dry_run": False,
        "counts": {"letters": 1, "done": 1, "failed": 0},
        "results": [{"id": letter, "task_id": task, "error": None}],
        "next_cursor": None,
    }
    sent, mark = world.log.appended
    assert (sent.topic, sent.key) == (_BULK, event.key)
    expected = {"task_id": task, "epoch": _NOW, "replay_of": event.task_id, "replays": 1}
    assert sent.event == event.model_copy(update=expected)
    assert (mark.topic, mark.key, mark.value) == (DLQ, event.key, None)
    assert DeadLetterMark.from_headers(mark.headers) == DeadLetterMark(
        partition=0, offset=0, resolution=Resolution.REPLAYED, task_id=task
    )


async def test_a_replayed_letter_is_listed_as_such_and_not_replayed_again(
    world: LetterWorld,
) -> None:
    event = submitted(cabinet=7)
    letter = await world.dead(event)
    await world.done("replay", ids=[letter])
    task = replay_task_id(event.task_id, 1)
    assert await world.ids() == []
    found = (await world.get(f"/{letter}")).json()
    assert found["resolution"] == {"kind": "replayed", "task_id": task}
    for action in ("replay", "discard"):
        (result,) = (await world.done(action, ids=[letter]))["results"]
        assert (result["error"]["code"], result["task_id"]) == ("dead_letter_resolved", task)
    assert len(world.log.on(_BULK)) == 1


async def test_a_crash_between_work_and_mark_repeats_the_same_task(world: LetterWorld) -> None:
    event = submitted(cabinet=7)
    letter = await world.dead(event)
    await world.done("replay", ids=[letter])
    world.taken = len(world.log.on(DLQ))
    mark = world.topic.records.pop()  # as if it had never been produced
    assert mark.value is None
    await world.catalogue.wipe("log-1")
    world.view = type(world.view)(world)
    await world.view.catch_up()
    world.clock.advance(60)
    assert await world.ids() == [letter]
    await world.done("replay", ids=[letter])
    first, second = (record.event for record in world.log.on(_BULK))
    assert isinstance(first, DocumentSubmitted)
    assert isinstance(second, DocumentSubmitted)
    assert first.task_id == second.task_id
    assert first.epoch < second.epoch


@pytest.mark.parametrize("action", ["replay", "discard"])
async def test_a_dry_run_changes_nothing(world: LetterWorld, action: str) -> None:
    event = submitted(cabinet=7)
    letter = await world.dead(event)
    done = await world.done(action, ids=[letter], dry_run=True)
    assert done["dry_run"] is True
    task = replay_task_id(event.task_id, 1) if action == "replay" else None
    assert done["results"] == [{"id": letter, "task_id": task, "error": None}]
    assert world.log.appended == []
    assert await world.ids() == [letter]


async def test_a_discarded_letter_is_only_marked(world: LetterWorld) -> None:
    letter = await world.dead(submitted(cabinet=7))
    await world.done("discard", ids=[letter])
    (mark,) = world.log.appended
    assert (mark.topic, mark.value) == (DLQ, None)
    assert await world.ids() == []
    resolution = (await world.get(f"/{letter}")).json()["resolution"]
    assert resolution == {"kind": "discarded", "task_id": None}


async def test_work_that_keeps_dying_is_not_replayed_for_ever(world: LetterWorld) -> None:
    event = submitted(cabinet=7)
    for n in range(1, 4):
        letter = await world.dead(event)
        await world.done("replay", ids=[letter])
        again = world.log.on(_BULK)[-1].event
        assert isinstance(again, DocumentSubmitted)
        assert (again.replays, again.replay_of) == (n, event.task_id)
        assert again.task_id == replay_task_id(event.task_id, n)
        event = again
    letter = await world.dead(event)
    (result,) = (await world.done("replay", ids=[letter]))["results"]
    assert result["error"]["code"] == "replay_limit"
    assert await world.ids() == [letter]
    (result,) = (await world.done("replay", ids=[letter], max_replays=4))["results"]
    assert result["error"] is None


async def test_a_replay_stands_above_one_by_a_clock_that_was_ahead(world: LetterWorld) -> None:
    event = submitted(cabinet=7, epoch=Epoch(_NOW + 5))
    letter = await world.dead(event)
    await world.done("replay", ids=[letter])
    again = world.log.on(_BULK)[0].event
    assert isinstance(again, DocumentSubmitted)
    assert again.epoch == _NOW + 6


async def test_fields_of_a_newer_release_survive_a_replay(world: LetterWorld) -> None:
    event = submitted(cabinet=7)
    value = json.dumps(json.loads(encode(event)) | {"colour": "red"}).encode()
    letter = await world.dead(key=event.key, value=value, task_id=event.task_id)
    await world.done("replay", ids=[letter])
    assert json.loads(world.log.on(_BULK)[0].value or b"")["colour"] == "red"


@pytest.mark.parametrize(
    ("origin", "topic"),
    [
        ("documents.interactive", "documents.interactive"),
        (_BULK, _BULK),
        ("documents.retry", _BULK),
        ("cabinets", _BULK),
    ],
)
async def test_what_cannot_be_read_goes_back_unchanged_to_a_job_topic(
    world: LetterWorld, origin: str, topic: str
) -> None:
    letter = await world.dead(key="7/x", value=b"\xffraw", origin_topic=origin, stage="decoding")
    (result,) = (await world.done("replay", ids=[letter]))["results"]
    assert result == {"id": letter, "task_id": None, "error": None}
    sent, mark = world.log.appended
    assert (sent.topic, sent.key, sent.value, sent.headers) == (topic, "7/x", b"\xffraw", ())
    assert mark.topic == DLQ


async def test_deletes_and_cancellations_are_replayed_as_what_they_are(world: LetterWorld) -> None:
    gone = deletion(cabinet=7)
    ended = cancellation(submitted(cabinet=7, external_id="other"))
    letters = [
        await world.dead(key=gone.key, value=encode(gone), task_id=gone.task_id),
        await world.dead(key=ended.key, value=encode(ended), task_id=ended.task_id),
    ]
    await world.done("replay", ids=letters)
    delete, cancel = (record.event for record in world.log.on(_BULK))
    assert isinstance(delete, DocumentDeletionRequested)
    assert (delete.task_id, delete.version) == (replay_task_id(gone.task_id, 1), gone.version)
    assert delete.epoch == _NOW
    assert cancel == ended


async def test_a_letter_without_value_cannot_be_replayed_but_discarded(world: LetterWorld) -> None:
    letter = await world.dead(key="7/x", value=b"", stage="decoding")
    (result,) = (await world.done("replay", ids=[letter]))["results"]
    assert result["error"]["code"] == "dead_letter_without_value"
    assert world.log.appended == []
    assert (await world.done("discard", ids=[letter]))["counts"]["done"] == 1


async def test_without_kafka_nothing_is_marked(world: LetterWorld) -> None:
    letters = [await world.dead(submitted(external_id=str(n))) for n in range(3)]
    world.log.silent = True
    for action in ("replay", "discard"):
        done = await world.done(action, ids=letters)
        assert {r["error"]["code"] for r in done["results"]} == {"event_log_unavailable"}
    world.log.silent = False
    world.topic.is_away = True
    done = await world.done("replay", ids=letters)
    assert done["counts"] == {"letters": 3, "done": 0, "failed": 3}
    assert world.log.appended == []


async def test_filters_take_what_they_say_a_page_at_a_time(world: LetterWorld) -> None:
    wanted = [await world.dead(submitted(cabinet=7, external_id=str(n))) for n in range(5)]
    other = await world.dead(submitted(cabinet=7, external_id="x"), reason="encrypted")
    body: dict[str, Any] = {"filter": {"cabinet_id": 7, "reason": "malformed"}, "limit": 2}
    found: list[str] = []
    while True:
        done = await world.done("replay", "seven", **body)
        found += [result["id"] for result in done["results"]]
        if done["next_cursor"] is None:
            break
        body["cursor"] = done["next_cursor"]
    assert found == wanted[::-1]
    assert await world.ids() == [other]


async def test_an_id_that_is_named_twice_is_one_letter(world: LetterWorld) -> None:
    letter = await world.dead(submitted())
    done = await world.done("replay", ids=[letter, letter])
    assert done["counts"]["letters"] == 1
    assert len(world.log.on(_BULK)) == 1
