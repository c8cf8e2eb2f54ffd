"""TLS and SASL against a broker that insists on both."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.producer import Producer, ProducerSettings
from kartoteka_runtime.topics_admin import check
from kartoteka_testkit.eventually import eventually
from kartoteka_testkit.kafka_broker import KafkaBroker
from kartoteka_testkit.kafka_topics import make_topic, read_all

pytestmark = pytest.mark.integration

USER = "kartoteka"


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate of 127.0.0.1; return it, and a PEM key store with it."""
    key, cert, store = folder / "key.pem", folder / "cert.pem", folder / "store.pem"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=kafka", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*new, *name, "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    store.write_text(key.read_text() + cert.read_text())
    return cert, store


def properties(store: Path, password: str) -> dict[str, str]:
    modules = "org.apache.kafka.common.security"
    plain = f'{modules}.plain.PlainLoginModule required user_{USER}="{password}";'
    return {
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"
        ),
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.secure.plain.sasl.jaas.config": plain,
        **{
            f"listener.name.secure.scram-sha-{bits}.sasl.jaas.config": (
                f"{modules}.scram.ScramLoginModule required;"
            )
            for bits in (256, 512)
        },
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": str(store),
    }


@pytest.fixture
def password() -> str:
    return uuid4().hex


@pytest.fixture
async def secured(tmp_path: Path, password: str) -> AsyncIterator[tuple[KafkaBroker, Path]]:
    cert, store = certificate(tmp_path)
    scram = [
        argument
        for bits in (256, 512)
        for argument in ("--add-scram", f"SCRAM-SHA-{bits}=[name={USER},password={password}]")
    ]
    broker = KafkaBroker(
        tmp_path / "kafka",
        properties=properties(store, password),
        extra_listeners=("SECURE",),
        format_arguments=tuple(scram),
    )
    await broker.start()
    try:
        yield broker, cert
    finally:
        await broker.stop()


def settings(broker: KafkaBroker, cert: Path | None, password: str, how: str) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {
            "bootstrap_servers": broker.address("SECURE"),
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": how,
            "sasl_username": USER,
            "sasl_password": SecretStr(password),
            "ssl_cafile": cert,
        }
    )


async def test_every_mechanism_works_over_tls_and_nothing_else_gets_in(
    secured: tuple[KafkaBroker, Path], password: str
) -> None:
    broker, cert = secured
    topic = await make_topic(broker.bootstrap_servers)
    mechanisms = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    for mechanism in mechanisms:
        kafka = settings(broker, cert, password, mechanism)
        producer = Producer(kafka, ProducerSettings(), client_id="test")
        await producer.start()
        await producer.send(topic, key="k", value=mechanism.encode())
        await producer.stop()
        assert len(await check(kafka)) > 0  # the topics are missing, but it was let in to see
    values = [record.value.decode() for record in await read_all(broker.bootstrap_servers, topic)]
    assert values == list(mechanisms)
    for wrong in (
        settings(broker, cert, "another password", "SCRAM-SHA-512"),
        settings(broker, None, password, "SCRAM-SHA-512"),  # an authority that nobody trusts
    ):
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(check(wrong), 20)


async def test_a_ca_file_that_is_not_there_is_a_trouble_and_no_crash(tmp_path: Path) -> None:
    kafka = KafkaSettings(
        bootstrap_servers="127.0.0.1:1",
        security_protocol="SSL",
        ssl_cafile=tmp_path / "none.pem",
    )
    producer = Producer(kafka, ProducerSettings(), client_id="test")
    await producer.start()
    await eventually(lambda: "FileNotFoundError" in (producer.trouble or ""))
    await producer.stop()
