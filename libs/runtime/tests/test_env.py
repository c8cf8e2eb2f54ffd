from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field, SecretStr

from kartoteka_runtime.env import Fragment, SettingsError, read, read_all, variables


class Sample(Fragment):
    prefix: ClassVar[str] = "SAMPLE_"

    size: int = Field(ge=1)
    """Bytes, at least one."""
    names: tuple[str, ...] = ()
    """Who may come."""
    ports: tuple[int, ...] = (1, 2)
    """Where to listen."""
    secret: SecretStr | None = None
    """Never shown."""
    folder: Path | None = None
    """Where it lies."""
    is_on: bool = False
    """Whether it runs."""
    mode: Literal["fast", "slow"] = "fast"
    """fast or slow."""


class Other(Fragment):
    prefix: ClassVar[str] = "OTHER_"

    url: str
    """Where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    sample: Sample
    other: Other


def test_every_type_is_read() -> None:
    sample = read(
        Sample,
        {
            "SAMPLE_SIZE": "7",
            "SAMPLE_NAMES": " a, b ,,c",
            "SAMPLE_PORTS": "3,4",
            "SAMPLE_SECRET": "hush",
            "SAMPLE_FOLDER": "/a/b",
            "SAMPLE_IS_ON": "true",
            "SAMPLE_MODE": "slow",
            "UNRELATED": "1",
        },
    )
    assert sample.size == 7
    assert sample.names == ("a", "b", "c")
    assert sample.ports == (3, 4)
    assert sample.secret is not None
    assert sample.secret.get_secret_value() == "hush"
    assert sample.folder == Path("/a/b")
    assert (sample.is_on, sample.mode) == (True, "slow")


def test_set_to_nothing_is_unset() -> None:
    sample = read(Sample, {"SAMPLE_SIZE": "7", "SAMPLE_PORTS": "", "SAMPLE_MODE": ""})
    assert (sample.ports, sample.mode) == ((1, 2), "fast")


def test_a_wrong_variable_is_named_with_what_it_must_be_and_not_with_its_value() -> None:
    with pytest.raises(SettingsError) as caught:
        read(Sample, {"SAMPLE_SIZE": "hush-hush", "SAMPLE_MODE": "medium"})
    text = str(caught.value)
    assert "SAMPLE_SIZE: " in text
    assert "Bytes, at least one." in text
    assert "SAMPLE_MODE: Input should be 'fast' or 'slow'" in text
    assert "hush" not in text
    assert caught.value.__cause__ is None


def test_all_wrong_variables_of_all_fragments_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_all(Both, {"SAMPLE_SIZE": "0"})
    assert [line.split(":")[0] for line in caught.value.problems] == ["SAMPLE_SIZE", "OTHER_URL"]
    assert "must be set" in caught.value.problems[1]


def test_a_settings_class_is_filled() -> None:
    both = read_all(Both, {"SAMPLE_SIZE": "1", "OTHER_URL": "http://x"})
    assert both == Both(sample=Sample(size=1), other=Other(url="http://x"))


def test_a_settings_class_holds_nothing_but_fragments() -> None:
    @dataclass(frozen=True)
    class Wrong:
        size: int

    with pytest.raises(TypeError, match=r"Wrong\.size must be a fragment"):
        read_all(Wrong, {})


def test_what_may_be_set_is_told() -> None:
    assert variables(Other) == {"OTHER_URL": "Where it is."}
