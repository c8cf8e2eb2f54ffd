"""How a single Kafka node without ZooKeeper is run: on loopback, in little memory."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["CLASSES", "JVM", "java_options", "new_cluster_id", "server_properties"]

JVM: Final = (
    "-Xms128m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
"""Options of the Java machine."""

CLASSES: Final = "classes.jsa"
"""Beside the folder of jars: their classes as set-up recorded them, for starts in half the time."""

_PROPERTIES: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "2",
    # The default takes 128 MiB of heap.
    "log.cleaner.dedupe.buffer.size": "4194304",
    # A killed broker may come back only once its old registration has expired.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


def java_options(lib: Path) -> tuple[str, ...]:
    """Return the options of a Java machine that runs what lies in a folder of jars.

    An archive of classes that does not fit this Java or these jars is left out by Java itself.
    """
    archive = lib.with_name(CLASSES)
    shared = (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()
    return (*JVM, *shared, "-cp", f"{lib}/*")


def new_cluster_id() -> str:
    """Return a random cluster id. It begins with a letter: a dash would be taken for an option."""
    return "A" + base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")[1:]


def server_properties(
    *,
    listeners: Mapping[str, str],
    controller: str,
    data: Path,
    more: Mapping[str, str] | None = None,
) -> str:
    """Return the text of server.properties.

    Args:
        listeners: host:port by listener name; clients are told the same addresses.
        controller: host:port of the node's own controller.
        data: the folder of its logs.
        more: added to the properties, or put in their place.
    """
    addresses = ",".join(f"{name}://{address}" for name, address in listeners.items())
    properties = {
        **_PROPERTIES,
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"{addresses},CONTROLLER://{controller}",
        "advertised.listeners": addresses,
        "log.dirs": str(data).replace("\\", "\\\\"),
        **(more or {}),
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())
