"""A broker that is not there, goes away, or insists on TLS and a password."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from kartoteka_testkit.job_stage import JobStage, create_job_topics, until
from kartoteka_testkit.kafka_broker import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SCRIPT = Path(__file__).with_name("recording_worker.py")


@pytest.fixture
async def lonely(tmp_path: Path) -> AsyncIterator[JobStage]:
    """A stage whose broker does not run yet."""
    stage = JobStage(KafkaBroker(tmp_path / "kafka"), tmp_path, SCRIPT)
    try:
        yield stage
    finally:
        stage.kill_all()
        await stage.broker.stop()


async def test_a_worker_waits_for_its_broker_and_gets_ready_by_itself(lonely: JobStage) -> None:
    worker = await lonely.worker(is_awaited=False)
    await until(lambda: "waiting" in worker.log.read_text(), seconds=30)
    status, body = await worker.probe("ready")
    assert status == 503
    assert "no answer from Kafka" in body["reasons"]["kafka"]
    assert (await worker.probe("live"))[0] == 200
    await lonely.broker.start()
    await create_job_topics(lonely.broker)
    await until(worker.is_ready, seconds=60)
    await lonely.send(lonely.event("d"))
    await until(lambda: lonely.names("ended") == ["d"])


async def test_work_goes_on_while_the_broker_is_away_and_is_committed_after(
    lonely: JobStage,
) -> None:
    await lonely.broker.start()
    await create_job_topics(lonely.broker)
    worker = await lonely.worker()
    await lonely.send(lonely.event("head", seconds=6), lonely.event("d"))
    await until(lambda: lonely.names("ended") == ["d"])
    lonely.broker.kill()
    await until(lambda: "head" in lonely.names("ended"))
    await asyncio.sleep(6)  # longer than a session
    assert (await worker.probe("live"))[0] == 200
    await lonely.broker.restart()
    await lonely.send(lonely.event("late"))
    await until(lambda: "late" in lonely.names("ended"), seconds=90)
    await until(lonely.is_committed, seconds=60)
    worker.process.must_run()
    assert sorted(lonely.names("began")) == ["d", "head", "late"]


async def test_a_worker_stops_in_bounded_time_while_the_broker_is_away(lonely: JobStage) -> None:
    await lonely.broker.start()
    await create_job_topics(lonely.broker)
    worker = await lonely.worker(WORKER_DRAIN_SECONDS="5")
    await lonely.send(lonely.event("d", seconds=3))
    await until(lambda: lonely.names("began") == ["d"])
    lonely.broker.kill()
    worker.signal(signal.SIGTERM)
    assert await worker.exit_code(seconds=45) in {0, 75}
    assert lonely.names("ended") == ["d"]


async def test_a_worker_joins_over_tls_with_a_password(tmp_path: Path) -> None:
    password = uuid4().hex
    certificate, store = _certificate(tmp_path)
    broker = KafkaBroker(
        tmp_path / "kafka",
        properties=_secure_properties(store),
        extra_listeners=("SECURE",),
        format_arguments=("--add-scram", f"SCRAM-SHA-512=[name=kartoteka,password={password}]"),
    )
    stage = JobStage(broker, tmp_path, SCRIPT)
    try:
        await broker.start()
        await create_job_topics(broker)
        await stage.worker(
            KAFKA_BOOTSTRAP_SERVERS=broker.address("SECURE"),
            KAFKA_SECURITY_PROTOCOL="SASL_SSL",
            KAFKA_SASL_USERNAME="kartoteka",
            KAFKA_SASL_PASSWORD=password,
            KAFKA_SSL_CAFILE=str(certificate),
        )
        await stage.send(stage.event("d"))
        await until(lambda: stage.names("ended") == ["d"])
        await until(stage.is_committed)
    finally:
        stage.kill_all()
        await broker.stop()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, certificate, store = folder / "key.pem", folder / "cert.pem", folder / "store.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=kafka", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *name, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    store.write_text(key.read_text() + certificate.read_text())
    return certificate, store


def _secure_properties(store: Path) -> dict[str, str]:
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"
        ),
        "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": module,
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": str(store),
    }
