from kartoteka_runtime.health import Health


def test_not_ready_until_started() -> None:
    health = Health()
    assert health.ready() == (False, {"startup": "start-up is not over"})
    health.started = True
    assert health.ready() == (True, {})


def test_a_hold_keeps_from_being_ready_until_it_is_cleared() -> None:
    health = Health()
    health.started = True
    health.hold("topics", "one is missing")
    health.hold("topics", "two are missing")
    assert health.ready() == (False, {"topics": "two are missing"})
    assert health.live() == (True, {})
    health.clear("topics")
    health.clear("never held")
    assert health.ready() == (True, {})


def test_a_watch_that_finds_a_reason_is_death() -> None:
    health = Health()
    found: list[str] = []
    health.watch("loop", lambda: found[0] if found else None)
    assert health.live() == (True, {})
    found.append("no progress for 420 s")
    assert health.live() == (False, {"loop": "no progress for 420 s"})


def test_a_need_is_asked_at_every_probe() -> None:
    health = Health()
    health.started = True
    trouble = ["not connected"]
    health.need("producer", lambda: trouble[0] if trouble else None)
    assert health.ready() == (False, {"producer": "not connected"})
    assert health.live() == (True, {})
    trouble.clear()
    assert health.ready() == (True, {})
