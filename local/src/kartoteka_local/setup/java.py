"""A Java 17 or newer, and Maven: what the embedded broker needs."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kartoteka_local.setup.system import Need

__all__ = ["JDK", "MAVEN", "OLDEST", "find_java", "find_maven", "major_version"]

OLDEST: Final = 17
"""The oldest Java that Kafka 4 runs on."""

JDK: Final = Need(
    what="Java (a JDK, 17 or newer)",
    apt=("openjdk-17-jdk-headless", "openjdk-21-jdk-headless", "openjdk-25-jdk-headless"),
    dnf="java-21-openjdk-headless",
    brew="openjdk@21",
    apk="openjdk21-jre-headless",
    pacman="jdk21-openjdk",
    zypper="java-21-openjdk-headless",
)
MAVEN: Final = Need(
    what="Maven",
    apt=("maven",),
    dnf="maven",
    brew="maven",
    apk="maven",
    pacman="maven",
    zypper="maven",
)


def find_java(java_home: Path | None) -> str | None:
    """Return a java that is new enough: JAVA_HOME's, PATH's, or one lying in a usual place."""
    for candidate in _candidates(java_home):
        version = major_version(candidate)
        if version is not None and version >= OLDEST:
            return candidate
    return None


def find_maven() -> str | None:
    """Return Maven's command."""
    return shutil.which("mvn")


def major_version(java: str) -> int | None:
    """Return 17 for ``17.0.15``, 8 for ``1.8.0``; None where it does not run."""
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb'version "(?:1\.)?(\d+)', ran.stderr + ran.stdout)
    return int(found[1]) if ran.returncode == 0 and found else None


def _candidates(java_home: Path | None) -> Iterator[str]:
    if java_home is not None:
        yield str(java_home / "bin" / "java")
    on_path = shutil.which("java")
    if on_path is not None:
        yield on_path
    for folder, pattern in (
        ("/usr/lib/jvm", "*/bin/java"),
        ("/opt/homebrew/opt", "openjdk*/bin/java"),
        ("/usr/local/opt", "openjdk*/bin/java"),
    ):
        yield from sorted(map(str, Path(folder).glob(pattern)), reverse=True)
