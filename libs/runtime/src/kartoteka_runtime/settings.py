"""Settings of the commands that come with this package."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from kartoteka_runtime.env import read_all
from kartoteka_runtime.kafka import KafkaSettings

__all__ = ["TopicsSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicsSettings:
    """What ``kartoteka-topics`` needs."""

    kafka: KafkaSettings

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read them from a mapping, or from the process's environment.

        Raises:
            SettingsError: naming every wrong variable.
        """
        return read_all(cls, os.environ if env is None else env)
