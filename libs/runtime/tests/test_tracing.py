import asyncio
import io
import json
import logging
import socket
import time
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from kartoteka_runtime.env import SettingsError, read
from kartoteka_runtime.logs import LogSettings, configure, get_logger
from kartoteka_runtime.tracing import (
    Tracer,
    TracingSettings,
    child,
    linked,
    open_tracer,
    origin,
    past,
    traceparent,
)
from kartoteka_testkit.recorded_spans import RecordedSpans
from kartoteka_testkit.span_collector import SpanCollector

CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = int(CAME.split("-")[1], 16)


@pytest.fixture
def spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    configure(LogSettings(), service="test", stream=out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_work_belongs_to_the_trace_that_it_came_with(spans: RecordedSpans) -> None:
    with spans.tracer.begin("work", traceparent=CAME), child("part", n=3):
        here = traceparent()
    part, work = spans.all
    assert {span.context.trace_id for span in spans.all} == {TRACE}
    assert work.parent is not None
    assert f"{work.parent.span_id:016x}" in CAME
    assert spans.parent(part) is work
    assert spans.attributes(part) == {"kartoteka.n": 3}
    assert here == f"00-{TRACE:032x}-{part.context.span_id:016x}-01"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        CAME.upper(),
        "ff" + CAME[2:],
        CAME + "-more",
        f"00-{'0' * 32}" + CAME[35:],
    ],
)
def test_what_cannot_be_read_begins_a_trace(spans: RecordedSpans, header: str | None) -> None:
    with spans.tracer.begin("work", traceparent=header):
        assert origin() == traceparent()
    assert spans.one("work").parent is None


def test_work_beside_the_current_one_has_the_same_parent(spans: RecordedSpans) -> None:
    with spans.tracer.begin("work", traceparent=CAME), child("part"):
        assert origin() == CAME


def test_an_enclosing_trace_does_not_matter(spans: RecordedSpans) -> None:
    with spans.tracer.begin("outer", traceparent=CAME):
        with spans.tracer.begin("inner", traceparent=None):
            pass
        with child("part"):
            pass
    assert spans.one("inner").context.trace_id != TRACE
    assert spans.one("part").context.trace_id == TRACE


def test_what_goes_its_own_way_has_a_trace_of_its_own_and_a_link(spans: RecordedSpans) -> None:
    with spans.tracer.begin("run", traceparent=CAME):
        with linked("send", task_id="t1"):
            sent = origin()
        assert origin() == CAME
    send = spans.one("send")
    assert send.context.trace_id != TRACE
    assert [link.context for link in send.links] == [spans.one("run").context]
    assert sent is not None
    assert sent.startswith(f"00-{send.context.trace_id:032x}-{send.context.span_id:016x}-")


def test_a_part_that_was_measured_elsewhere_lies_where_it_was(spans: RecordedSpans) -> None:
    with spans.tracer.begin("work", traceparent=None):
        past("parsing", seconds=2.0, ago=1.0)
    part = spans.one("parsing")
    assert part.start_time is not None
    assert part.end_time is not None
    assert part.end_time - part.start_time == pytest.approx(2e9)
    assert part.end_time < time.time_ns() - 0.9e9


def test_an_error_is_told_by_its_kind_and_never_quoted(spans: RecordedSpans) -> None:
    with pytest.raises(ValueError, match="secret"), spans.tracer.begin("work", traceparent=None):
        raise ValueError("the document's secret text")
    work = spans.one("work")
    assert work.status.status_code is StatusCode.ERROR
    assert spans.attributes(work)["error.type"] == "ValueError"
    assert "secret" not in work.to_json()


async def test_what_was_cancelled_has_not_failed(spans: RecordedSpans) -> None:
    async def work() -> None:
        with spans.tracer.begin("work", traceparent=None):
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    span = spans.one("work")
    assert spans.attributes(span) == {"kartoteka.cancelled": True}
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("is_on", [True, False])
def test_lines_inside_name_the_trace(
    spans: RecordedSpans, lines: io.StringIO, *, is_on: bool
) -> None:
    tracer, log = spans.tracer if is_on else Tracer(), get_logger("a")
    with tracer.begin("work", traceparent=CAME), child("part"):
        log.info("inside")
        logging.getLogger("some.library").warning("inside")
    log.info("outside")
    told = [json.loads(line).get("trace_id") for line in lines.getvalue().splitlines()]
    assert told == [f"{TRACE:032x}"] * 2 + [None]


def test_off_passes_on_what_came_and_records_nothing() -> None:
    with Tracer().begin("work", traceparent=CAME):
        with child("part") as part, linked("other"):
            part.note(n=1)
            part.fail("code")
            past("parsing", seconds=1.0)
            assert traceparent() == CAME
        assert origin() == CAME
    assert traceparent() is None


def test_off_without_a_trace_there_is_none() -> None:
    with Tracer().begin("work", traceparent=None):
        assert traceparent() is None
        assert origin() is None


def test_off_costs_microseconds() -> None:
    tracer, begun = Tracer(), time.perf_counter()
    for _ in range(2000):
        with tracer.begin("work", traceparent=CAME), child("part", n=1):
            pass
    assert (time.perf_counter() - begun) / 2000 < 0.0005


def test_nothing_global_is_set() -> None:
    before = trace.get_tracer_provider()
    tracer = open_tracer(TracingSettings(enabled=True, endpoint="http://127.0.0.1:9"), service="t")
    asyncio.run(tracer.close(0.1))
    assert trace.get_tracer_provider() is before


def test_settings_need_an_address_only_when_enabled() -> None:
    assert not read(TracingSettings, {}).enabled
    with pytest.raises(SettingsError, match="TRACING_ENDPOINT"):
        read(TracingSettings, {"TRACING_ENABLED": "true"})
    with pytest.raises(SettingsError, match="TRACING_SAMPLE_RATIO"):
        read(TracingSettings, {"TRACING_SAMPLE_RATIO": "1.1"})


def is_recorded(header: str) -> bool:
    return bool(int(header[-2:], 16) & trace.TraceFlags.SAMPLED)


def passed_on(came: str | None, *, ratio: float, service: str = "t") -> str:
    """Return the traceparent that a part of the work hands on."""
    settings = TracingSettings(enabled=True, endpoint="http://127.0.0.1:9", sample_ratio=ratio)
    tracer = open_tracer(settings, service=service)
    with tracer.begin("work", traceparent=came), child("part"):
        header = traceparent()
    asyncio.run(tracer.close(0.1))
    assert header is not None
    return header


@pytest.mark.parametrize("came", [None, CAME, f"{CAME[:-2]}00"])
def test_a_share_of_nothing_records_nothing_whatever_a_caller_says(came: str | None) -> None:
    assert not is_recorded(passed_on(came, ratio=0))


def test_what_a_caller_does_not_record_is_not_recorded() -> None:
    assert not is_recorded(passed_on(f"{CAME[:-2]}00", ratio=1))
    assert is_recorded(passed_on(CAME, ratio=1))


@pytest.mark.parametrize(("ratio", "is_chosen"), [(0.5, False), (0.6, True)])
def test_all_services_choose_the_same_traces(ratio: float, *, is_chosen: bool) -> None:
    """The trace's id is at 0.52 of all."""
    first = passed_on(CAME, ratio=ratio, service="ingest-api")
    second = passed_on(first, ratio=ratio, service="embedder")
    assert (is_recorded(first), is_recorded(second)) == (is_chosen, is_chosen)
    assert first.split("-")[1] == second.split("-")[1] == CAME.split("-")[1]


async def test_closing_sends_what_is_left() -> None:
    with SpanCollector() as collector:
        settings = TracingSettings(enabled=True, endpoint=f"{collector.url}/")
        tracer = open_tracer(settings, service="embedder")
        with tracer.begin("work", traceparent=CAME):
            pass
        await tracer.close()
    (span,) = collector.spans
    assert (span.service, span.name, span.trace_id) == ("embedder", "work", f"{TRACE:032x}")


@pytest.mark.parametrize("is_deaf", [True, False])
async def test_a_collector_that_is_away_holds_nobody_up(*, is_deaf: bool) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
        port = deaf.getsockname()[1] if is_deaf else 9
        settings = TracingSettings(enabled=True, endpoint=f"http://127.0.0.1:{port}")
        tracer = open_tracer(settings, service="t")
        begun = time.monotonic()
        for _ in range(5000):
            with tracer.begin("work", traceparent=None):
                pass
        worked = time.monotonic()
        await tracer.close(0.3)
        assert time.monotonic() - worked < 1.0
        assert worked - begun < 5.0
