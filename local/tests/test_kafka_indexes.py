import os
import struct
from pathlib import Path

import pytest

from kartoteka_local.kafka_indexes import damaged_indexes

OFFSETS = b"".join(struct.pack(">ii", n * 10, n * 4096) for n in range(1, 4))
TIMES = b"".join(struct.pack(">qi", 1_795_000_000_000 + n, n * 10) for n in range(1, 4))
ROOM = bytes(4096)


def segment(data: Path, base: int, *, offsets: bytes = OFFSETS, times: bytes = TIMES) -> Path:
    """Write one segment of 20,000 bytes with its indexes; return the path of its log."""
    log = data / "documents.interactive-0" / f"{base:020}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(bytes(20_000))
    log.with_suffix(".index").write_bytes(offsets)
    log.with_suffix(".timeindex").write_bytes(times)
    return log


def stopped_orderly(data: Path) -> None:
    (data / ".kafka_cleanshutdown").touch()


def test_indexes_as_a_broker_leaves_them_hold(tmp_path: Path) -> None:
    segment(tmp_path, 0)
    segment(tmp_path, 50, offsets=b"", times=b"")
    stopped_orderly(tmp_path)
    assert damaged_indexes(tmp_path) == []


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(os.urandom(1003), id="random, of a size that is none"),
        pytest.param(b"\xff" * 96, id="negative numbers"),
        pytest.param(OFFSETS + OFFSETS, id="offsets that go back"),
        pytest.param(struct.pack(">ii", 1, 30_000), id="a position behind the segment's end"),
        pytest.param(OFFSETS + ROOM, id="entries of nothing"),
    ],
)
def test_garbage_in_an_index_of_offsets_is_found(tmp_path: Path, garbage: bytes) -> None:
    log = segment(tmp_path, 0, offsets=garbage)
    stopped_orderly(tmp_path)
    assert damaged_indexes(tmp_path) == [log.with_suffix(".index")]


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(os.urandom(1003), id="random, of a size that is none"),
        pytest.param(b"\x7f" * 96, id="times far in the future"),
        pytest.param(TIMES + TIMES, id="times that go back"),
    ],
)
def test_garbage_in_an_index_of_times_is_found(tmp_path: Path, garbage: bytes) -> None:
    log = segment(tmp_path, 0, times=garbage)
    stopped_orderly(tmp_path)
    assert damaged_indexes(tmp_path) == [log.with_suffix(".timeindex")]


def test_after_a_kill_only_what_the_broker_will_not_build_anew_is_looked_at(
    tmp_path: Path,
) -> None:
    first = segment(tmp_path, 0, offsets=OFFSETS + ROOM, times=TIMES + ROOM)
    segment(tmp_path, 50, offsets=os.urandom(1003), times=os.urandom(1003))
    assert damaged_indexes(tmp_path) == []
    first.with_suffix(".index").write_bytes(b"\xff" * 96)
    assert damaged_indexes(tmp_path) == [first.with_suffix(".index")]
