"""Dead letters in the view's file: marks in any order, repetitions, age."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from letter_world import DLQ, dead_letter
from reading_world import Record

from ingest_api.adapters.letter_catalogue import SqliteLetters
from ingest_api.adapters.letter_records import letter_content
from ingest_api.adapters.log_records import BatchBuilder
from ingest_api.adapters.sqlite_catalogue import SqliteCatalogue
from ingest_api.domain.dead_letter import LetterId, Resolved
from ingest_api.letter_ports import LetterQuery
from kartoteka_contracts.codec import encode
from kartoteka_contracts.dead_letter import DeadLetterMark, Resolution
from kartoteka_testkit.builders import EPOCH, cabinet_deletion, deletion, submitted
from kartoteka_testkit.frozen_clock import FrozenClock

_ALL = LetterQuery(cabinets=None, limit=100, is_resolved=None)
_OPEN = LetterQuery(cabinets=None, limit=100)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(EPOCH)


@pytest.fixture
async def catalogue(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[SqliteCatalogue]:
    opened = SqliteCatalogue(tmp_path / "view", clock)
    await opened.open()
    await opened.wipe("log-1")
    yield opened
    await opened.close()


def letter(offset: int, *, origin: int | None = None, days: int = 0, task: str = "") -> Record:
    dead = dead_letter(origin_offset=offset if origin is None else origin, task_id=task)
    at = EPOCH + timedelta(days=days)
    return Record(
        DLQ,
        b"raw",
        offset=offset,
        timestamp=int(at.timestamp() * 1000),
        key=b"7/x",
        headers=tuple(dead.to_headers()),
    )


def mark(of: int, *, offset: int = 99, resolution: Resolution = Resolution.DISCARDED) -> Record:
    headers = DeadLetterMark(partition=0, offset=of, resolution=resolution, task_id="").to_headers()
    return Record(DLQ, None, offset=offset, key=b"7/x", headers=tuple(headers))


async def apply(catalogue: SqliteCatalogue, *records: Record) -> None:
    builder = BatchBuilder()
    for record in records:
        builder.add(record)
    assert not builder.unreadable
    await catalogue.apply(builder.batch({}))


async def ids(catalogue: SqliteCatalogue, query: LetterQuery = _ALL) -> list[int]:
    return [found.id.offset for found in await SqliteLetters(catalogue).letters(query)]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_mark_counts_whichever_comes_first(
    catalogue: SqliteCatalogue, *, at_once: bool
) -> None:
    records = (mark(1), letter(1), letter(2), mark(2))
    if at_once:
        await apply(catalogue, *records)
    else:
        for record in records:
            await apply(catalogue, record)
    assert await ids(catalogue, _OPEN) == []
    assert await ids(catalogue) == [2, 1]


async def test_the_first_mark_of_a_letter_stays(catalogue: SqliteCatalogue) -> None:
    await apply(catalogue, letter(1), mark(1, resolution=Resolution.REPLAYED))
    await apply(catalogue, mark(1, resolution=Resolution.DISCARDED), letter(1))
    found = await SqliteLetters(catalogue).letter(LetterId(0, 1))
    assert found is not None
    assert found.resolved == Resolved(resolution=Resolution.REPLAYED, task_id=None)


async def test_a_record_that_was_buried_twice_is_one_letter(catalogue: SqliteCatalogue) -> None:
    await apply(catalogue, letter(1, origin=5), letter(2, origin=5))
    await apply(catalogue, letter(3, origin=5), letter(4, origin=6), letter(1, origin=5))
    assert await ids(catalogue) == [4, 1]


async def test_another_record_at_the_same_place_is_another_letter(
    catalogue: SqliteCatalogue,
) -> None:
    await apply(catalogue, letter(1, origin=5), letter(2, origin=5, days=2))
    await apply(catalogue, letter(3, origin=5, task="other"))
    assert sorted(await ids(catalogue)) == [1, 2, 3]


async def test_letters_and_marks_leave_with_their_topics_age(
    catalogue: SqliteCatalogue, clock: FrozenClock
) -> None:
    await apply(catalogue, letter(1), letter(2), mark(2), letter(3, days=5))
    clock.advance(31 * 86_400)
    assert await catalogue.purge() == 3
    assert await ids(catalogue) == [3]


def test_a_mark_of_which_nothing_can_be_made_is_left_out() -> None:
    builder = BatchBuilder()
    broken = mark(1)
    broken.headers = tuple(
        (name, b"burnt" if name == "x-resolution" else value) for name, value in broken.headers
    )
    builder.add(broken)
    builder.add(Record(DLQ, b"raw", headers=()))
    assert len(builder.unreadable) == 2
    assert not builder.marks


_DOCUMENT = submitted(cabinet=8).document_id


@pytest.mark.parametrize(
    ("key", "value", "cabinet", "document"),
    [
        ("7/x", None, 7, None),
        ("7", b"{}", 7, None),
        (f"8/{_DOCUMENT}", b"?", 8, _DOCUMENT),
        ("7x/y", b"?", None, None),
        ("0/y", b"?", None, None),
        ("-7/y", b"?", None, None),
        ("\N{ARABIC-INDIC DIGIT SEVEN}/y", b"?", None, None),
        (str(2**53), b"?", None, None),
        ("9" * 30, b"?", None, None),
        ("", b"", None, None),
        ("7/x", encode(cabinet_deletion(cabinet=9)), 9, None),
        ("7/x", encode(deletion(cabinet=8)), 8, _DOCUMENT),
    ],
    ids=lambda value: str(value)[:24],  # without the task id, which is another in each process
)
def test_a_letter_belongs_to_the_cabinet_that_its_value_or_else_its_key_names(
    key: str, value: bytes | None, cabinet: int | None, document: str | None
) -> None:
    told = letter_content(key, value)
    assert (told.cabinet_id, told.document_id) == (cabinet, document)
    assert (told.external_id is not None) == (document is not None and value != b"?")


def test_a_letter_tells_how_often_its_work_was_replayed() -> None:
    event = submitted().model_copy(update={"replays": 2})
    assert letter_content("7/x", encode(event)).replays == 2
