"""Events flow one way: the only ways back are the declared ones."""

from collections.abc import Iterable

from kartoteka_contracts.codec import EVENT_TYPES
from kartoteka_contracts.topics import JOB_TOPICS, TOPICS, Service, flows


def _cycle(edges: Iterable[tuple[Service, Service]]) -> list[Service]:
    """Return services that lead back to themselves; empty where there are none."""
    after: dict[Service, set[Service]] = {}
    for start, end in edges:
        after.setdefault(start, set()).add(end)
    for first in after:
        todo, seen = [first], set()
        while todo:
            for step in after.get(todo.pop(), set()):
                if step == first:
                    return [first]
                if step not in seen:
                    seen.add(step)
                    todo.append(step)
    return []


def test_without_declared_ways_back_the_graph_has_no_cycle() -> None:
    forward = [(start, end) for start, topic, end in flows() if not TOPICS[topic].is_retry]
    assert _cycle(forward) == []


def test_every_declared_way_back_is_one() -> None:
    for topic in TOPICS.values():
        if topic.is_retry:
            forward = [
                (start, end)
                for start, name, end in flows()
                if not TOPICS[name].is_retry or name == topic.name
            ]
            assert _cycle(forward), f"{topic.name} is no way back, so it needs no is_retry"


def test_a_planted_cycle_is_found() -> None:
    edges = [(Service.INGEST_API, Service.EMBEDDER), (Service.EMBEDDER, Service.INGEST_API)]
    assert _cycle(edges)


def test_job_topics_share_partitions_and_key() -> None:
    assert {(TOPICS[name].partitions, TOPICS[name].key) for name in JOB_TOPICS} == {
        ("P", "cabinet/document")
    }


def test_every_event_has_a_topic_and_every_topic_knows_its_events() -> None:
    known = {name for name, _version in EVENT_TYPES}
    named = {event for topic in TOPICS.values() for event in topic.events}
    assert named == known
