"""The archive of Kafka's classes: made once, and nothing depends on it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kartoteka_local.kraft import CLASSES, java_options, new_cluster_id, server_properties
from kartoteka_local.setup.kafka_classes import KafkaClasses
from kartoteka_testkit.kafka_broker import kafka_jars

pytestmark = pytest.mark.integration


def _java() -> str:
    found = shutil.which("java")
    assert found is not None
    return found


@pytest.fixture
def lib(tmp_path: Path) -> Path:
    """A folder of Kafka's jars without an archive beside it."""
    folder = tmp_path / "kafka" / "lib"
    folder.parent.mkdir()
    folder.symlink_to(kafka_jars())
    return folder


def _format(lib: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run something short of Kafka's, saying where classes come from."""
    config = folder / "server.properties"
    config.write_text(
        server_properties(
            listeners={"PLAINTEXT": "127.0.0.1:1"}, controller="127.0.0.1:2", data=folder / "data"
        ),
        encoding="utf-8",
    )
    command = [_java(), *more, *java_options(lib), "kafka.tools.StorageTool", "format"]
    return subprocess.run(
        [*command, "-t", new_cluster_id(), "-c", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_made_once_and_java_takes_kafkas_classes_from_it(lib: Path, tmp_path: Path) -> None:
    classes = KafkaClasses(lib=lib, java=_java())
    assert not classes.ready()
    assert classes.record()
    assert classes.ready()
    said = _format(lib, tmp_path, "-Xlog:class+load").stdout
    loaded = [line for line in said.splitlines() if " kafka.tools.StorageTool" in line]
    assert loaded, said[-1000:]
    assert not KafkaClasses(lib=lib, java="/another/java").ready()


def test_an_archive_that_does_not_fit_changes_nothing(lib: Path, tmp_path: Path) -> None:
    lib.with_name(CLASSES).write_bytes(b"nothing of Java's")
    assert f"-XX:SharedArchiveFile={lib.with_name(CLASSES)}" in java_options(lib)
    done = _format(lib, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_java_that_cannot_is_told_apart(lib: Path) -> None:
    assert not KafkaClasses(lib=lib, java="/bin/false").record()
    assert not lib.with_name(CLASSES).exists()
