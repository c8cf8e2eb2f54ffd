import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from stand_ins import plan

from kartoteka_local.broker import Broker
from kartoteka_local.console import Console
from kartoteka_local.disk import require_space, shortage
from kartoteka_local.errors import StackError
from kartoteka_local.home import Home
from kartoteka_local.keys import api_key
from kartoteka_local.lock import only_one
from kartoteka_local.ports import Ports


def test_a_second_stack_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    with only_one(home), pytest.raises(StackError, match=r"runs on .* already"), only_one(home):
        pass
    with only_one(home):
        pass


def test_a_stack_file_left_by_a_kill_is_removed(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    home.create()
    home.stack_file.write_text("{}", encoding="utf-8")
    with only_one(home):
        assert not home.stack_file.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    with pytest.raises(StackError, match="KARTOTEKA_HOME"), only_one(Home(root=blocked / "home")):
        pass


def test_a_taken_port_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} .* set KARTOTEKA_API_PORT"):
            Ports.load(Home(root=tmp_path)).take("x", setting="KARTOTEKA_API_PORT", wanted=port)


def test_a_port_chosen_freely_is_the_same_next_time(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    first = Ports.load(home)
    chosen = [first.take(name, setting="S", wanted=0) for name in ("kafka", "qdrant")]
    first.save(home)
    second = Ports.load(home)
    assert [second.take(name, setting="S", wanted=0) for name in ("kafka", "qdrant")] == chosen


def test_a_remembered_port_that_was_taken_meanwhile_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert Ports(remembered={"kafka": port}).take("kafka", setting="S", wanted=0) != port


def test_two_servers_cannot_be_given_one_port(tmp_path: Path) -> None:
    ports = Ports.load(Home(root=tmp_path))
    port = ports.take("one", setting="S", wanted=0)
    with pytest.raises(StackError, match="another server of this stack"):
        ports.take("two", setting="S", wanted=port)


def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"almost full.*Nothing was started"):
        require_space(tmp_path, 1 << 60)
    assert shortage(tmp_path, 1) is None


def test_a_kafka_folder_without_its_properties_is_refused_not_formatted(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    home.create()
    left = home.kafka_data / "documents.interactive-0" / "00000000000000000000.log"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"work")
    with pytest.raises(StackError, match=r"(?s)damaged.*mv "):
        broker(home).prepare()
    assert left.read_bytes() == b"work"


def test_a_kafka_that_lost_track_of_its_topics_is_refused(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    home.create()
    (home.kafka_data / "documents.interactive-0.cad84a4c-stray").mkdir(parents=True)
    (home.kafka_data / "meta.properties").touch()
    with pytest.raises(StackError, match=r"(?s)no longer knows its own documents.*mv "):
        broker(home).prepare()


def test_damaged_indexes_of_kafka_are_refused_with_a_cure_that_loses_nothing(
    tmp_path: Path,
) -> None:
    home = Home(root=tmp_path)
    home.create()
    log = home.kafka_data / "documents.interactive-0" / "00000000000000000000.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(bytes(1000))
    log.with_suffix(".index").write_bytes(b"garbage")
    log.with_suffix(".timeindex").write_bytes(bytes(12))
    (home.kafka_data / "meta.properties").touch()
    (home.kafka_data / ".kafka_cleanshutdown").touch()
    with pytest.raises(StackError, match="1 of its index files") as caught:
        broker(home).prepare()
    [command] = [line for line in str(caught.value).splitlines() if line.startswith("    find ")]
    subprocess.run(command, shell=True, check=True)  # noqa: S602 - as a person would
    assert log.exists()
    assert log.with_name("00000000000000000000.index.damaged").read_bytes() == b"garbage"
    assert not log.with_suffix(".timeindex").exists()
    Broker.check(broker(home))


def test_folders_of_servers_that_are_not_embedded_are_not_made(tmp_path: Path) -> None:
    Home(root=tmp_path / "home").create()
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["logs", "view"]


async def test_a_damaged_file_of_keys_is_refused_at_once_and_kept(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    home.create()
    home.api_key.write_text("ktk_x", encoding="utf-8")
    home.api_keys.write_text("{oops", encoding="utf-8")
    a_plan = replace(plan(tmp_path), env={"API_KEYS_FILE": str(home.api_keys)})
    with pytest.raises(StackError, match=r"(?s)damaged.*mv ") as caught:
        await api_key(a_plan, Console())
    assert f"mv {home.api_keys} {home.api_keys}.damaged" in str(caught.value)
    assert home.api_keys.read_text(encoding="utf-8") == "{oops"


async def test_a_key_is_made_once_and_again_when_its_file_was_moved_aside(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    a_plan = replace(plan(tmp_path), env={"API_KEYS_FILE": str(home.api_keys)})
    first = await api_key(a_plan, Console())
    assert await api_key(a_plan, Console()) == first
    home.api_keys.rename(tmp_path / "aside")
    assert await api_key(a_plan, Console()) != first


def test_missing_jars_are_named_with_what_to_do(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    home.create()
    with pytest.raises(StackError, match="make run"):
        Broker(java="java", lib=tmp_path / "none", home=home, port=1, controller_port=2).prepare()


def broker(home: Home) -> Broker:
    lib = home.root / "lib"
    lib.mkdir(exist_ok=True)
    (lib / "kafka_2.13-4.3.1.jar").touch()
    return Broker(java="java", lib=lib, home=home, port=1, controller_port=2)
