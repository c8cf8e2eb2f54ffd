"""The set-up's command line."""

import argparse
import fcntl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kartoteka_local.setup.java import JDK, MAVEN, find_java, find_maven
from kartoteka_local.setup.kafka_classes import KafkaClasses
from kartoteka_local.setup.kafka_jars import KafkaJars
from kartoteka_local.setup.model import Model
from kartoteka_local.setup.progress import Progress, SetupError
from kartoteka_local.setup.prometheus import ensure_prometheus
from kartoteka_local.setup.python_environment import PythonEnvironment
from kartoteka_local.setup.settings import SetupSettings
from kartoteka_local.setup.system import require

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up what is missing. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        default="run",
        choices=("run", "test", "lock-kafka"),
        help="run: all that `make run` needs (default); test: what tests need besides; "
        "lock-kafka: write the hashes of the jars that pom.xml brings",
    )
    what = parser.parse_args(arguments).what
    settings = SetupSettings.load()
    progress = Progress(log=settings.home / "logs" / "setup.log")
    try:
        with _alone(settings.home):
            if what == "lock-kafka":
                _lock_kafka(settings, progress)
            else:
                set_up(settings, progress, for_tests=what == "test")
    except SetupError as error:
        print(f"\nThe set-up stopped. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What is done is not done twice: run the same again.", file=sys.stderr)
        return 130
    return 0


def set_up(settings: SetupSettings, progress: Progress, *, for_tests: bool) -> None:
    """Do what is not done yet.

    Raises:
        SetupError: something is missing that cannot be had without the user.
    """
    python = PythonEnvironment(
        root=settings.root,
        env=settings.environment,
        wheels=settings.wheels,
        progress=progress,
    )
    needs_kafka = for_tests or not settings.has_own_kafka
    maven = _java_and_maven(settings, progress) if needs_kafka else None
    if for_tests:
        ensure_prometheus(progress, settings.environment)
    python.prepare(*(("dev.txt", "charts.txt") if for_tests else ("local.txt",)))
    if maven is not None:
        with progress.step("Fetching Apache Kafka's jars by Maven (about 45 MB)"):
            _jars(settings).fetch(maven, progress)
    if needs_kafka:
        _record_classes(settings, progress)
    model = Model(
        cache=settings.home / "models",
        python=python.python,
        lock=settings.root / "requirements" / "local.txt",
        env=settings.environment,
    )
    model.prepare(progress)


def _java_and_maven(settings: SetupSettings, progress: Progress) -> str | None:
    """Return Maven's command where it has work to do."""
    jars_ready = _jars(settings).ready()
    missing = [] if find_java(settings.java_home) else [JDK]
    if not jars_ready and find_maven() is None:
        missing.append(MAVEN)
    if missing:
        require(tuple(missing), progress, settings.environment)
        if find_java(settings.java_home) is None:
            raise SetupError("Java 17 or newer is still not found: set JAVA_HOME to where it is.")
    return None if jars_ready else find_maven()


def _record_classes(settings: SetupSettings, progress: Progress) -> None:
    java = find_java(settings.java_home)
    if java is None:
        return
    classes = KafkaClasses(lib=_jars(settings).lib, java=java)
    if classes.ready():
        return
    with progress.step("Recording Kafka's classes, so that it starts faster"):
        if not classes.record():
            progress.say("    this Java cannot; Kafka starts as it is")


def _lock_kafka(settings: SetupSettings, progress: Progress) -> None:
    maven = find_maven()
    if maven is None:
        require((MAVEN,), progress, settings.environment)
        maven = find_maven() or "mvn"
    count = _jars(settings).lock(maven, progress)
    progress.say(f"{count} jars are locked in local/kafka/SHA256SUMS")


def _jars(settings: SetupSettings) -> KafkaJars:
    kafka = settings.root / "local" / "kafka"
    return KafkaJars(
        lib=settings.home / "kafka" / "lib", pom=kafka / "pom.xml", sums=kafka / "SHA256SUMS"
    )


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the set-up's lock; the kernel frees it with the process.

    Raises:
        SetupError: another set-up holds it, or the folder cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / "setup.lock").open("w")
    except OSError as error:
        raise SetupError(
            f"{home} cannot be written ({error.strerror}). Set KARTOTEKA_HOME to a folder of yours."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(
                "Another set-up of this folder is under way: wait for it, then run the same again."
            ) from None
        yield
