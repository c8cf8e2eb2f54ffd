"""The virtual environment and what is installed into it, all by hash-lock."""

import configparser
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kartoteka_local.setup.progress import Progress, SetupError
from kartoteka_local.setup.stamp import Stamp, digest
from kartoteka_local.setup.system import Need, require

__all__ = ["PythonEnvironment"]

_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_VENV: Final = Need(
    what=f"Python's venv module for {_VERSION}",
    apt=(f"python{_VERSION}-venv", "python3-venv"),
    dnf="python3-pip",
    brew=f"python@{_VERSION}",
    apk="py3-pip",
    pacman="python",
    zypper="python3-pip",
)
_ONLINE: Final = (
    "Check the network, or the mirror that pip is set to (`pip config list`), "
    "then run the same again: what is done is not done twice."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnvironment:
    """The folder .venv of a clone, or another one."""

    root: Path
    env: Mapping[str, str]
    wheels: Path | None
    progress: Progress
    apart: Path | None = None
    """Another folder in place of .venv, for what must not meet the packages of that one."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self._folder / "bin" / "python"

    def prepare(self, *locks: str) -> None:
        """Bring everything in: the packages of lock files, torch, and, unless apart, ours.

        Args:
            locks: the names of files in ``requirements/``.

        Raises:
            SetupError: something cannot be had; says what to do.
        """
        self._create()
        self._install_uv()
        for lock in locks:
            self._install_packages(lock)
        self._install_torch()
        if self.apart is None:
            self._install_ours()

    def _create(self) -> None:
        if self._runs():
            return
        if not _module_works("ensurepip"):
            require((_VENV,), self.progress, self.env)
        with self.progress.step(f"Creating the virtual environment {self._folder.name}"):
            # --clear: an environment whose Python is gone cannot be mended, only made anew.
            self.progress.run(
                [sys.executable, "-m", "venv", "--clear", str(self._folder)],
                advice=f"Remove the folder {self._folder} and run the same again.",
            )

    def _runs(self) -> bool:
        if not self.python.exists():
            return False
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        ran = subprocess.run([self.python, "-c", check], capture_output=True, check=False)
        return ran.returncode == 0

    def _install_uv(self) -> None:
        lock = self._requirements("uv.txt")
        stamp = self._stamp("uv", lock)
        if stamp.fresh([self._uv]):
            return
        with self.progress.step("Installing uv, which installs the rest"):
            self.progress.run(
                [
                    str(self.python),
                    "-m",
                    "pip",
                    "install",
                    "--disable-pip-version-check",
                    "--no-deps",
                    "--require-hashes",
                    "-r",
                    str(lock),
                ],
                env=self.env,
                advice=_ONLINE,
            )
        stamp.set()

    def _install_packages(self, name: str) -> None:
        lock = self._requirements(name)
        stamp = self._stamp(name, lock)
        if stamp.fresh():
            return
        with self.progress.step(f"Installing Python packages (requirements/{name}, by hash)"):
            if not self._pip_install("--no-deps", "--require-hashes", "-r", str(lock)):
                raise SetupError(f"uv could not install requirements/{name}: see above. {_ONLINE}")
        stamp.set()

    def _install_ours(self) -> None:
        packages = sorted(
            path.parent
            for pattern in ("libs/*", "services/*", "local")
            for path in self.root.glob(f"{pattern}/pyproject.toml")
        )
        stamp = self._stamp("ours", *(package / "pyproject.toml" for package in packages))
        if stamp.fresh():
            return
        with self.progress.step("Installing Kartoteka's own packages, editable"):
            editable = [argument for package in packages for argument in ("-e", str(package))]
            if not self._pip_install("--no-deps", "--no-build-isolation", *editable):
                raise SetupError("uv could not install Kartoteka's own packages: see above.")
        stamp.set()

    def _install_torch(self) -> None:
        """Install what exports the model once; nothing that runs imports it."""
        cpu, default = self._requirements("torch-cpu.txt"), self._requirements("torch-default.txt")
        stamp = self._stamp("torch", cpu, default)
        if stamp.fresh():
            return
        if self.wheels is not None and not self.wheels.is_dir():
            raise SetupError(
                f"KARTOTEKA_WHEELS names no folder: {self.wheels}. Correct it, or unset it."
            )
        with self.progress.step("Installing torch, which exports the model once"):
            if not any(self._pip_install(*arguments) for arguments in self._torch_sources()):
                raise SetupError(f"torch could not be installed: see above. {_ONLINE}")
        stamp.set()

    def _torch_sources(self) -> Iterable[tuple[str, ...]]:
        cpu = ("--no-deps", "--require-hashes", "-r", str(self._requirements("torch-cpu.txt")))
        default = str(self._requirements("torch-default.txt"))
        folder = self.wheels or self._pip_setting("find-links")
        if folder is not None and any(Path(folder).glob("torch-*.whl")):
            self.progress.say(f"    from {folder}")
            yield (*cpu, "--no-index", "--find-links", str(folder))
        if platform.system() == "Linux":
            self.progress.say("    its CPU build (about 200 MB)")
            yield (*cpu, "--torch-backend", "cpu")
            self.progress.say(
                "    the plain index instead: 4.7 GB with its vendors' libraries, none of them used"
                " here. KARTOTEKA_WHEELS=/folder with torch's CPU wheel avoids that."
            )
        yield ("--no-deps", "--require-hashes", "-r", default)

    def _pip_install(self, *arguments: str) -> bool:
        argv = [str(self._uv), "pip", "install", "--python", str(self.python), *arguments]
        return self.progress.attempt(argv, env=self._uv_environment())

    def _uv_environment(self) -> dict[str, str]:
        """Hand over what pip is told here: uv reads none of pip's settings."""
        env = dict(self.env)
        env.setdefault("UV_LINK_MODE", "copy")
        for setting, variable in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
            value = self._pip_setting(setting)
            if value is not None and variable not in env:
                env[variable] = value
        return env

    def _pip_setting(self, name: str) -> str | None:
        from_env = self.env.get(f"PIP_{name.upper().replace('-', '_')}")
        if from_env:
            return from_env
        home = Path(self.env.get("HOME", "/"))
        parser = configparser.RawConfigParser()
        files = (Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf")
        try:
            parser.read([file for file in files if os.access(file, os.R_OK)], encoding="utf-8")
        except configparser.Error:
            return None  # pip itself says so, better than we could
        return parser.get("global", name, fallback=None)

    @property
    def _uv(self) -> Path:
        return self._folder / "bin" / "uv"

    @property
    def _folder(self) -> Path:
        return self.apart or self.root / ".venv"

    def _requirements(self, name: str) -> Path:
        return self.root / "requirements" / name

    def _stamp(self, name: str, *inputs: Path) -> Stamp:
        path = self._folder / "kartoteka" / f"{name}.stamp"
        return Stamp(path=path, inputs=digest(*inputs))


def _module_works(name: str) -> bool:
    ran = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False)
    return ran.returncode == 0
