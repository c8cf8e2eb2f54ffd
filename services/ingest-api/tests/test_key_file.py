import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest_api.__main__ import main
from ingest_api.adapters.key_file import KeyFile, KeyFileError, create_key, read_keys, revoke_key
from ingest_api.domain.access import Principal, Scope, authorise
from ingest_api.domain.api_key import ApiKey
from kartoteka_contracts.errors import RequestError
from kartoteka_contracts.ids import CabinetId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = CabinetId(1), CabinetId(2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


class Ring:
    def __init__(self, path: Path) -> None:
        self.troubles: list[str | None] = []
        self.file = KeyFile(path, on_change=self.troubles.append)
        self.file.refresh()


def a_key(path: Path, *, cabinets: list[CabinetId] | None = None) -> ApiKey:
    return create_key(path, name="shop", scopes=[Scope.INGEST], cabinets=cabinets, now=NOW)


def test_a_key_is_known_by_its_text_alone(path: Path) -> None:
    key = a_key(path, cabinets=[TWO, ONE])
    assert Ring(path).file.find(key.text) == Principal(
        key_id=key.key_id,
        name="shop",
        scopes=frozenset({Scope.INGEST}),
        cabinets=frozenset({ONE, TWO}),
    )


def test_the_file_holds_no_key_and_is_for_its_owner_alone(path: Path) -> None:
    key = a_key(path)
    assert key.text not in path.read_text()
    assert key.text.rpartition("_")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_does_not_show_in_a_representation() -> None:
    key = ApiKey.new()
    assert key.text not in repr(key)


def test_what_is_no_key_is_nobody(path: Path) -> None:
    key = a_key(path)
    ring = Ring(path).file
    other = ApiKey.new()
    forged = f"ktk_{key.key_id}_{other.text.rpartition('_')[2]}"
    for token in ("", "x", key.text[:-1], key.text + "0", other.text, forged, "ktk__", "ключ_a_b"):
        assert ring.find(token) is None


def test_a_damaged_character_fails_the_checksum() -> None:
    text = ApiKey.new().text
    changed = "A" if text[20] != "A" else "B"
    assert ApiKey.parse(text[:20] + changed + text[21:]) is None


def test_a_change_counts_at_the_next_look(path: Path) -> None:
    first = a_key(path)
    ring = Ring(path).file
    second = a_key(path)
    assert ring.find(second.text) is None
    ring.refresh()
    assert ring.find(second.text) is not None
    assert revoke_key(path, first.key_id, now=NOW)
    ring.refresh()
    assert ring.find(first.text) is None
    assert ring.find(second.text) is not None


def test_a_broken_file_leaves_the_last_good_keys_in_force(path: Path) -> None:
    key = a_key(path)
    ring = Ring(path)
    path.write_text("{oops")
    ring.file.refresh()
    assert ring.file.find(key.text) is not None
    assert ring.troubles[0] is None
    assert "damaged" in str(ring.troubles[1])


def test_a_missing_file_is_told_with_what_to_do_and_may_come_later(path: Path) -> None:
    ring = Ring(path)
    assert "keys create" in str(ring.troubles[0])
    key = a_key(path)
    ring.file.refresh()
    assert ring.file.find(key.text) is not None
    assert ring.troubles[1] is None


def test_a_damaged_file_is_never_overwritten(path: Path) -> None:
    path.write_text("{oops")
    with pytest.raises(KeyFileError):
        a_key(path)
    assert path.read_text() == "{oops"


def test_keys_made_at_once_are_all_kept(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: a_key(path).key_id, range(24)))
    assert sorted(entry.id for entry in read_keys(path)) == sorted(made)


def test_access_is_scope_and_cabinet() -> None:
    principal = Principal(
        key_id="k", name="n", scopes=frozenset({Scope.READ}), cabinets=frozenset({ONE})
    )
    assert authorise(principal, Scope.READ, ONE).cabinet_id == ONE
    for scope, cabinet in ((Scope.READ, TWO), (Scope.INGEST, ONE)):
        with pytest.raises(RequestError, match=r"has not|not for") as caught:
            authorise(principal, scope, cabinet)
        assert caught.value.code == "forbidden"


def test_the_command_makes_lists_and_revokes(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--file", str(path)]
    scope = ["--scope", "search", "--scope", "read", "--cabinet", "2", "--cabinet", "1"]
    assert main(["keys", "create", *file, "--name", "shop", *scope]) == 0
    token = capsys.readouterr().out.strip()
    found = Ring(path).file.find(token)
    assert found is not None
    assert found.cabinets == frozenset({ONE, TWO})
    assert main(["keys", "list", *file]) == 0
    listed = capsys.readouterr().out
    assert found.key_id in listed
    assert "search,read" in listed
    assert token not in listed
    assert main(["keys", "revoke", *file, found.key_id]) == 0
    assert main(["keys", "revoke", *file, found.key_id]) == 1
    assert Ring(path).file.find(token) is None
    assert json.loads(path.read_text())["keys"][0]["revoked_at"]


def test_the_command_says_what_to_do_about_a_damaged_file(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text("[]")
    assert main(["keys", "list", "--file", str(path)]) == 1
    assert "restore it" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["keys", "--help"], ["keys", "create", "-h"]])
def test_help_teaches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "keys create" in text or "--scope" in text


def test_an_unknown_scope_is_answered_with_those_that_exist(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["keys", "create", "--file", str(path), "--name", "x", "--scope", "fly"])
    assert "'ingest'" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "--name", "shop", "--all-scopes", "--all-cabinets"],
        ["list"],
        ["revoke", "ab2cd3ef4g"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_without_a_file_names_both_ways_to_name_one(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("API_KEYS_FILE", raising=False)
    assert main(["keys", *arguments]) == 2
    said = capsys.readouterr().err
    assert "--file" in said
    assert "API_KEYS_FILE" in said


def test_the_help_of_keys_names_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["keys", "--help"])
    assert "API_KEYS_FILE" in capsys.readouterr().out
