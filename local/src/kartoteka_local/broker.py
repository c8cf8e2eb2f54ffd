"""The embedded Apache Kafka: one KRaft node on loopback."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from kartoteka_local.aside import indexes_aside
from kartoteka_local.diagnosis import damage_advice
from kartoteka_local.errors import StackError
from kartoteka_local.home import Home
from kartoteka_local.kafka_indexes import damaged_indexes
from kartoteka_local.kraft import java_options, new_cluster_id, server_properties

__all__ = ["Broker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How to format and run it."""

    java: str
    lib: Path
    home: Home
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that runs it."""
        return (*self._java("kafka.Kafka"), str(self._config))

    def prepare(self) -> None:
        """Write its configuration, and format its data folder where that is new.

        Raises:
            StackError: the jars are missing, or the data folder is damaged or cannot be formatted.
        """
        if not any(self.lib.glob("kafka_2.13-*.jar")):
            raise StackError(
                f"Kafka's jars are not in {self.lib}. Run `make run`, which fetches them, or "
                "`python3 local/setup_environment.py`."
            )
        self.check()
        data = self.home.kafka_data
        self.home.kafka.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._config.write_text(self._configuration(), encoding="utf-8")
        if (data / "meta.properties").exists():
            self._check_indexes()
            return
        if data.exists() and any(data.iterdir()):
            raise StackError(self.damaged(f"{data} has no meta.properties"))
        self._format()

    def check(self) -> None:
        """Refuse to go on where the broker has lost track of its own topics.

        Then it starts without an error, and sets the topics' folders aside under another name.

        Raises:
            StackError: it has.
        """
        strays = sorted(folder.name for folder in self.home.kafka_data.glob("*-stray"))
        if strays:
            raise StackError(self.damaged(f"it no longer knows its own {strays[0]}"))

    def _check_indexes(self) -> None:
        wrong = damaged_indexes(self.home.kafka_data)
        if wrong:
            raise StackError(
                f"Kafka cannot go on: {len(wrong)} of its index files are damaged, the first is "
                f"{wrong[0]}.\n{indexes_aside(self.home.kafka_data)}"
            )

    def damaged(self, found: str) -> str:
        """Return that it cannot go on, and what to do."""
        return f"Kafka cannot go on ({found}): " + damage_advice(self.home.kafka_data, self.advice)

    @property
    def advice(self) -> str:
        """What is lost without its data, and what is not."""
        return (
            "Indexed documents stay searchable without Kafka's data, and every uploaded file is "
            f"kept in {self.home.objects}; files that were accepted but not yet indexed must be "
            "uploaded again."
        )

    def _format(self) -> None:
        command = [*self._java("kafka.tools.StorageTool"), "format", "-t", new_cluster_id()]
        done = subprocess.run(
            [*command, "-c", str(self._config)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
            raise StackError(f"Kafka's data folder could not be formatted:\n{tail}")

    def _java(self, main: str) -> tuple[str, ...]:
        return (self.java, *java_options(self.lib), main)

    @property
    def _config(self) -> Path:
        return self.home.kafka / "server.properties"

    def _configuration(self) -> str:
        return server_properties(
            listeners={"PLAINTEXT": self.address},
            controller=f"127.0.0.1:{self.controller_port}",
            data=self.home.kafka_data,
        )
