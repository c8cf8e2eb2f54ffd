"""After any history, reconciliation and the work that it sends leave everything as it was asked.

Histories of uploads, deletes, cancellations and tries that die, of which any may lose its event,
and half-written rests of others, over some documents; then time passes, short or long.
"""

import asyncio
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from indexing_world import CABINET, Countdown, Crash, delivered
from reconcile_world import ReconcileWorld

from embedder.domain.job import Job
from embedder.usecases.reconcile_rules import Ages
from kartoteka_contracts.events import DocumentSubmitted
from kartoteka_contracts.ids import DocumentId
from kartoteka_contracts.keys import body_key
from kartoteka_index.manifest import Outcome
from kartoteka_testkit import builders

_NAMES = ("a", "a", "a", "b")
_TEXTS = ("one", "one\ntwo", "three", "!encrypted")


@dataclass(frozen=True)
class Step:
    kind: str
    name: str
    text: str
    tries: int
    is_sent: bool


_STEPS = st.builds(
    Step,
    kind=st.sampled_from(["upload"] * 4 + ["delete"] * 3 + ["cancel", "orphan", "body", "cabinet"]),
    name=st.sampled_from(_NAMES),
    text=st.sampled_from(_TEXTS),
    tries=st.sampled_from([0, 0, 0, 3, 8, 14, 20, 26, 99, 99, 99]),
    is_sent=st.booleans(),
)


def _done(text: str) -> Step:
    return Step("upload", "a", text, 99, is_sent=True)


@dataclass
class History:
    """What happened, and what is to come of it."""

    world: ReconcileWorld
    uploads: list[Job] = field(default_factory=list)
    newest: dict[str, Job | None] = field(default_factory=dict)
    """By name; None where it is to be deleted."""
    taken_back: set[str] = field(default_factory=set)
    lingering: list[Job] = field(default_factory=list)
    """Jobs whose events wait in a topic."""

    async def go(self, step: Step) -> None:
        world, name = self.world, step.name
        job: Job | None = None
        match step.kind:
            case "upload":
                job = await world.upload(step.text, external_id=name)
                self.uploads.append(job)
                self.newest[name] = job
                self.taken_back.discard(name)
            case "delete" if name in self.newest:
                job = await world.delete(external_id=name)
                self.newest[name] = None
            case "cabinet":
                job = delivered(await world.delete_cabinet())
                self.newest = dict.fromkeys(self.newest)
            case "cancel" if (uploaded := self.newest.get(name)) is not None:
                await world.cancel(uploaded)
                self.taken_back.add(name)
            case "orphan" if self.uploads:
                of = self.uploads[step.tries % len(self.uploads)]
                # Never a work that may be published: no try leaves more of that than it publishes.
                if step.is_sent:
                    await world.plant(of, 3, epoch=step.tries + 1)
                else:
                    await world.plant(of, 3, version=of.submission.version - 500_000)
            case "body" if self.uploads:
                event = self.uploads[-1].submission
                key = body_key(event.cabinet_id, event.document_id, builders.submitted().task_id)
                await world.objects.create(key, b"of an upload that died")
            case _:
                return
        if job is not None:
            await self._try(job, step)

    async def _try(self, job: Job, step: Step) -> None:
        """Its event is lost; or waits; or a worker begins, and dies at the n-th call."""
        if step.tries == 0 and not step.is_sent:
            return
        if step.tries == 0:
            self.lingering.append(job)
            self.world.topics.put(job)
            return
        with suppress(Crash):
            await self.world.run(job, Countdown(step.tries).around)
            return
        if step.is_sent:
            self.lingering.append(job)
            self.world.topics.put(job)

    async def drain(self) -> None:
        """Workers do what waits."""
        for job in self.lingering:
            await self.world.settle(job)
        self.lingering.clear()
        self.world.topics.waiting_events.clear()

    async def assert_as_asked(self) -> None:
        world = self.world
        await world.assert_whole()
        texts = set(await world.texts())
        wanted: set[str] = set()
        for name, job in self.newest.items():
            own = [upload for upload in self.uploads if upload.external_id == name]
            manifest = await world.index.manifest(CABINET, DocumentId(own[0].document_id or ""))
            if job is None:
                assert manifest is None or manifest.published is None
                continue
            event = job.submission
            assert manifest is not None
            assert (manifest.fence, manifest.outcome is not None) == (event.version, True)
            body = next(text for text in _TEXTS if _is(event, text))
            if body.startswith("!"):
                assert manifest.outcome in {Outcome.FAILED, Outcome.CANCELLED}
            if manifest.published is None:
                assert body.startswith("!") or name in self.taken_back
                continue
            published = next(text for text in _TEXTS if manifest.published.sha256 == _hash(text))
            assert published == body or body.startswith("!") or name in self.taken_back
            wanted |= set(published.splitlines())
            affirmed = next(u for u in own if u.version == manifest.affirmed)
            assert await world.objects.exists(affirmed.submission.body_key)
        assert texts == wanted


def _hash(text: str) -> str:
    return builders.record(body=text.encode()).sha256


def _is(event: DocumentSubmitted, text: str) -> bool:
    return event.sha256 == _hash(text)


async def _check(steps: list[Step], hours: int, *, is_busy: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = ReconcileWorld(Path(folder))
        await world.index.ensure()
        history = History(world)
        for step in steps:
            await history.go(step)
        world.later(timedelta(hours=hours))
        if is_busy:  # beside what waits, all of it for a retry: none of it may be touched
            world.topics.waiting_events = [
                (job.event, world.clock.now()) for job in history.lingering
            ]
            await world.reconcile(Ages(orphan=timedelta(0)))
            assert not {e.task_id for e in world.emitted()} & {
                job.event.task_id for job in history.lingering
            }
        await history.drain()
        for _ in range(4):
            await world.reconcile(Ages(grace=timedelta(0), orphan=timedelta(0)))
            if await world.process_emitted() == 0:
                break
        await history.assert_as_asked()
        report = await world.reconcile(Ages(grace=timedelta(0), orphan=timedelta(0)))
        assert +report.mended == {}
        await world.index.close()


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example(steps=[_done("one"), Step("delete", "a", "", 0, is_sent=False)], hours=1, is_busy=False)
@example(steps=[_done("one"), _done("!encrypted"), _done("one")], hours=1200, is_busy=False)
@example(steps=[_done("one"), _done("!encrypted")], hours=1200, is_busy=False)
@given(
    steps=st.lists(_STEPS, min_size=1, max_size=9),
    hours=st.sampled_from([1, 30, 24 * 50]),
    is_busy=st.booleans(),
)
def test_whatever_happened_ends_as_it_was_asked(
    steps: list[Step], hours: int, *, is_busy: bool
) -> None:
    asyncio.run(_check(steps, hours, is_busy=is_busy))
