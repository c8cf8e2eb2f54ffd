import io
import stat
from pathlib import Path

import pytest

from kartoteka_local.setup.progress import Progress, SetupError
from kartoteka_local.setup.prometheus import ensure_prometheus, has_prometheus


def command(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def progress(folder: Path) -> Progress:
    return Progress(log=folder / "setup.log", out=io.StringIO())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the only folder on PATH, besides the shell's."""
    found = tmp_path / "bin"
    found.mkdir()
    monkeypatch.setenv("PATH", str(found))
    return found


def test_a_promtool_alone_is_not_enough(folder: Path) -> None:
    command(folder / "promtool", "exit 0")
    assert not has_prometheus()
    command(folder / "prometheus", "exit 0")
    assert has_prometheus()


def test_where_it_is_there_nothing_is_installed(folder: Path, tmp_path: Path) -> None:
    for name in ("promtool", "prometheus"):
        command(folder / name, "exit 0")
    command(folder / "apt-get", "exit 1")
    ensure_prometheus(progress(tmp_path), {})


def test_whoever_may_not_install_it_is_told_the_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(folder / "apt-get", "exit 1")
    command(folder / "apt-cache", "exit 0")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(
        SetupError, match="sudo apt-get install -y --no-install-recommends prometheus"
    ):
        ensure_prometheus(progress(tmp_path), {})


@pytest.mark.parametrize("has_systemd", [True, False])
def test_as_root_on_debian_it_is_installed_and_no_service_is_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_systemd: bool
) -> None:
    for name in ("promtool", "prometheus"):
        command(tmp_path / name, "exit 0")
    install = f'[ "$1" = install ] && /bin/mv {tmp_path}/prom* {folder}; exit 0'
    command(folder / "apt-get", install)
    command(folder / "apt-cache", "exit 0")
    command(folder / "systemctl", f'echo "$@" > {tmp_path}/calls')
    monkeypatch.setattr("os.geteuid", lambda: 0)
    systemd = tmp_path if has_systemd else tmp_path / "none"
    ensure_prometheus(progress(tmp_path), {"PATH": str(folder)}, systemd=systemd)
    assert has_prometheus()
    calls = tmp_path / "calls"
    assert calls.exists() == has_systemd
    if has_systemd:
        assert calls.read_text("utf-8") == "disable --now prometheus\n"


def test_a_package_without_the_commands_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(folder / "apt-get", "exit 0")
    command(folder / "apt-cache", "exit 0")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(SetupError, match="still not found"):
        ensure_prometheus(progress(tmp_path), {"PATH": str(folder)})
