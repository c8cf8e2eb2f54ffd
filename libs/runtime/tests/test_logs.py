import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from kartoteka_runtime.logs import LogSettings, configure, get_logger


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_event_fields_and_context() -> None:
    out = io.StringIO()
    configure(LogSettings(), service="test", stream=out)
    with structlog.contextvars.bound_contextvars(task_id="t1"):
        get_logger("a.b").info("chunk_indexed", chunks=12)
    line = json.loads(out.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "chunk_indexed",
        "chunks": 12,
        "level": "info",
        "logger": "a.b",
        "service": "test",
        "task_id": "t1",
    }


def test_lines_of_libraries_come_out_alike() -> None:
    out = io.StringIO()
    configure(LogSettings(), service="test", stream=out)
    logging.getLogger("some.library").warning("broken: %s", "pipe")
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"]) == ("broken: pipe", "warning")


def test_an_exception_is_one_line() -> None:
    out = io.StringIO()
    configure(LogSettings(), service="test", stream=out)
    try:
        int("why")
    except ValueError:
        get_logger("a").exception("it_failed")
    (line,) = out.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_below_the_level_nothing_is_written() -> None:
    out = io.StringIO()
    configure(LogSettings(level="warning"), service="test", stream=out)
    get_logger("a").info("quiet")
    logging.getLogger("aiokafka.client").info("quiet")
    assert not out.getvalue()


def test_people_get_text() -> None:
    out = io.StringIO()
    configure(LogSettings(format="console"), service="test", stream=out)
    get_logger("a").info("chunk_indexed", chunks=12)
    assert "chunk_indexed" in out.getvalue()
    assert "chunks=12" in out.getvalue()


def test_a_stack_shows_no_local_variable_to_people_either() -> None:
    out = io.StringIO()
    configure(LogSettings(format="console"), service="test", stream=out)
    text = "the text of " + "a document"
    try:
        _ = int(text[:3])
    except ValueError:
        get_logger("a").exception("it_failed")
    assert "ValueError: invalid literal" in out.getvalue()
    assert text not in out.getvalue()


def test_configured_twice_a_line_is_written_once() -> None:
    out = io.StringIO()
    for _ in range(2):
        configure(LogSettings(), service="test", stream=out)
    get_logger("a").info("once")
    assert len(out.getvalue().splitlines()) == 1


def test_a_library_that_repeats_itself_is_heard_once() -> None:
    out = io.StringIO()
    configure(LogSettings(), service="test", stream=out)
    for node in range(50):
        logging.getLogger("aiokafka.conn").error("cannot connect to %s", node)
        logging.getLogger("kartoteka").error("ours %s", node)
    logging.getLogger("aiokafka.conn").error("something else")
    lines = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert [line for line in lines if not line.startswith("ours")] == [
        "cannot connect to 0",
        "something else",
    ]
    assert len(lines) == 52
