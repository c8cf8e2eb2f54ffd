"""Real PDFs to measure with: manuals that Debian packages, fetched once and kept."""

import gzip
import hashlib
import json
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

__all__ = ["Manual", "fetch_manuals"]

_SOURCES: Final = (
    ("debian-policy", "policy.pdf"),
    ("debian-policy", "fhs-3.0.pdf"),
    ("debian-reference-en", "debian-reference.en.pdf"),
    ("developers-reference", "developers-reference.pdf"),
    ("maint-guide", "maint-guide.en.pdf"),
    ("r-doc-pdf", "R-admin.pdf"),
    ("r-doc-pdf", "R-exts.pdf"),
    ("r-doc-pdf", "R-intro.pdf"),
    ("python-reportlab-doc", "reportlab-userguide.pdf"),
    ("ubuntu-packaging-guide-pdf", "ubuntu-packaging-guide.pdf"),
    ("siscone-doc-pdf", "refman.pdf"),
)
"""Packages and the free manuals in them: from XeTeX, pdfTeX, FOP, ReportLab and Ghostscript."""

_SECONDS: Final = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Manual:
    """A PDF as it lies in the folder."""

    name: str
    package: str
    version: str
    """The package's. A release of Debian has its own; the report says which one was read."""
    sha256: str
    """Of the PDF."""


def fetch_manuals(folder: Path) -> list[Manual]:
    """Return the manuals in a folder, fetching those that it lacks; say on screen what is done.

    Needs no root, but apt-get and its package lists. A manual that cannot be had is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = {manual.name: manual for manual in _kept(folder)}
    packages = list(dict.fromkeys(package for package, _ in _SOURCES))
    for n, package in enumerate(packages, 1):
        names = [name for owner, name in _SOURCES if owner == package]
        if all(name in kept for name in names):
            continue
        print(f"  manuals {n}/{len(packages)}: fetching {package} …", end=" ", flush=True)
        try:
            found = _fetch(package, names, folder)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"not to be had: {error}", flush=True)
            continue
        kept |= {manual.name: manual for manual in found}
        print(", ".join(manual.name for manual in found) or "holds none of the manuals", flush=True)
        _keep(folder, list(kept.values()))
    return [kept[name] for _, name in _SOURCES if name in kept]


def _kept(folder: Path) -> list[Manual]:
    """What an earlier run fetched and nobody has changed since."""
    listing = folder / "manuals.json"
    if not listing.exists():
        return []
    manuals = [Manual(**fields) for fields in json.loads(listing.read_text("utf-8"))]
    return [manual for manual in manuals if _sha256(folder / manual.name) == manual.sha256]


def _keep(folder: Path, manuals: list[Manual]) -> None:
    listing = json.dumps([asdict(manual) for manual in manuals], indent=2)
    (folder / "manuals.json").write_text(listing + "\n", "utf-8")


def _fetch(package: str, names: list[str], folder: Path) -> list[Manual]:
    """Download one package and take the PDFs out of it; nothing is installed."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{program} is not installed")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _run("apt-get", "--quiet", "download", package, cwd=scratch)
        archive = str(next(Path(scratch).glob("*.deb")))
        version = _run("dpkg-deb", "--field", archive, "Version", cwd=scratch).strip()
        _run("dpkg-deb", "--extract", archive, "contents", cwd=scratch)
        found = {
            path.name.removesuffix(".gz"): path
            for path in Path(scratch, "contents").rglob("*.pdf*")
            if path.is_file() and not path.is_symlink()
        }
        for name in filter(found.__contains__, names):
            body = found[name].read_bytes()
            is_packed = found[name].suffix == ".gz"
            (folder / name).write_bytes(gzip.decompress(body) if is_packed else body)
    return [
        Manual(name=name, package=package, version=version, sha256=_sha256(folder / name))
        for name in names
        if name in found
    ]


def _run(*command: str, cwd: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"{command[0]} ended with {done.returncode}"]
        raise OSError(said[-1])
    return done.stdout


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
