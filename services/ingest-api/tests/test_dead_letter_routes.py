"""``/rag/dlq``: who sees which letters, and how they are filtered."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from letter_world import LetterWorld, letter_world

from kartoteka_contracts.codec import encode
from kartoteka_testkit.builders import submitted

_HOUR = timedelta(hours=1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LetterWorld]:
    async with letter_world(tmp_path) as served:
        yield served


async def test_a_letter_answers_with_everything_that_is_known_of_it(world: LetterWorld) -> None:
    event = submitted(cabinet=7, external_id="a.pdf")
    letter = await world.dead(event, attempts=4, reason="retries_exhausted", stage="writing")
    answer = await world.get("", "seven")
    assert answer.json() == {
        "letters": [
            {
                "id": letter,
                "cabinet_id": 7,
                "document_id": event.document_id,
                "external_id": "a.pdf",
                "task_id": event.task_id,
                "reason": "retries_exhausted",
                "message": "the file is damaged",
                "stage": "writing",
                "attempts": 4,
                "first_failed_at": "2026-01-02T03:04:05Z",
                "dead_at": "2026-01-02T03:04:05Z",
                "origin": {"topic": "documents.interactive", "partition": 3, "offset": 0},
                "replays": 0,
                "resolution": None,
            }
        ],
        "next_cursor": None,
    }


async def test_one_letter_comes_with_its_raw_record(world: LetterWorld) -> None:
    event = submitted(cabinet=7)
    letter = await world.dead(event)
    found = (await world.get(f"/{letter}", "seven")).json()
    assert json.loads(found["value"]) == json.loads(encode(event))
    assert (found["encoding"], found["size"]) == ("text", len(encode(event)))
    assert found["is_cut"] is False
    assert found["headers"]["x-reason"] == "malformed"
    assert found["headers"]["x-original-topic"] == "documents.interactive"


@pytest.mark.parametrize(
    ("raw", "encoding", "shown"),
    [
        (b"\xff\x00", "base64", base64.b64encode(b"\xff\x00").decode()),
        (b"not json", "text", "not json"),
        ("ä".encode() * 40_000, "text", "ä" * 32_768),
        (b"x" + "ä".encode() * 40_000, "text", "x" + "ä" * 32_767),
        (b"\xff" * 70_000, "base64", base64.b64encode(b"\xff" * 65_536).decode()),
    ],
    ids=["bytes", "text", "long text", "text cut within a character", "long bytes"],
)
async def test_a_raw_value_is_shown_whole_up_to_64_kib(
    world: LetterWorld, raw: bytes, encoding: str, shown: str
) -> None:
    letter = await world.dead(key="7/x", value=raw, stage="decoding")
    found = (await world.get(f"/{letter}")).json()
    assert (found["encoding"], found["value"]) == (encoding, shown)
    assert (found["size"], found["is_cut"]) == (len(raw), len(raw) > 65_536)


async def test_a_letter_that_left_the_topic_says_so(world: LetterWorld) -> None:
    letter = await world.dead(submitted(cabinet=7))
    world.topic.records.clear()
    found = (await world.get(f"/{letter}")).json()
    assert (found["value"], found["headers"], found["reason"]) == (None, {}, "malformed")


async def test_a_key_sees_the_letters_of_its_cabinets_only(world: LetterWorld) -> None:
    seven = await world.dead(submitted(cabinet=7))
    eight = await world.dead(submitted(cabinet=8))
    nobody = await world.dead(key="who knows", value=b"?", stage="decoding")
    by_key = await world.dead(key=submitted(cabinet=7).key, value=b"?", stage="decoding")
    assert await world.ids() == [by_key, nobody, eight, seven]
    assert await world.ids("seven") == [by_key, seven]
    assert await world.ids("eight") == [eight]
    assert await world.ids("all", cabinet_id="8") == [eight]


async def test_a_foreign_letter_is_answered_as_an_unknown_one(world: LetterWorld) -> None:
    letter = await world.dead(submitted(cabinet=7))
    nobody = await world.dead(key="", value=b"?", stage="decoding")
    foreign = await world.get(f"/{letter}", "eight")
    for path in (f"/{nobody}", "/0-99", "/5-0", "/nonsense", "/00-1", "/0--1", "/0-1e3"):
        unknown = await world.get(path, "eight")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found"), path
        assert unknown.json()["detail"] == foreign.json()["detail"]
    assert foreign.status_code == 404


@pytest.mark.parametrize("action", ["replay", "discard"])
async def test_a_foreign_letter_stays_as_it_is(world: LetterWorld, action: str) -> None:
    letter = await world.dead(submitted(cabinet=7))
    done = await world.done(action, "eight", ids=[letter, "0-99"])
    assert [result["error"]["code"] for result in done["results"]] == ["not_found", "not_found"]
    assert (await world.done(action, "eight", filter={}))["counts"]["letters"] == 0
    assert world.log.appended == []
    assert await world.ids() == [letter]


async def test_a_foreign_cabinet_is_refused(world: LetterWorld) -> None:
    assert (await world.get("", "seven", cabinet_id="8")).status_code == 403
    answer = await world.post("discard", "seven", filter={"cabinet_id": 8})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_letters_are_for_keys_that_administer(world: LetterWorld) -> None:
    letter = await world.dead(submitted(cabinet=7))
    answers = [
        await world.get("", "reader"),
        await world.get(f"/{letter}", "reader"),
        await world.post("replay", "reader", ids=[letter]),
        await world.post("discard", "reader", ids=[letter]),
    ]
    assert {answer.status_code for answer in answers} == {403}
    assert (await world.get("", "nobody")).status_code == 401


async def test_lists_are_filtered_by_reason_age_and_state(world: LetterWorld) -> None:
    old = await world.dead(submitted(external_id="a"), age=5 * _HOUR, reason="encrypted")
    new = await world.dead(submitted(external_id="b"), age=_HOUR)
    assert await world.ids(reason="encrypted") == [old]
    assert await world.ids(older_than="2h") == [old]
    assert await world.ids(newer_than="7200s") == [new]
    assert await world.ids(newer_than="2026-01-02T02:00:00Z") == [new]
    assert await world.ids(older_than="2026-01-02T02:00:00+00:00") == [old]
    assert await world.ids(older_than="99999999d") == []
    await world.done("discard", ids=[old])
    assert await world.ids() == [new]
    assert await world.ids(resolved="true") == [old]
    assert await world.ids(resolved="all") == [new, old]


async def test_pages_hold_every_letter_once(world: LetterWorld) -> None:
    ids = [await world.dead(submitted(external_id=str(n))) for n in range(7)]
    found: list[str] = []
    query: dict[str, str] = {}
    while True:
        page = (await world.get("", limit="3", **query)).json()
        found += [letter["id"] for letter in page["letters"]]
        if page["next_cursor"] is None:
            break
        query = {"cursor": page["next_cursor"]}
    assert found == ids[::-1]


@pytest.mark.parametrize(
    "query",
    [
        {"cabinet": "7"},
        {"older": "1d"},
        {"cabinet_id": "x"},
        {"older_than": "1w"},
        {"newer_than": "-1d"},
        {"older_than": "yesterday"},
        {"resolved": "perhaps"},
        {"cursor": "1.x"},
        {"cursor": "1.00-1"},
        {"limit": "0"},
        {"limit": "501"},
    ],
    ids=str,
)
async def test_a_wrong_filter_is_no_filter_that_does_nothing(
    world: LetterWorld, query: dict[str, str]
) -> None:
    answer = await world.get("", **query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": ["0-1"], "filter": {}},
        {"ids": ["0-01"]},
        {"ids": ["x"]},
        {"ids": ["0-1"], "dryrun": True},
        {"filter": {"cabinet": 7}},
        {"filter": {"cabinet_id": True}},
        {"filter": {"older_than": "1w"}},
        {"filter": {}, "limit": 501},
        {"filter": {}, "cursor": "x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("action", ["replay", "discard"])
async def test_a_request_that_is_not_understood_changes_nothing(
    world: LetterWorld, action: str, body: dict[str, Any]
) -> None:
    letter = await world.dead(submitted())
    answer = await world.post(action, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await world.ids() == [letter]
    assert world.log.appended == []


async def test_inner_reasons_are_for_keys_of_all_cabinets(world: LetterWorld) -> None:
    letter = await world.dead(
        submitted(cabinet=7), reason="unexpected", message="KeyError: 'http://10.0.0.1'"
    )
    assert "10.0.0.1" not in (await world.get("", "seven")).text
    assert "10.0.0.1" not in (await world.get(f"/{letter}", "seven")).text
    assert "10.0.0.1" in (await world.get("")).text
    assert "10.0.0.1" in (await world.get(f"/{letter}")).text


async def test_a_view_that_is_behind_does_not_deny_a_letter(world: LetterWorld) -> None:
    world.view.is_behind = True
    answer = await world.get("/0-0")
    assert (answer.status_code, answer.json()["code"]) == (503, "view_behind")
    assert (await world.post("replay", filter={})).status_code == 503
