"""Everything that can be set. The only module that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, get_type_hints

from pydantic import Field

from kartoteka_contracts.ids import MAX_EXACT_INTEGER, CabinetId
from kartoteka_contracts.reindex import ReindexMode
from kartoteka_runtime.env import Fragment, read_all
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import LogSettings
from kartoteka_runtime.producer import ProducerSettings

__all__ = ["ClusterSettings", "ReindexSettings", "SchedulerSettings", "Settings"]

_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class SchedulerSettings(Fragment):
    """How runs are asked for, and how schedulers keep out of each other's way."""

    prefix: ClassVar[str] = "SCHEDULER_"

    in_flight: int = Field(default=500, ge=1, le=100_000)
    """Requests that await Kafka's acknowledgement at once; at most PRODUCER_MAX_IN_FLIGHT."""
    lease: Literal["auto", "on", "off"] = "auto"
    """Whether a Kubernetes Lease is taken, so that one scheduler works at a time: auto does so
    inside a cluster; on also outside, by a kubeconfig; off never."""
    lease_name: str = Field(default="kartoteka-scheduler", pattern=_NAME, max_length=63)
    """The Lease's name; one for each installation."""
    lease_namespace: str | None = Field(default=None, pattern=_NAME, max_length=63)
    """Its namespace; when unset the pod's own, else that of the kubeconfig."""
    lease_seconds: int = Field(default=60, ge=3, le=3600)
    """Seconds for which it is held after each renewal: as long a killed scheduler keeps the next
    one waiting. It is renewed three times in them."""
    kubeconfig: Path | None = None
    """The kubeconfig for SCHEDULER_LEASE=on outside of a cluster; the usual one when unset."""
    tick_limit: float = Field(default=600.0, gt=0)
    """Seconds after which loop gives a tick up; the next one completes it."""


class ReindexSettings(Fragment):
    """What ``reindex`` asks for where its options do not say: a Job's arguments are fixed."""

    prefix: ClassVar[str] = "SCHEDULER_REINDEX_"

    cabinets: tuple[Annotated[CabinetId, Field(gt=0, le=MAX_EXACT_INTEGER)], ...] = ()
    """Cabinets, separated by commas; unset: all that are enabled. Any --cabinet replaces them."""
    mode: ReindexMode = ReindexMode.CHANGED
    """Which documents: changed, full or failed."""
    confirm_vanished: bool = False
    """Whether vanished documents are removed even where they are suspiciously many; needs
    cabinets."""


class ClusterSettings(Fragment):
    """What Kubernetes tells each container."""

    prefix: ClassVar[str] = "KUBERNETES_"

    service_host: str = ""
    """The apiserver's address; set by Kubernetes. Set: this runs in a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the scheduler, by concern."""

    kafka: KafkaSettings
    producer: ProducerSettings
    scheduler: SchedulerSettings
    reindex: ReindexSettings
    cluster: ClusterSettings
    log: LogSettings

    @property
    def in_flight(self) -> int:
        """Requests under way at once, as many as the producer takes."""
        return min(self.scheduler.in_flight, self.producer.max_in_flight)

    @property
    def has_lease(self) -> bool:
        """Whether a Lease is taken."""
        match self.scheduler.lease:
            case "auto":
                return bool(self.cluster.service_host)
            case "on":
                return True
            case "off":
                return False

    @classmethod
    def fragments(cls) -> tuple[type[Fragment], ...]:
        """Return the fragments, for whoever explains the settings."""
        hints = get_type_hints(cls)
        return tuple(hints[field.name] for field in fields(cls))

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read them all; None reads the process's environment.

        Raises:
            SettingsError: naming every wrong variable.
        """
        return read_all(cls, os.environ if env is None else env)
