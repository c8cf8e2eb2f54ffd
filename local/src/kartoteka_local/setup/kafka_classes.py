"""Kafka's classes as the Java machine has them in memory, kept in a file: brokers start in half."""

import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kartoteka_local.kraft import CLASSES, JVM, new_cluster_id, server_properties
from kartoteka_local.setup.stamp import Stamp, digest

__all__ = ["KafkaClasses"]

_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaClasses:
    """The archive of one set of jars. Java leaves out one that does not fit."""

    lib: Path
    java: str

    def ready(self) -> bool:
        """Whether the archive of these very jars is there."""
        return self._stamp().fresh([self._archive])

    def record(self) -> bool:
        """Run a broker to where it answers, end it, and keep its classes; False: it did not work.

        Java writes the archive as it ends.
        """
        with tempfile.TemporaryDirectory(prefix="kartoteka-kafka-") as folder:
            home = Path(folder)
            config, part = home / "server.properties", home / CLASSES
            controller, port = _free_ports()
            config.write_text(
                server_properties(
                    listeners={"PLAINTEXT": f"127.0.0.1:{port}"},
                    controller=f"127.0.0.1:{controller}",
                    data=home / "data",
                ),
                encoding="utf-8",
            )
            java = [self.java, *JVM]
            path = ["-cp", f"{self.lib}/*"]
            tool = [*java, *path, "kafka.tools.StorageTool", "format", "-t", new_cluster_id()]
            formatted = subprocess.run([*tool, "-c", str(config)], capture_output=True, check=False)
            if formatted.returncode != 0:
                return False
            broker = [*java, f"-XX:ArchiveClassesAtExit={part}", *path, "kafka.Kafka", str(config)]
            if not _answered(broker, port) or not part.exists():
                return False
            self._archive.unlink(missing_ok=True)
            self._archive.write_bytes(part.read_bytes())
        self._stamp().set()
        return True

    @property
    def _archive(self) -> Path:
        return self.lib.with_name(CLASSES)

    def _stamp(self) -> Stamp:
        jars = sorted(f"{jar.name} {jar.stat().st_mtime_ns}" for jar in self.lib.glob("*.jar"))
        path = self.lib.with_name(f"{CLASSES}.stamp")
        return Stamp(path=path, inputs=digest(self.java, *JVM, *jars))


def _answered(broker: list[str], port: int) -> bool:
    """Start a broker, wait for its port, and let it end in order."""
    with subprocess.Popen(
        broker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        deadline, is_up = time.monotonic() + _START_SECONDS, False
        while not is_up and process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                is_up = probe.connect_ex(("127.0.0.1", port)) == 0
            time.sleep(0.1)
        process.terminate()
        try:
            process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    return is_up


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
