"""Checks, from outside, that uploads are asynchronous. A script, with nothing but the library.

    python tests/acceptance/test_async_upload.py [--url http://127.0.0.1:8080] [--key KEY]

It runs against a running stack. Address and key come from the options, else from KARTOTEKA_URL
and KARTOTEKA_API_KEY, else from stack.json in KARTOTEKA_HOME. Exit code 0: everything holds.

The contract that callers know:
  1. a single upload answers in under a second, however long indexing takes;
  2. a batch answers with the task id of every file at once;
  3. several requests are processed in parallel;
  4. every task can be followed by its id, to its end.
"""

# ruff: noqa: T201, S310 - it talks to a person, and opens the address that it was given
import argparse
import http.client
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ANSWER_SECONDS: Final = 1.0
"""The contract's own figure."""
PARALLEL: Final = 6
SLOW_UPLOAD_SECONDS: Final = 2.0
FOLLOW_SECONDS: Final = 180.0
OPEN: Final = ("queued", "running", "retrying")
ENDS: Final = ("succeeded", "empty", "unchanged", "failed", "superseded", "cancelled")


class ContractError(Exception):
    """Something is not as promised."""


@dataclass(frozen=True)
class Answer:
    """A status, the JSON body, and the seconds that it took."""

    status: int
    body: dict[str, Any]
    seconds: float


class Api:
    """The calls that existing callers make."""

    def __init__(self, url: str, key: str, cabinet: int) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self.cabinet = cabinet

    def add_document(self, name: str, content: bytes) -> Answer:
        """POST one file."""
        kind, body = form(
            [("cabinet_id", None, str(self.cabinet).encode()), ("file", name, content)]
        )
        return self.post("/rag/add-document", kind, body)

    def add_batch(self, files: dict[str, bytes]) -> Answer:
        """POST several files in one request."""
        parts: list[tuple[str, str | None, bytes]] = [
            ("cabinet_id", None, str(self.cabinet).encode())
        ]
        parts += [("files", name, content) for name, content in files.items()]
        kind, body = form(parts)
        return self.post("/rag/add-documents-batch", kind, body)

    def task(self, task_id: str) -> Answer:
        """GET one task."""
        return self._send(urllib.request.Request(f"{self.url}/rag/task/{task_id}"))

    def post(self, path: str, kind: str, body: bytes) -> Answer:
        """POST a body."""
        request = urllib.request.Request(f"{self.url}{path}", data=body, method="POST")
        request.add_header("Content-Type", kind)
        return self._send(request)

    def post_slowly(self, path: str, kind: str, body: bytes, seconds: float) -> Answer:
        """POST a body piece by piece, as over a slow line; the time is from the first piece."""
        address = urllib.parse.urlsplit(self.url)
        secure = address.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(address.hostname or "", address.port, timeout=60)
        pieces = [
            body[n : n + 1 + len(body) // 10] for n in range(0, len(body), 1 + len(body) // 10)
        ]

        def trickle() -> Iterator[bytes]:
            for piece in pieces:
                time.sleep(seconds / len(pieces))  # the slow line itself, not a wait for anything
                yield piece

        began = time.monotonic()
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "X-API-Key": self.key,
        }
        connection.request("POST", address.path + path, body=trickle(), headers=headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return Answer(answer.status, as_json(data), time.monotonic() - began)

    def _send(self, request: urllib.request.Request) -> Answer:
        request.add_header("X-API-Key", self.key)
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                data = answer.read()
                return Answer(answer.status, as_json(data), time.monotonic() - began)
        except urllib.error.HTTPError as error:
            return Answer(error.code, as_json(error.read()), time.monotonic() - began)


def form(parts: list[tuple[str, str | None, bytes]]) -> tuple[str, bytes]:
    """Return the content type and body of a multipart form of (field, file name, content)."""
    boundary = uuid.uuid4().hex
    body = b""
    for field, filename, content in parts:
        disposition = f'form-data; name="{field}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        body += content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def as_json(data: bytes) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def document(about: str) -> bytes:
    """Return a text of some length that no other run has sent."""
    mark = uuid.uuid4().hex
    paragraph = f"This passage is about {about} and carries the mark {mark}. " * 12
    return "\n\n".join([paragraph] * 15).encode()


def check(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as an assertion
    """Raise unless it holds."""
    if not holds:
        raise ContractError(what)


def a_single_upload_answers_in_under_a_second(api: Api) -> str:
    """Send one document of several pages of text."""
    api.add_document("warm-up.txt", b"One line, so that connections and caches are warm.")
    answer = api.add_document("single.txt", document("tides"))
    check(answer.status == 202, f"the answer was {answer.status}: {answer.body}")
    check(bool(answer.body.get("task_id")), f"the answer has no task_id: {answer.body}")
    check(answer.body.get("status") == "queued", f"the status is no 'queued': {answer.body}")
    check(answer.seconds < ANSWER_SECONDS, f"it took {answer.seconds:.2f} s")
    return f"{answer.seconds * 1000:.0f} ms"


def a_batch_answers_with_its_task_ids_at_once(api: Api) -> str:
    """Send ten documents in one request."""
    files = {f"batch-{n}.txt": document(f"island number {n}") for n in range(10)}
    answer = api.add_batch(files)
    check(answer.status == 202, f"the answer was {answer.status}: {answer.body}")
    tasks = answer.body.get("tasks", [])
    check([t.get("filename") for t in tasks] == list(files), f"not one task a file: {tasks}")
    ids = [task.get("task_id") for task in tasks]
    check(all(ids) and len(set(ids)) == len(files), f"not an id for each file: {tasks}")
    # At once: the answer did not wait for the work, which is still open for some of them.
    states = [api.task(task_id).body.get("status") for task_id in ids]
    check(any(state in OPEN for state in states), f"all were done before the answer: {states}")
    return f"{len(ids)} ids in {answer.seconds * 1000:.0f} ms, {count_open(states)} still open"


def count_open(states: list[Any]) -> int:
    """Return how many are at no end yet."""
    return sum(state in OPEN for state in states)


def several_requests_are_processed_in_parallel(api: Api) -> str:
    """Send several uploads over slow lines: one after another they would take their sum."""
    together = threading.Barrier(PARALLEL)

    def upload(number: int) -> Answer:
        content = document(f"mountain number {number}")
        cabinet = str(api.cabinet).encode()
        name = f"parallel-{number}.txt"
        kind, body = form([("cabinet_id", None, cabinet), ("file", name, content)])
        together.wait()
        return api.post_slowly("/rag/add-document", kind, body, SLOW_UPLOAD_SECONDS)

    began = time.monotonic()
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = list(pool.map(upload, range(PARALLEL)))
    took = time.monotonic() - began
    statuses = [answer.status for answer in answers]
    check(statuses == [202] * PARALLEL, f"the answers were {statuses}")
    one_by_one = PARALLEL * SLOW_UPLOAD_SECONDS
    check(took < one_by_one / 2, f"{took:.1f} s, and {one_by_one:.0f} s one by one")
    return f"{PARALLEL} uploads of {SLOW_UPLOAD_SECONDS:.0f} s each in {took:.1f} s"


def statuses_can_be_followed_by_task_id(api: Api) -> str:
    """Follow single and batch uploads to their ends."""
    first = api.add_document("followed.txt", document("lichens")).body["task_id"]
    batch = api.add_batch({f"followed-{n}.txt": document(f"moss {n}") for n in range(3)})
    ids = [first, *(task["task_id"] for task in batch.body["tasks"])]
    ends = {task_id: follow(api, task_id) for task_id in ids}
    check(
        set(ends.values()) == {"succeeded"},
        f"not all of them succeeded: {ends}",
    )
    unknown = api.task(str(uuid.uuid4()))
    check(unknown.status == 404, f"an unknown id answers {unknown.status}")
    return f"{len(ids)} tasks followed to 'succeeded'"


def follow(api: Api, task_id: str) -> str:
    """Return the end of a task; every state on the way must be one that callers know."""
    deadline = time.monotonic() + FOLLOW_SECONDS
    while time.monotonic() < deadline:
        answer = api.task(task_id)
        check(answer.status == 200, f"task {task_id} answers {answer.status}: {answer.body}")
        check(answer.body.get("task_id") == task_id, f"another task was answered: {answer.body}")
        status = str(answer.body.get("status"))
        check(status in OPEN or status in ENDS, f"unknown status {status!r}")
        if status in ENDS:
            return status
        time.sleep(0.2)  # between two questions, as a caller does
    raise ContractError(f"task {task_id} has no end after {FOLLOW_SECONDS:.0f} s")


CHECKS: Final[tuple[Callable[[Api], str], ...]] = (
    a_single_upload_answers_in_under_a_second,
    a_batch_answers_with_its_task_ids_at_once,
    several_requests_are_processed_in_parallel,
    statuses_can_be_followed_by_task_id,
)


def find_stack(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return address and key: from the options, the environment, or the running stack's file.

    Raises:
        ContractError: there is no running stack to be found.
    """
    root = Path(__file__).resolve().parents[2]
    home = Path(os.environ.get("KARTOTEKA_HOME") or root / ".kartoteka").expanduser()
    url = arguments.url or os.environ.get("KARTOTEKA_URL")
    key = arguments.key or os.environ.get("KARTOTEKA_API_KEY")
    if url and key:
        return url, key
    try:
        stack = json.loads((home / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ContractError(
            f"no running stack: {home}/stack.json is not there. Start it with `make run`, or give "
            "--url and --key."
        ) from None
    return url or stack["api_url"], key or stack["api_key"]


def run_checks(api: Api) -> int:
    """Run all checks, saying how each went. Returns how many failed."""
    failed = 0
    for each in CHECKS:
        name = each.__name__.replace("_", " ")
        try:
            print(f"PASS  {name}: {each(api)}", flush=True)
        except (ContractError, OSError, KeyError, http.client.HTTPException) as error:
            failed += 1
            print(f"FAIL  {name}: {error!r}", flush=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return failed


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description="Checks that uploads are asynchronous.")
    parser.add_argument("--url", help="the API's address")
    parser.add_argument("--key", help="an API key with the scopes ingest and read")
    parser.add_argument("--cabinet", type=int, default=900_001, help="where to upload to")
    arguments = parser.parse_args()
    try:
        url, key = find_stack(arguments)
    except ContractError as error:
        print(f"FAIL  {error}")
        return 1
    print(f"Against {url}")
    return 1 if run_checks(Api(url, key, arguments.cabinet)) else 0


if __name__ == "__main__":
    sys.exit(main())
