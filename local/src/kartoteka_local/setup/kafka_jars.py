"""Kafka's jars: fetched by Maven once, checked against the locked hashes, then left alone."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kartoteka_local.setup.progress import Progress, SetupError
from kartoteka_local.setup.stamp import Stamp, digest

__all__ = ["KafkaJars"]

_PLUGIN: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaJars:
    """The folder of jars, and the two files that say what belongs in it."""

    lib: Path
    pom: Path
    sums: Path

    def ready(self) -> bool:
        """Whether all jars of this pom are there. Starts nothing, reads no jar."""
        return self._stamp().fresh(self.lib / name for name in self._locked())

    def fetch(self, maven: str, progress: Progress) -> None:
        """Bring the jars into place, all or none.

        Raises:
            SetupError: Maven failed, or brought something else than what is locked.
        """
        part = self.lib.with_name(f"{self.lib.name}.part")
        self._copy(maven, part, progress)
        wrong = _differences(part, self._locked())
        if wrong:
            raise SetupError(
                "Maven brought other jars than those locked in local/kafka/SHA256SUMS:\n"
                + "\n".join(f"    {line}" for line in wrong)
                + "\nNothing was installed. Check where Maven fetches from; if pom.xml was "
                "changed on purpose, run: python3 local/setup_environment.py lock-kafka"
            )
        _remove(self.lib)
        part.replace(self.lib)
        self._stamp().set()

    def lock(self, maven: str, progress: Progress) -> int:
        """Write the hashes of what the pom brings now. Returns how many jars."""
        part = self.lib.with_name(f"{self.lib.name}.part")
        self._copy(maven, part, progress)
        jars = sorted(part.glob("*.jar"))
        lines = [f"{_sha256(jar)}  {jar.name}\n" for jar in jars]
        self.sums.write_text("".join(lines), encoding="utf-8")
        _remove(part)
        return len(jars)

    def _copy(self, maven: str, part: Path, progress: Progress) -> None:
        _remove(part)
        part.parent.mkdir(parents=True, exist_ok=True)
        progress.run(
            [maven, "-B", "-C", "-f", str(self.pom), _PLUGIN, f"-DoutputDirectory={part}"],
            advice="Check that Maven reaches its repository: mvn -version; ~/.m2/settings.xml.",
        )

    def _stamp(self) -> Stamp:
        return Stamp(path=self.lib / ".complete", inputs=digest(self.pom, self.sums))

    def _locked(self) -> dict[str, str]:
        pairs = (line.split("  ", 1) for line in self.sums.read_text("utf-8").splitlines())
        return {name: sha256 for sha256, name in pairs}


def _differences(folder: Path, locked: dict[str, str]) -> list[str]:
    found = {jar.name: _sha256(jar) for jar in folder.glob("*.jar")}
    names = sorted(found.keys() | locked.keys())
    return [
        f"{name}: {'missing' if name not in found else 'not locked, or with another hash'}"
        for name in names
        if found.get(name) != locked.get(name)
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    """Remove a folder, or a link in its place but never what that points to."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
