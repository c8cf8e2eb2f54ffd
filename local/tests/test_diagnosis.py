import json
from pathlib import Path

import pytest
from stand_ins import program

from kartoteka_local.diagnosis import diagnose
from kartoteka_local.last_words import last_words

ROOM = 1 << 40


def test_a_full_disk_is_recognised_though_nothing_could_be_logged(tmp_path: Path) -> None:
    child = program(tmp_path, "kafka", data=tmp_path / "data")
    found = diagnose(child, 1, (), free=1000)
    assert "Free some space" in found.advice


@pytest.mark.parametrize(
    ("words", "advice", "hopeless"),
    [
        pytest.param(
            "java.net.BindException: Address already in use",
            "KARTOTEKA_TEST_PORT",
            False,
            id="a taken port names its setting",
        ),
        pytest.param(
            "java.io.IOException: No space left on device",
            "Free some space",
            False,
            id="a full disk",
        ),
        pytest.param(
            "Wrong settings:\n  KAFKA_X: must be y",
            "Correct the settings",
            True,
            id="settings that only a person can correct",
        ),
        pytest.param(
            "RuntimeException: Error: node ID not found in /k",
            "looks damaged",
            True,
            id="a damaged Kafka folder",
        ),
        pytest.param(
            "it does not start: /q is damaged: it has 1 points",
            "looks damaged",
            True,
            id="a damaged Qdrant folder",
        ),
        pytest.param("java.lang.OutOfMemoryError", "EMBEDDERS=1", False, id="too little memory"),
        pytest.param("nothing that anybody knows", "Bring a spoon.", False, id="unknown"),
    ],
)
def test_last_words_become_advice(
    tmp_path: Path,
    words: str,
    advice: str,
    hopeless: bool,  # noqa: FBT001 - a parameter
) -> None:
    child = program(tmp_path, "kafka", data=tmp_path / "data")
    found = diagnose(child, 1, tuple(words.splitlines()), free=ROOM)
    assert advice in found.advice
    assert found.hopeless is hopeless


def test_advice_on_a_damaged_folder_deletes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    found = diagnose(program(tmp_path, "kafka", data=data), 1, ("the log is corrupt",), free=ROOM)
    assert f"mv {data} {data}.damaged" in found.advice
    assert "rm " not in found.advice


def test_a_child_with_data_is_never_left_without_advice_on_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    found = diagnose(program(tmp_path, "kafka", data=data), 1, ("who knows",), free=ROOM)
    assert "If its last lines name no other reason" in found.advice
    assert f"mv {data} {data}.damaged" in found.advice
    assert not found.hopeless


def test_last_words_are_reasons_not_places(tmp_path: Path) -> None:
    log = tmp_path / "log"
    frames = "\n".join(f"\tat java.base/java.util.A.b{n}(A.java:{n})" for n in range(50))
    log.write_text(f"old\nERROR it is broken\n{frames}\n\t... 14 more\n", encoding="utf-8")
    assert last_words(log) == ("old", "ERROR it is broken")
    assert last_words(log, since=4) == ("ERROR it is broken",)


def test_last_words_of_structured_logs_can_be_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = {
        "event": "worker_failed",
        "logger": "embedder.worker",
        "level": "critical",
        "timestamp": "2026-01-02T03:04:05Z",
        "topic": "documents.bulk",
        "exception": "Traceback (most recent call last):\n  File x\nNameError: no such name",
    }
    log.write_text(f"{json.dumps(line)}\n{{not json\n", encoding="utf-8")
    assert last_words(log) == (
        "2026-01-02T03:04:05Z critical worker_failed topic=documents.bulk NameError: no such name",
        "{not json",
    )
