"""Settings from the environment: typed, frozen, and wrong ones named all at once."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeVar, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Fragment", "SettingsError", "read", "read_all", "variables"]


class SettingsError(Exception):
    """One or more variables are wrong.

    Args:
        problems: one line for each, naming the variable and what it must be.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(("Wrong settings:", *(f"  {line}" for line in problems))))


class Fragment(BaseModel):
    """Settings of one concern. Every field carries a docstring: its unit and its consequence.

    A field ``bootstrap_servers`` of a fragment with the prefix ``KAFKA_`` is read from
    ``KAFKA_BOOTSTRAP_SERVERS``.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    prefix: ClassVar[str]
    """What the names of its variables begin with."""


F = TypeVar("F", bound=Fragment)
S = TypeVar("S")

_OWN_MESSAGE: Final = "Value error, "


def read(fragment: type[F], env: Mapping[str, str]) -> F:
    """Read one fragment; a variable set to nothing counts as unset.

    A field of type ``tuple[...]`` is read from a comma-separated list, white space trimmed.

    Raises:
        SettingsError: naming every wrong variable and what it must be, never its value.
    """
    values: dict[str, Any] = {}
    for name, field in fragment.model_fields.items():
        text = env.get(_variable(fragment, name), "")
        if text == "":
            continue
        is_list = get_origin(field.annotation) is tuple
        values[name] = _items(text) if is_list else text
    try:
        return fragment.model_validate(values)
    except ValidationError as error:
        # Not chained: pydantic's own text shows the value, which may be a secret.
        raise SettingsError(_problems(fragment, error)) from None


def read_all(settings: type[S], env: Mapping[str, str]) -> S:
    """Read a dataclass whose fields are all fragments.

    Raises:
        SettingsError: naming every wrong variable of every fragment.
        TypeError: a field is no fragment, or ``settings`` is no dataclass.
    """
    if not dataclasses.is_dataclass(settings):
        raise TypeError(f"{settings.__name__} must be a dataclass of fragments")
    hints = get_type_hints(settings)
    values: dict[str, Fragment] = {}
    problems: list[str] = []
    for field in dataclasses.fields(settings):
        fragment = hints[field.name]
        if not (isinstance(fragment, type) and issubclass(fragment, Fragment)):
            raise TypeError(f"{settings.__name__}.{field.name} must be a fragment")
        try:
            values[field.name] = read(fragment, env)
        except SettingsError as error:
            problems.extend(error.problems)
    if problems:
        raise SettingsError(tuple(problems))
    return settings(**values)


def variables(fragment: type[Fragment]) -> dict[str, str]:
    """Return what may be set: the name of each variable, and its docstring."""
    return {
        _variable(fragment, name): field.description or ""
        for name, field in fragment.model_fields.items()
    }


def _variable(fragment: type[Fragment], field: str) -> str:
    return f"{fragment.prefix}{field.upper()}"


def _items(text: str) -> tuple[str, ...]:
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def _problems(fragment: type[Fragment], error: ValidationError) -> tuple[str, ...]:
    return tuple(
        _problem(fragment, item["loc"], item["type"], item["msg"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _problem(fragment: type[Fragment], loc: tuple[int | str, ...], kind: str, text: str) -> str:
    message = "must be set" if kind == "missing" else text.removeprefix(_OWN_MESSAGE)
    name = str(loc[0]) if loc else ""
    field = fragment.model_fields.get(name)
    if field is None:  # a rule between fields names its variables itself
        return f"{fragment.prefix}*: {message}"
    about = " ".join((field.description or "").split())
    return f"{_variable(fragment, name)}: {message}" + (f" ({about})" if about else "")
