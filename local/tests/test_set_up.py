import hashlib
import io
import stat
from pathlib import Path

import pytest

from kartoteka_local.setup.java import find_java, major_version
from kartoteka_local.setup.kafka_jars import KafkaJars
from kartoteka_local.setup.progress import Progress, SetupError
from kartoteka_local.setup.stamp import Stamp, digest
from kartoteka_local.setup.system import Need, command, require

NEED = Need(
    what="a spoon",
    apt=("spoon-17", "spoon-21"),
    dnf="spoon-dnf",
    brew="spoon@1",
    apk="spoon-apk",
    pacman="spoon-pac",
    zypper="spoon-zyp",
)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def progress(folder: Path) -> Progress:
    return Progress(log=folder / "setup.log", out=io.StringIO())


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("no java here", None),
    ],
)
def test_java_versions_are_read(tmp_path: Path, said: str, version: int | None) -> None:
    java = script(tmp_path / "java", f"echo '{said}' >&2")
    assert major_version(str(java)) == version


def test_a_java_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = script(tmp_path / "old" / "bin" / "java", "echo 'java version \"11.0.1\"' >&2")
    new = script(tmp_path / "new" / "java", "echo 'openjdk version \"21.0.1\"' >&2")
    monkeypatch.setenv("PATH", f"{new.parent}:/bin")
    assert find_java(old.parent.parent) == str(new)


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        ("dnf", "dnf install -y spoon-dnf"),
        ("brew", "brew install spoon@1"),
        ("apk", "apk add spoon-apk"),
        ("pacman", "pacman -S --needed spoon-pac"),
        ("zypper", "zypper install -y spoon-zyp"),
    ],
)
def test_what_is_missing_is_told_as_this_systems_exact_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, line: str
) -> None:
    script(tmp_path / tool, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command((NEED,)).removeprefix("sudo ") == line
    with pytest.raises(SetupError, match="a spoon is missing"):
        require((NEED,), progress(tmp_path), {})


def test_as_root_on_debian_the_first_package_that_exists_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    script(tmp_path / "bin" / "apt-get", f'echo "$@" >> {calls}')
    script(tmp_path / "bin" / "apt-cache", '[ "$2" = spoon-21 ]')
    path = f"{tmp_path / 'bin'}:/bin:/usr/bin"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    require((NEED,), progress(tmp_path), {"PATH": path})
    assert calls.read_text(encoding="utf-8").splitlines() == [
        "update -q",
        "install -y -q --no-install-recommends spoon-21",
    ]


def test_a_failing_tool_is_shown_with_its_last_lines_and_advice(tmp_path: Path) -> None:
    tool = script(tmp_path / "tool", "echo out of ink; exit 4")
    with pytest.raises(SetupError, match=r"tool failed with 4:\n.*out of ink\nBuy ink"):
        progress(tmp_path).run([str(tool)], advice="Buy ink")


def test_a_talkative_tool_is_quiet_on_the_screen_and_whole_in_the_log(tmp_path: Path) -> None:
    tool = script(tmp_path / "tool", "seq -f ' + package-%g' 100")
    shown = progress(tmp_path)
    assert shown.attempt([str(tool)])
    assert isinstance(shown.out, io.StringIO)
    assert shown.out.getvalue() == ""
    assert " + package-100" in shown.log.read_text(encoding="utf-8")


def test_a_tool_that_may_fail_says_why_it_did(tmp_path: Path) -> None:
    shown = progress(tmp_path)
    assert not shown.attempt([str(script(tmp_path / "tool", "echo out of ink; exit 4"))])
    assert isinstance(shown.out, io.StringIO)
    assert shown.out.getvalue() == "    | out of ink\n"


def maven(folder: Path, content: str) -> Path:
    """Return a stand-in that leaves one jar where Maven would leave them all."""
    return script(
        folder / "mvn",
        'for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done\n'
        f'mkdir -p "$d"; printf {content} > "$d/kafka_2.13-4.3.1.jar"',
    )


def jars(folder: Path, content: str) -> KafkaJars:
    sums = folder / "SHA256SUMS"
    sums.write_text(
        f"{hashlib.sha256(content.encode()).hexdigest()}  kafka_2.13-4.3.1.jar\n", encoding="utf-8"
    )
    pom = folder / "pom.xml"
    pom.write_text("<project/>", encoding="utf-8")
    return KafkaJars(lib=folder / "home" / "lib", pom=pom, sums=sums)


def test_jars_are_fetched_once(tmp_path: Path) -> None:
    wanted = jars(tmp_path, "good")
    assert not wanted.ready()
    wanted.fetch(str(maven(tmp_path, "good")), progress(tmp_path))
    assert wanted.ready()
    wanted.pom.write_text("<project>another</project>", encoding="utf-8")
    assert not wanted.ready()


def test_jars_that_are_not_the_locked_ones_are_not_installed(tmp_path: Path) -> None:
    wanted = jars(tmp_path, "good")
    with pytest.raises(SetupError, match=r"kafka_2.13-4.3.1.jar: not locked"):
        wanted.fetch(str(maven(tmp_path, "evil")), progress(tmp_path))
    assert not wanted.lib.exists()


def test_a_jar_that_went_missing_is_fetched_again(tmp_path: Path) -> None:
    wanted = jars(tmp_path, "good")
    wanted.fetch(str(maven(tmp_path, "good")), progress(tmp_path))
    (wanted.lib / "kafka_2.13-4.3.1.jar").unlink()
    assert not wanted.ready()


def test_a_link_in_the_place_of_the_folder_is_replaced_and_its_target_left_alone(
    tmp_path: Path,
) -> None:
    wanted = jars(tmp_path, "good")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "their.jar").touch()
    wanted.lib.parent.mkdir()
    wanted.lib.symlink_to(theirs)
    wanted.fetch(str(maven(tmp_path, "good")), progress(tmp_path))
    assert not wanted.lib.is_symlink()
    assert wanted.ready()
    assert (theirs / "their.jar").exists()


def test_a_stamp_is_fresh_only_for_the_same_inputs_and_while_its_work_is_there(
    tmp_path: Path,
) -> None:
    made = tmp_path / "made"
    stamp = Stamp(path=tmp_path / "stamp", inputs=digest("a", "b"))
    assert not stamp.fresh()
    stamp.set()
    assert stamp.fresh()
    assert not stamp.fresh([made])
    assert not Stamp(path=stamp.path, inputs=digest("ab")).fresh()
