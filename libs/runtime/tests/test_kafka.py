import pytest
from pydantic import SecretStr

from kartoteka_runtime.env import SettingsError, read, variables
from kartoteka_runtime.kafka import KafkaSettings, client_options
from kartoteka_runtime.logs import LogSettings
from kartoteka_runtime.objects import ObjectStoreSettings
from kartoteka_runtime.producer import ProducerSettings


def test_plain_needs_an_address_only() -> None:
    settings = read(KafkaSettings, {"KAFKA_BOOTSTRAP_SERVERS": "a:1, b:2"})
    assert client_options(settings) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_carries_the_credentials(mechanism: str) -> None:
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": "a:1",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": "hush",
    }
    secret = env["KAFKA_SASL_PASSWORD"]
    options = client_options(read(KafkaSettings, env))
    assert options["sasl_mechanism"] == mechanism
    assert options["sasl_plain_username"] == "me"
    assert options["sasl_plain_password"] == secret
    assert options["ssl_context"].check_hostname


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "no-port"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_USERNAME"),
        ({"KAFKA_SSL_CERTFILE": "/c"}, "KAFKA_SSL_KEYFILE"),
        ({"KAFKA_MIN_INSYNC_REPLICAS": "2"}, "KAFKA_REPLICATION_FACTOR"),
        ({"KAFKA_JOB_PARTITIONS": "0"}, "KAFKA_JOB_PARTITIONS"),
    ],
)
def test_what_cannot_work_is_refused(env: dict[str, str], named: str) -> None:
    base = (
        {"KAFKA_BOOTSTRAP_SERVERS": "a:1"} if env and "KAFKA_BOOTSTRAP_SERVERS" not in env else {}
    )
    with pytest.raises(SettingsError, match=named):
        read(KafkaSettings, base | env)


def test_a_password_is_not_shown() -> None:
    settings = KafkaSettings(bootstrap_servers="a:1", sasl_password=SecretStr("hush-hush"))
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    "fragment", [KafkaSettings, LogSettings, ObjectStoreSettings, ProducerSettings]
)
def test_every_setting_says_what_it_does(fragment: type[KafkaSettings]) -> None:
    assert all(variables(fragment).values())
