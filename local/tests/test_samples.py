import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console as RichConsole

from kartoteka_local.api_client import ApiClient
from kartoteka_local.console import Console
from kartoteka_local.home import Home
from kartoteka_local.samples import SAMPLES, Samples
from kartoteka_local.stack_file import StackFile
from kartoteka_local.tour import QUESTION, Tour
from kartoteka_runtime.clock import SystemClock

STATES = ({"status": "queued"}, {"status": "running", "stage": "parsing"}, {"status": "succeeded"})


class FakeApi:
    """The API's answers, by path."""

    def __init__(self, indexed: dict[str, str], end: dict[str, Any] | None = None) -> None:
        self.indexed = indexed
        self.uploads: list[str] = []
        self.tasks: list[str] = []
        """The newest first."""
        self.end = end
        self.is_out = False
        self._asked: dict[str, int] = {}

    def client(self, url: str, key: str) -> ApiClient:
        return ApiClient(url, key, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["X-API-Key"] == "secret"
        path = request.url.path
        if path == "/rag/cabinets/7/documents":
            if self.is_out:
                return httpx.Response(503, text="index_unavailable")
            documents = [
                {"external_id": name, "published": {"sha256": sha256}}
                for name, sha256 in self.indexed.items()
            ]
            return httpx.Response(200, json={"documents": documents, "next_cursor": None})
        if path == "/rag/add-document":
            name = request.content.split(b'filename="')[1].split(b'"')[0].decode()
            self.uploads.append(name)
            self.tasks.insert(0, f"task-of-{name}")
            return httpx.Response(202, json={"task_id": f"task-of-{name}"})
        if path == "/rag/tasks":
            assert request.url.params["cabinet"] == "7"
            tasks = [{"task_id": task_id} for task_id in self.tasks[:1]]
            return httpx.Response(200, json={"tasks": tasks, "next_cursor": None})
        if path == "/rag/search":
            assert json.loads(request.content)["query"] == QUESTION
            return httpx.Response(200, json={"hits": [_HIT]})
        return httpx.Response(200, json=self._state(path))

    def _state(self, path: str) -> dict[str, Any]:
        seen = self._asked.get(path, 0)
        self._asked[path] = seen + 1
        state: dict[str, Any] = STATES[min(seen, len(STATES) - 1)]
        return self.end if self.end is not None and seen == 2 else state


_HIT = {
    "text": "So he kept the curved surface and took out the glass behind it.",
    "score": 0.71,
    "external_id": "lighthouse.pdf",
    "filename": "lighthouse.pdf",
    "page": 2,
}


def written() -> tuple[Console, Callable[[], str]]:
    """Return a console that is no terminal, and what was said on it."""
    file = io.StringIO()
    rich = RichConsole(file=file, highlight=False, markup=False, soft_wrap=True)
    return Console(rich), file.getvalue


def two_files(folder: Path) -> Samples:
    (folder / "a.txt").write_text("first", encoding="utf-8")
    (folder / "b.txt").write_text("second", encoding="utf-8")
    return Samples(folder=folder, cabinet=7, clock=SystemClock())


async def test_each_document_shows_its_stages_as_plain_lines(tmp_path: Path) -> None:
    api, (console, said) = FakeApi({}), written()
    async with api.client("http://api", "secret") as client:
        await two_files(tmp_path).index(client, console)
    assert sorted(api.uploads) == ["a.txt", "b.txt"]
    lines = [line.split()[:2] for line in said().splitlines() if "a.txt" in line]
    assert lines == [["a.txt", "queued"], ["a.txt", "parsing"], ["a.txt", "succeeded"]]


async def test_unchanged_samples_are_not_uploaded_again_and_said_so(tmp_path: Path) -> None:
    sha256 = hashlib.sha256(b"first").hexdigest()
    api, (console, said) = FakeApi({"a.txt": sha256, "b.txt": "older"}), written()
    async with api.client("http://api", "secret") as client:
        await two_files(tmp_path).index(client, console)
    assert api.uploads == ["b.txt"]
    assert "1 of 2 samples are indexed already and unchanged" in said()


async def test_a_sample_that_fails_says_why(tmp_path: Path) -> None:
    error = {"code": "malformed", "message": "The document is damaged"}
    api, (console, said) = FakeApi({}, {"status": "failed", "error": error}), written()
    async with api.client("http://api", "secret") as client:
        await two_files(tmp_path).index(client, console)
    assert "failed: malformed: The document is damaged" in said()


async def tour_of(api: FakeApi, samples: Samples | None, home: Path) -> str:
    """Return what the tour says."""
    console, said = written()
    tour = Tour(
        home=Home(root=home), console=console, samples=samples, cabinet=7, connect=api.client
    )
    await tour.show(
        StackFile(
            api_url="http://api",
            api_key="secret",
            kafka="127.0.0.1:9",
            qdrant_url="http://q",
            pids={},
            supervisor_pid=1,
        )
    )
    return said()


def has_commands(text: str, *paths: str) -> bool:
    lines = [line for line in text.splitlines() if "curl" in line]
    return all(any(path in line for line in lines) for path in paths)


async def test_the_tour_shows_addresses_commands_and_hits(tmp_path: Path) -> None:
    text = await tour_of(FakeApi({}), two_files(tmp_path), tmp_path / "home")
    assert "http://api/docs" in text
    assert has_commands(
        text, "add-document", "add-documents-batch", "task/task-of-", "events", "search"
    )
    assert "1. lighthouse.pdf, page 2   score 0.710" in text
    assert "he kept the curved surface" in text


async def test_a_later_tour_names_the_newest_task_in_its_commands(tmp_path: Path) -> None:
    samples = two_files(tmp_path)
    api = FakeApi({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in samples.files()})
    api.tasks = ["task-of-before"]
    text = await tour_of(api, samples, tmp_path / "home")
    assert api.uploads == []
    assert has_commands(text, "task/task-of-before", "task/task-of-before/events")


async def test_without_any_task_the_tour_says_where_its_id_goes(tmp_path: Path) -> None:
    text = await tour_of(FakeApi({}), None, tmp_path / "home")
    assert "TASK='the task_id of an upload'" in text
    assert has_commands(text, "task/$TASK", "task/$TASK/events")


async def test_samples_that_cannot_be_indexed_do_not_hide_the_commands(tmp_path: Path) -> None:
    api = FakeApi({})
    api.is_out = True
    text = await tour_of(api, two_files(tmp_path), tmp_path / "home")
    assert "That did not work: " in text
    assert "index_unavailable" in text
    assert has_commands(text, "add-document", "search")


def test_the_samples_are_of_every_kind_that_can_be_indexed() -> None:
    kinds = [path.suffix for path in SAMPLES.iterdir()]
    assert kinds.count(".pdf") >= 2
    assert {".txt", ".md", ".html"} <= set(kinds)
    russian = (SAMPLES / "samovar-cp1251.txt").read_bytes()
    assert "самовар" in russian.decode("cp1251").lower()
