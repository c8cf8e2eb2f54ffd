import pytest

from embedder.__main__ import main
from embedder.settings import Settings
from kartoteka_runtime.env import SettingsError

NEEDED = {
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
    "QDRANT_URL": "http://localhost:6333",
    "OBJECT_STORE_URL": "file:///tmp/objects",
}


def test_three_settings_are_enough() -> None:
    settings = Settings.load(NEEDED)
    assert settings.worker.session_timeout_seconds == 15
    assert settings.worker.drain_seconds == 45
    assert settings.retry.max == 3


def test_all_wrong_settings_are_named_at_once() -> None:
    env = NEEDED | {"WORKER_MAX_RUNNING": "many", "RETRY_MAX": "-1", "KAFKA_BOOTSTRAP_SERVERS": ""}
    with pytest.raises(SettingsError) as raised:
        Settings.load(env)
    for name in ("WORKER_MAX_RUNNING", "RETRY_MAX", "KAFKA_BOOTSTRAP_SERVERS"):
        assert name in str(raised.value)


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"WORKER_HEARTBEAT_SECONDS": "6"}, id="heartbeat_too_slow_for_the_session"),
        pytest.param({"WORKER_RESERVED_INTERACTIVE": "64"}, id="nothing_left_for_bulk"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(env: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="WORKER_"):
        Settings.load(NEEDED | env)


def test_the_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    text = capsys.readouterr().out
    for name in ("WORKER_GROUP", "KAFKA_BOOTSTRAP_SERVERS", "MODEL_NAME", "RETRY_MAX"):
        assert name in text


def test_wrong_settings_end_with_advice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    assert main(["worker"]) == 2
    assert "--help" in capsys.readouterr().err
