"""``python -m ingest_api dlq`` against an API that a thread serves."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ingest_api import __main__ as command

KEY = "ktk_ab2cd3ef4g_secret"


def letter(n: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"0-{n}",
        "cabinet_id": 7,
        "document_id": None,
        "external_id": f"{n}.pdf",
        "task_id": "t",
        "reason": "malformed",
        "message": "damaged",
        "stage": "parsing",
        "attempts": 1,
        "first_failed_at": "2026-01-02T03:04:05Z",
        "dead_at": "2026-01-02T03:04:05Z",
        "origin": {"topic": "documents.bulk", "partition": 1, "offset": 2},
        "replays": 0,
        "resolution": None,
    } | fields


class Api(HTTPServer):
    """Answers as the API does, from a list of letters, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.letters = [letter(n) for n in range(3)]
        self.refuses: set[str] = set()
        self.fails_after: int | None = None
        self.queries: list[dict[str, str]] = []
        self.posts: list[tuple[str, dict[str, Any]]] = []

    def listed(self, query: dict[str, str]) -> dict[str, Any]:
        self.queries.append(query)
        first, size = int(query.get("cursor", 0)), int(query["limit"])
        more = first + size < len(self.letters)
        page = self.letters[first : first + size]
        return {"letters": page, "next_cursor": str(first + size) if more else None}

    def resolved(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if self.fails_after is not None and len(self.posts) >= self.fails_after:
            return None
        self.posts.append((path, body))
        refused = {"code": "replay_limit", "message": "no"}
        results = [
            {"id": one, "task_id": f"task-{one}", "error": refused if one in self.refuses else None}
            for one in body["ids"]
        ]
        return {"dry_run": body["dry_run"], "results": results, "next_cursor": None}


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _is_known(self) -> bool:
        if self.headers["X-API-Key"] == KEY:
            return True
        self._answer(401, {"code": "unauthenticated", "detail": "Send a key."})
        return False

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if not self._is_known():
            return
        if address.path == "/rag/dlq":
            self._answer(200, self.server.listed(dict(parse_qsl(address.query))))
            return
        raw = {"value": '{"a": "\x1b[2J"}\nb', "encoding": "text", "size": 12, "is_cut": False}
        self._answer(200, self.server.letters[0] | raw | {"headers": {"x-reason": "malformed"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_known():
            answer = self.server.resolved(self.path, body)
            away = {"code": "view_behind", "detail": "Try again."}
            self._answer(503 if answer is None else 200, answer or away)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("API_URL", server.url)
    monkeypatch.setenv("API_KEY", KEY)
    monkeypatch.setenv("KARTOTEKA_HOME", str(tmp_path))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_table_shows_what_died_and_why(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.letters[1] = letter(1, external_id="\x1b[31mred\n.pdf", cabinet_id=None)
    assert command.main(["dlq", "list", "--reason", "malformed", "--newer-than", "2h"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["ID", "0-0", "0-1", "0-2"]
    assert "\x1b" not in out
    assert "malformed" in out
    (query,) = api.queries
    assert query == {
        "reason": "malformed",
        "newer_than": "2h",
        "resolved": "false",
        "limit": "200",
    }


def test_a_list_for_programs_has_all_pages(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.letters = [letter(n) for n in range(450)]
    assert command.main(["dlq", "list", "--json", "--resolved", "all"]) == 0
    assert json.loads(capsys.readouterr().out) == {"letters": api.letters}
    assert command.main(["dlq", "list", "--json", "--limit", "201"]) == 0
    assert len(json.loads(capsys.readouterr().out)["letters"]) == 201


def test_one_letter_is_shown_without_its_escape_sequences(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["dlq", "show", "0-0"]) == 0
    out = capsys.readouterr().out
    assert "header x-reason: malformed" in out
    assert "\x1b" not in out
    assert api.posts == []


@pytest.mark.parametrize("action", ["replay", "discard"])
@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_without_yes_it_is_a_dry_run(
    api: Api, capsys: pytest.CaptureFixture[str], action: str, flags: list[str]
) -> None:
    assert command.main(["dlq", action, "--reason", "malformed", *flags]) == 0
    assert api.posts == [(f"/rag/dlq/{action}", {"ids": ["0-0", "0-1", "0-2"], "dry_run": True})]
    assert "Dry run: 3 would be" in capsys.readouterr().err


def test_with_yes_it_is_done_in_batches_with_progress(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.letters = [letter(n) for n in range(230)]
    assert command.main(["dlq", "replay", "--all", "--yes", "--max-replays", "5"]) == 0
    assert [len(body["ids"]) for _, body in api.posts] == [100, 100, 30]
    assert {(body["dry_run"], body["max_replays"]) for _, body in api.posts} == {(False, 5)}
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "100 of 230",
        "200 of 230",
        "230 of 230",
        "230 replayed.",
    ]
    assert "task-0-229" in captured.out


def test_what_is_refused_is_said_and_fails(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.refuses = {"0-1"}
    assert command.main(["dlq", "replay", "0-0", "0-1", "--yes", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"letters": 2, "done": 1, "failed": 1}
    assert api.queries == []


def test_what_was_done_before_a_failure_is_shown(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.letters = [letter(n) for n in range(150)]
    api.fails_after = 1
    assert command.main(["dlq", "discard", "--all", "--yes"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 101
    assert "view_behind" in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["discard", "--yes"],
        ["replay", "0-1", "--all"],
        ["replay", "0-1", "--reason", "x"],
        ["replay", "0-1", "--key-file", "/nowhere"],
        ["list", "--url", "ftp://x"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(api: Api, arguments: list[str]) -> None:
    assert command.main(["dlq", *arguments]) == 2
    assert api.posts == []


def test_the_key_comes_from_a_file_the_environment_or_the_local_stack_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_KEY", "wrong")
    assert command.main(["dlq", "list"]) == 1
    assert "unauthenticated" in capsys.readouterr().err
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    assert command.main(["dlq", "list", "--key-file", str(key_file)]) == 0
    monkeypatch.delenv("API_KEY")
    assert command.main(["dlq", "list"]) == 2
    stack = {"api_url": api.url, "api_key": KEY}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    assert command.main(["dlq", "list"]) == 0
    monkeypatch.delenv("API_URL")
    assert command.main(["dlq", "list"]) == 0
    # The local stack's key is not sent elsewhere.
    assert command.main(["dlq", "list", "--url", "http://127.0.0.1:1"]) == 2


def test_an_api_that_is_away_is_named(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["dlq", "list", "--url", "http://127.0.0.1:1"]) == 1
    assert "http://127.0.0.1:1" in capsys.readouterr().err
    assert api.queries == []
