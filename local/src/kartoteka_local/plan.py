"""What a stack consists of: every program with its command, settings and port."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kartoteka_local.broker import Broker
from kartoteka_local.errors import StackError
from kartoteka_local.home import Home
from kartoteka_local.outside import Outside, outside_servers
from kartoteka_local.ports import Ports
from kartoteka_local.probes import accepts_connections, answers_ready, is_started
from kartoteka_local.program import Program
from kartoteka_local.settings import Settings
from kartoteka_local.setup.java import find_java

__all__ = ["Plan", "make_plan"]

_LOOPBACK: Final = "127.0.0.1"
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
_PYTHON: Final = (sys.executable, "-u", "-m")
_SEE_LOG: Final = "Its log says more. If it is no setting of yours, please report it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One stack."""

    home: Home
    broker: Broker | None
    """None: a real Kafka takes its place."""
    kafka: Program | None
    qdrant: Program | None
    """None: a real Qdrant takes its place."""
    api: Program
    embedders: tuple[Program, ...]
    scheduler: Program
    env: Mapping[str, str]
    """What all services are given; commands of services run with it."""
    api_url: str
    kafka_address: str
    qdrant_url: str
    outside: tuple[Outside, ...] = ()
    """Servers of others that it uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Addresses:
    api: int
    embedders: tuple[int, ...]
    kafka: str
    qdrant_url: str
    qdrant: int | None


def make_plan(
    settings: Settings, home: Home, *, java: Callable[[Path | None], str | None] = find_java
) -> Plan:
    """Choose ports and write every program down. Starts nothing but ``java -version``.

    Args:
        settings: what the user wants.
        home: where everything lies.
        java: finds one that is new enough, given JAVA_HOME.

    Raises:
        StackError: a port is taken, or Java is missing.
    """
    ports = Ports.load(home)
    broker = None
    if not settings.real.kafka_bootstrap_servers:
        broker = _broker(settings, home, ports, java(settings.real.java_home))
    where = _addresses(settings, ports, broker)
    ports.save(home)
    env = _common(settings, home, where)
    return Plan(
        home=home,
        broker=broker,
        kafka=None if broker is None else _kafka(settings, home, broker),
        qdrant=None if where.qdrant is None else _qdrant(env, home, where.qdrant),
        api=_api(env, settings, home, where),
        embedders=tuple(
            _embedder(env, home, n + 1, port) for n, port in enumerate(where.embedders)
        ),
        scheduler=_scheduler(env, home),
        env=env,
        api_url=_url(settings.stack.api_host, where.api),
        kafka_address=where.kafka,
        qdrant_url=where.qdrant_url,
        outside=outside_servers(settings.real, settings.inherited),
    )


def _addresses(settings: Settings, ports: Ports, broker: Broker | None) -> _Addresses:
    stack, real = settings.stack, settings.real
    qdrant = None
    if real.qdrant_url is None:
        qdrant = ports.take("qdrant", setting="KARTOTEKA_QDRANT_PORT", wanted=stack.qdrant_port)
    embedders = tuple(
        ports.take(
            f"embedder-{n + 1}",
            setting="KARTOTEKA_EMBEDDER_PORT",
            wanted=stack.embedder_port and stack.embedder_port + n,
        )
        for n in range(settings.embedders)
    )
    return _Addresses(
        api=ports.take(
            "ingest-api",
            setting="KARTOTEKA_API_PORT",
            wanted=stack.api_port,
            host=stack.api_host,
        ),
        embedders=embedders,
        kafka=broker.address if broker else real.kafka_bootstrap_servers or "",
        qdrant_url=real.qdrant_url or f"http://{_LOOPBACK}:{qdrant}",
        qdrant=qdrant,
    )


def _broker(settings: Settings, home: Home, ports: Ports, java: str | None) -> Broker:
    if java is None:
        raise StackError(
            "Java 17 or newer is not found. Run `make run`, which installs it or says how, "
            "or set JAVA_HOME; KAFKA_BOOTSTRAP_SERVERS takes a real Kafka instead."
        )
    setting, wanted = "KARTOTEKA_KAFKA_PORT", settings.stack.kafka_port
    return Broker(
        java=java,
        lib=settings.stack.kafka_lib or home.kafka / "lib",
        home=home,
        port=ports.take("kafka", setting=setting, wanted=wanted),
        controller_port=ports.take("kafka-controller", setting=setting, wanted=0),
    )


def _common(settings: Settings, home: Home, where: _Addresses) -> dict[str, str]:
    objects = settings.real.object_store_url or home.objects.as_uri()
    return {
        "MODEL_CACHE": str(home.models),
        **{name: value for name, value in settings.inherited.items() if value},
        "KAFKA_BOOTSTRAP_SERVERS": where.kafka,
        "QDRANT_URL": where.qdrant_url,
        "OBJECT_STORE_URL": objects,
        "EMBEDDINGS_URLS": ",".join(f"http://{_LOOPBACK}:{port}" for port in where.embedders),
        "API_KEYS_FILE": settings.inherited.get("API_KEYS_FILE") or str(home.api_keys),
        "VIEW_PATH": settings.inherited.get("VIEW_PATH") or str(home.view),
    }


def _kafka(settings: Settings, home: Home, broker: Broker) -> Program:
    return Program(
        name="kafka",
        argv=broker.argv,
        env=settings.inherited,
        log=home.log("kafka"),
        probe=accepts_connections(_LOOPBACK, broker.port),
        grace=40.0,
        advice=broker.advice,
        data=home.kafka_data,
        port_setting="KARTOTEKA_KAFKA_PORT",
    )


def _qdrant(env: Mapping[str, str], home: Home, port: int) -> Program:
    return Program(
        name="qdrant",
        argv=(*_PYTHON, "kartoteka_local.qdrant"),
        env={
            **env,
            "EMBEDDED_QDRANT_HOST": _LOOPBACK,
            "EMBEDDED_QDRANT_PORT": str(port),
            "EMBEDDED_QDRANT_DATA": str(home.qdrant),
            "EMBEDDED_QDRANT_API_KEY": env.get("QDRANT_API_KEY", ""),
        },
        log=home.log("qdrant"),
        probe=answers_ready(f"http://{_LOOPBACK}:{port}/readyz"),
        grace=20.0,
        advice=f"Without this folder nothing is searchable, but every uploaded file is kept in "
        f"{home.objects}: upload the documents again.",
        data=home.qdrant,
        port_setting="KARTOTEKA_QDRANT_PORT",
    )


def _api(env: Mapping[str, str], settings: Settings, home: Home, where: _Addresses) -> Program:
    url = _url(settings.stack.api_host, where.api)
    return Program(
        name="ingest-api",
        argv=(*_PYTHON, "ingest_api", "serve"),
        env={**env, "API_HOST": settings.stack.api_host, "API_PORT": str(where.api)},
        log=home.log("ingest-api"),
        probe=answers_ready(f"{url}/healthz/ready"),
        liveness=answers_ready(f"{url}/healthz/live"),
        grace=40.0,
        advice=_SEE_LOG,
        port_setting="KARTOTEKA_API_PORT",
    )


def _embedder(env: Mapping[str, str], home: Home, number: int, port: int) -> Program:
    return Program(
        name=f"embedder-{number}",
        argv=(*_PYTHON, "embedder", "worker"),
        env={**env, "EMBEDDER_HTTP_HOST": _LOOPBACK, "EMBEDDER_HTTP_PORT": str(port)},
        log=home.log(f"embedder-{number}"),
        probe=answers_ready(f"http://{_LOOPBACK}:{port}/healthz/ready"),
        liveness=answers_ready(f"http://{_LOOPBACK}:{port}/healthz/live"),
        grace=75.0,
        advice=_SEE_LOG,
        port_setting="KARTOTEKA_EMBEDDER_PORT",
    )


def _scheduler(env: Mapping[str, str], home: Home) -> Program:
    return Program(
        name="scheduler",
        argv=(*_PYTHON, "scheduler", "loop"),
        # One machine, one scheduler: inside a container of a cluster, too.
        env={"SCHEDULER_LEASE": "off", **env},
        log=home.log("scheduler"),
        probe=is_started(),
        grace=10.0,
        advice=_SEE_LOG,
    )


def _url(host: str, port: int) -> str:
    reached = _LOOPBACK if host in _ANYWHERE else host
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
