from pathlib import Path

import pytest
from stand_ins import program

from kartoteka_local.diagnosis import diagnose


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
            "KafkaException: Failed to read meta.properties",
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
    found = diagnose(child, 1, tuple(words.splitlines()))
    assert advice in found.advice
    assert found.hopeless is hopeless


def test_advice_on_a_damaged_folder_deletes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    found = diagnose(program(tmp_path, "kafka", data=data), 1, ("snapshot is corrupt",))
    assert f"mv {data} {data}.damaged" in found.advice
    assert "rm " not in found.advice
