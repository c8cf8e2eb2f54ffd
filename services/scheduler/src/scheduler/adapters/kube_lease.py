"""A Kubernetes Lease as the lock, and an Event as the journal."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from kartoteka_runtime.clock import Clock
from kartoteka_runtime.logs import get_logger
from scheduler.ports import LockError

__all__ = ["KubeJournal", "KubeLease"]

_log = get_logger(__name__)

R = TypeVar("R")

_REQUEST_SECONDS: Final = 5.0
_ABSENT: Final = 404
_CONFLICT: Final = 409
_NOT_ALLOWED: Final = frozenset({401, 403})
_RIGHTS: Final = (
    "; the service account needs get, create and update on leases, and create on events"
)
_SHOWN: Final = 300
"""Characters of an answer that a message quotes."""
_TRIES: Final = 3
"""A conflict may come of a label that somebody set meanwhile: it is looked at again."""


class KubeLease:
    """One Lease of ``coordination.k8s.io``, changed only as it was when it was read.

    Args:
        api: a configured client.
        identity: who holds it: another for every process.
        seconds: how long it is held from each acquisition.
        clock: compared with what other holders wrote, so clocks should agree within seconds.
    """

    def __init__(
        self,
        api: client.ApiClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        seconds: int,
        clock: Clock,
    ) -> None:
        self._leases = client.CoordinationV1Api(api)
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._clock = clock

    @property
    def seconds(self) -> float:
        """How long it is held from each :meth:`acquire`."""
        return float(self._seconds)

    async def acquire(self) -> bool:
        """Take it where it is absent, free, expired or ours. False: another holds it.

        Raises:
            LockError: the apiserver is away, or refuses.
        """
        for _ in range(_TRIES):
            try:
                return await _asked(self._take, "the Lease", self._name)
            except _ConflictError:
                continue
        return False

    async def release(self) -> None:
        """Let it go, if it is ours.

        Raises:
            LockError: the apiserver is away, or refuses.
        """
        try:
            await _asked(self._let_go, "the Lease", self._name)
        except _ConflictError as error:
            raise LockError(f"the Lease {self._name} was changed while it was let go") from error

    def _take(self) -> bool:
        found = self._read()
        if found is None:
            self._leases.create_namespaced_lease(
                self._namespace, self._body(None), _request_timeout=_REQUEST_SECONDS
            )
            return True
        if not self._is_free(found.spec):
            return False
        self._replace(self._body(found))
        return True

    def _let_go(self) -> None:
        found = self._read()
        if found is None or found.spec.holder_identity != self._identity:
            return
        body = self._body(found)
        body["spec"] |= {"holderIdentity": None, "leaseDurationSeconds": 1}
        self._replace(body)

    def _is_free(self, spec: Any) -> bool:
        if not spec.holder_identity or spec.holder_identity == self._identity:
            return True
        if spec.renew_time is None or spec.lease_duration_seconds is None:
            return True
        end: datetime = spec.renew_time + timedelta(seconds=spec.lease_duration_seconds)
        return end <= self._clock.now()

    def _read(self) -> Any:
        try:
            return self._leases.read_namespaced_lease(
                self._name, self._namespace, _request_timeout=_REQUEST_SECONDS
            )
        except ApiException as error:
            if error.status == _ABSENT:
                return None
            raise

    def _replace(self, body: Any) -> None:
        self._leases.replace_namespaced_lease(
            self._name, self._namespace, body, _request_timeout=_REQUEST_SECONDS
        )

    def _body(self, found: Any) -> Any:  # a dict: the client takes it, and its types deny it
        """Return the Lease as ours; of one that was found, only as long as nobody changed it."""
        now = _micro_time(self._clock.now())
        spec: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._seconds,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
        metadata: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        if found is not None:
            metadata |= {
                "resourceVersion": found.metadata.resource_version,
                "labels": found.metadata.labels,
                "annotations": found.metadata.annotations,
            }
            was_ours = found.spec.holder_identity == self._identity
            if was_ours and found.spec.acquire_time is not None:
                spec["acquireTime"] = _micro_time(found.spec.acquire_time)
            spec["leaseTransitions"] = (found.spec.lease_transitions or 0) + (not was_ours)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }


class KubeJournal:
    """Events about the Lease: ``kubectl describe lease`` shows them.

    Args:
        api: a configured client.
        identity: who reports.
        clock: the time of the event.
    """

    def __init__(
        self, api: client.ApiClient, *, namespace: str, lease: str, identity: str, clock: Clock
    ) -> None:
        self._events = client.CoreV1Api(api)
        self._namespace = namespace
        self._lease = lease
        self._identity = identity
        self._clock = clock

    async def emitted(self, cabinets: int) -> None:
        """Tell how many cabinets' runs were asked for. Best effort."""
        body = self._body(f"{cabinets} cabinets emitted")
        try:
            await _asked(
                lambda: self._events.create_namespaced_event(
                    self._namespace, body, _request_timeout=_REQUEST_SECONDS
                ),
                "an Event about the Lease",
                self._lease,
            )
        except (LockError, _ConflictError) as error:
            _log.warning("kubernetes_event_not_recorded", reason=str(error))

    def _body(self, message: str) -> Any:
        now = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "metadata": {"generateName": f"{self._lease}-", "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "name": self._lease,
                "namespace": self._namespace,
            },
            "type": "Normal",
            "reason": "SlotsEmitted",
            "message": message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": "kartoteka-scheduler"},
            "reportingComponent": "kartoteka-scheduler",
            "reportingInstance": self._identity,
        }


class _ConflictError(Exception):
    """It was changed since it was read."""


async def _asked(call: Callable[[], R], what: str, name: str) -> R:
    """Call the blocking client beside the loop, and translate its failures."""
    try:
        return await asyncio.to_thread(call)
    except ApiException as error:
        if error.status == _CONFLICT:
            raise _ConflictError(f"{what} {name} was changed meanwhile") from error
        advice = _RIGHTS if error.status in _NOT_ALLOWED else f": {str(error.body)[:_SHOWN]}"
        raise LockError(
            f"the apiserver refuses {what} {name}: {error.status} {error.reason}{advice}"
        ) from error
    except (HTTPError, OSError) as error:
        raise LockError(f"the apiserver does not answer: {error}") from error


def _micro_time(at: datetime) -> str:
    """Return a MicroTime: Kubernetes wants six digits behind the second.

    Whatever it is given, the client writes it by ``isoformat``, which leaves out six zeros; so
    there never are six.
    """
    if at.microsecond == 0:
        at -= timedelta(microseconds=1)
    return at.astimezone(UTC).isoformat()
