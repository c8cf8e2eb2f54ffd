"""How to reach Kafka: one fragment for every client."""

import ssl
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from kartoteka_runtime.env import Fragment

__all__ = ["KafkaSettings", "client_options", "ssl_context"]


class KafkaSettings(Fragment):
    """The broker, and how topics are laid out on it."""

    prefix: ClassVar[str] = "KAFKA_"

    bootstrap_servers: str = Field(pattern=r"^\s*[^\s,:]+:\d+(\s*,\s*[^\s,:]+:\d+)*\s*$")
    """host:port, comma-separated. Two or more outlive the loss of one broker."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Only the SSL ones encrypt."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; read only with a SASL protocol."""
    sasl_username: str | None = None
    """The user; needed with a SASL protocol."""
    sasl_password: SecretStr | None = None
    """Its password; needed with a SASL protocol."""
    ssl_cafile: Path | None = None
    """PEM file of the authority that signed the brokers' certificates; the system's when unset."""
    ssl_certfile: Path | None = None
    """PEM file of our own certificate, where brokers ask for one; goes with KAFKA_SSL_KEYFILE."""
    ssl_keyfile: Path | None = None
    """PEM file of its key, without a password."""
    job_partitions: int = Field(default=24, ge=1, le=1000)
    """Partitions of every job topic: the most workers that can share them. Fixed for life,
    since another count would break the order of each document's work."""
    replication_factor: int = Field(default=1, ge=1, le=9)
    """Copies of each record. 3 in production: with 1, a lost disk is lost work."""
    min_insync_replicas: int = Field(default=1, ge=1, le=9)
    """Copies that must be written before an acknowledgement. 2 in production."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password
        ):
            raise ValueError(
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD must be set with "
                f"KAFKA_SECURITY_PROTOCOL={self.security_protocol}"
            )
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE must be set together")
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError(
                "KAFKA_MIN_INSYNC_REPLICAS must not exceed KAFKA_REPLICATION_FACTOR: "
                "no write could ever be acknowledged"
            )
        return self


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return the TLS context, host names checked, or None where the protocol has no TLS.

    Raises:
        OSError: a named file cannot be read, or is no PEM file (``ssl.SSLError``).
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=settings.ssl_cafile)
    if settings.ssl_certfile is not None:
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    return context


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the connection arguments that every aiokafka client takes.

    Raises:
        OSError: a TLS file cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": [part.strip() for part in settings.bootstrap_servers.split(",")],
        "security_protocol": settings.security_protocol,
        "ssl_context": ssl_context(settings),
    }
    if settings.security_protocol.startswith("SASL"):
        password = settings.sasl_password
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": password.get_secret_value() if password is not None else None,
        }
    return options
