"""The same promises of the lock in memory, of a Lease, and of one in a real cluster."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from apiserver_double import ApiServerDouble
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from lock_suite import SECONDS, LockSuite
from scheduler_world import LockStore, MemoryLock

from kartoteka_testkit.frozen_clock import FrozenClock
from scheduler.adapters.cluster import connect
from scheduler.adapters.kube_lease import KubeJournal, KubeLease
from scheduler.adapters.no_cluster import NoLock
from scheduler.ports import Lock, LockError

CLUSTER = os.environ.get("KARTOTEKA_TEST_CLUSTER")


class TestMemoryLock(LockSuite):
    @pytest.fixture(autouse=True)
    def store(self) -> None:
        self._store = LockStore()

    def lock(self, name: str, clock: FrozenClock) -> Lock:
        return MemoryLock(self._store, name, clock, seconds=SECONDS)

    def go_away(self) -> None:
        self._store.is_away = True


def close(api: Any) -> None:  # the client's own close has no types
    api.close()


def unreachable() -> client.ApiClient:
    configuration = client.Configuration(host="http://127.0.0.1:9")
    configuration.proxy = None
    configuration.retries = 0
    return client.ApiClient(configuration)


def client_of(double: ApiServerDouble) -> client.ApiClient:
    configuration = client.Configuration(host=double.url)
    configuration.proxy = None
    configuration.retries = 0
    return client.ApiClient(configuration)


@pytest.fixture
def double() -> Iterator[ApiServerDouble]:
    with ApiServerDouble() as double:
        yield double


def lease(
    api: client.ApiClient, name: str, clock: FrozenClock, *, of: str = "kartoteka"
) -> KubeLease:
    return KubeLease(api, namespace="default", name=of, identity=name, seconds=SECONDS, clock=clock)


class TestKubeLease(LockSuite):
    @pytest.fixture(autouse=True)
    def server(self, double: ApiServerDouble) -> Iterator[None]:
        self._double = double
        self._clients: list[client.ApiClient] = []
        yield
        for api in self._clients:
            close(api)

    def lock(self, name: str, clock: FrozenClock) -> Lock:
        self._clients.append(client_of(self._double))
        return lease(self._clients[-1], name, clock)

    def go_away(self) -> None:
        self._double.refuses = 503

    async def test_it_says_what_kubernetes_shows_of_a_lease(self, clock: FrozenClock) -> None:
        one, two = self.lock("one", clock), self.lock("two", clock)
        await one.acquire()
        clock.advance(10)
        await one.acquire()
        spec = self._double.leases["kartoteka"]["spec"]
        assert spec == {
            "holderIdentity": "one",
            "leaseDurationSeconds": SECONDS,
            "acquireTime": "2025-12-31T23:59:59.999999+00:00",
            "renewTime": "2026-01-01T00:00:09.999999+00:00",
            "leaseTransitions": 0,
        }
        await one.release()
        assert self._double.leases["kartoteka"]["spec"].get("holderIdentity") is None
        await two.acquire()
        assert self._double.leases["kartoteka"]["spec"]["leaseTransitions"] == 1

    async def test_a_label_that_somebody_sets_meanwhile_is_no_loss_and_stays(
        self, clock: FrozenClock
    ) -> None:
        one = self.lock("one", clock)
        await one.acquire()
        self._double.meddles = 1
        assert await one.acquire()
        assert self._double.leases["kartoteka"]["metadata"]["labels"] == {"somebody": "else"}

    async def test_one_that_is_always_changed_meanwhile_is_not_taken(
        self, clock: FrozenClock
    ) -> None:
        one = self.lock("one", clock)
        await one.acquire()
        self._double.meddles = 100
        assert not await one.acquire()

    async def test_a_refusal_names_the_rights_that_are_needed(self, clock: FrozenClock) -> None:
        self._double.refuses = 403
        with pytest.raises(LockError, match="create and update on leases"):
            await self.lock("one", clock).acquire()

    async def test_an_apiserver_that_nobody_reaches_is_an_outage(self, clock: FrozenClock) -> None:
        self._clients.append(unreachable())
        with pytest.raises(LockError, match="does not answer"):
            await lease(self._clients[-1], "one", clock).acquire()

    async def test_the_journal_is_an_event_about_the_lease(self, clock: FrozenClock) -> None:
        self._clients.append(client_of(self._double))
        journal = KubeJournal(
            self._clients[-1], namespace="default", lease="kartoteka", identity="one", clock=clock
        )
        await journal.emitted(17)
        (event,) = self._double.events
        assert event["message"] == "17 cabinets emitted"
        assert event["involvedObject"]["kind"] == "Lease"
        assert event["involvedObject"]["name"] == "kartoteka"
        self._double.refuses = 403
        await journal.emitted(1)  # it never raises


if CLUSTER:

    class TestLeaseOfACluster(LockSuite):
        @pytest.fixture(autouse=True)
        def cluster(self) -> Iterator[None]:
            config = os.environ.get("KUBECONFIG")
            found = connect(
                is_inside=False, kubeconfig=Path(config) if config else None, namespace="default"
            )
            self._api, self._name = found.api, f"kartoteka-test-{uuid4().hex[:8]}"
            self._away = unreachable()
            self._locks: list[KubeLease] = []
            yield
            with suppress(ApiException):  # some tests leave none
                leases = client.CoordinationV1Api(self._api)
                leases.delete_namespaced_lease(self._name, "default")
            close(self._api)
            close(self._away)

        def lock(self, name: str, clock: FrozenClock) -> Lock:
            self._locks.append(lease(self._api, name, clock, of=self._name))
            return self._locks[-1]

        def go_away(self) -> None:
            for lock in self._locks:
                lock._leases = client.CoordinationV1Api(self._away)


async def test_without_a_cluster_the_lock_is_always_ours() -> None:
    one, two = NoLock(), NoLock()
    assert await one.acquire()
    assert await two.acquire()
    await one.release()
