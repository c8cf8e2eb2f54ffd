# ruff: noqa: INP001 - mounted as a single file, part of no package
"""`helm test`: uploads a document, follows its task, finds it, deletes it. Standard library only.

Environment: KARTOTEKA_URL, KARTOTEKA_KEY, KARTOTEKA_CABINET, KARTOTEKA_TIMEOUT (seconds in all).
Exit status: 0, or 1 with what failed and where to look.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any, Final

_ENDS: Final = frozenset({"succeeded", "empty", "unchanged", "failed", "superseded", "cancelled"})
_PAUSE_SECONDS: Final = 1.0
_REQUEST_SECONDS: Final = 30.0
_UNAVAILABLE: Final = 503
_SHOWN: Final = 500

_TEXT: Final = """\
The {word} lighthouse keeper counts the ships that pass at night and writes every one of them down.
In the morning the list goes to the harbour, where it is compared with what the pilots saw.
"""


class StepError(Exception):
    """A step did not do what it must; the message says what to look at."""


class Api:
    """Kartoteka's HTTP API, patient with a store that is away for a moment.

    Args:
        url: base URL.
        key: an API key.
        deadline: of ``time.monotonic``; after it nothing is tried again.
    """

    def __init__(self, url: str, key: str, deadline: float) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._deadline = deadline

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._deadline

    def call(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> dict[str, Any]:
        """Return the answer's JSON.

        Raises:
            StepError: it is refused, or was away until the deadline.
        """
        while True:
            try:
                return self._once(method, path, body, content_type)
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")[:_SHOWN]
                trouble = f"{method} {path} answered {error.code}: {text}"
                if error.code != _UNAVAILABLE:
                    raise StepError(trouble + _advice(error.code)) from error
            except OSError as error:
                trouble = f"{method} {self._url}{path}: {error}"
            if self.is_late:
                raise StepError(f"{trouble}\n  This did not change until the time was over.")
            say(f"  waiting: {trouble}")
            time.sleep(_PAUSE_SECONDS)

    def _once(
        self, method: str, path: str, body: bytes | None, content_type: str
    ) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, data=body, method=method)  # noqa: S310 - the chart's URL
        request.add_header("X-API-Key", self._key)
        if content_type:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as answer:  # noqa: S310 - as above
            found: dict[str, Any] = json.load(answer)
        return found


def say(line: str) -> None:
    """Print at once, for `helm test --logs`."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def upload(api: Api, cabinet: int, name: str, text: str) -> dict[str, Any]:
    """Send a text file; return what was accepted."""
    boundary = uuid.uuid4().hex
    fields = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in (("cabinet_id", str(cabinet)), ("external_id", name))
    )
    body = (
        f'{fields}--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"'
        f"\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--{boundary}--\r\n"
    )
    return api.call(
        "POST", "/rag/add-document", body.encode(), f"multipart/form-data; boundary={boundary}"
    )


def follow(api: Api, task: str) -> None:
    """Wait until a task has succeeded.

    Raises:
        StepError: it ended otherwise, or did not end in time.
    """
    seen = ""
    while True:
        found = api.call("GET", f"/rag/task/{task}")
        state = " ".join(filter(None, (found["status"], found.get("stage"))))
        if state != seen:
            say(f"  {state}")
            seen = state
        if found["status"] == "succeeded":
            return
        if found["status"] in _ENDS:
            raise StepError(f"task {task} ended as {found['status']}: {json.dumps(found)}")
        if api.is_late:
            raise StepError(
                f"task {task} is still '{state}'. Are embedders ready? Look at the pods with "
                "app.kubernetes.io/component=embedder, and at their logs."
            )
        time.sleep(_PAUSE_SECONDS / 2)


def found_in(api: Api, cabinet: int, query: str, document: str) -> bool:
    """Search the cabinet; return whether the document is among the hits."""
    question = {"cabinet_id": cabinet, "query": query, "top_k": 10}
    answer = api.call("POST", "/rag/search", json.dumps(question).encode(), "application/json")
    hits = answer["hits"]
    for hit in hits[:3]:
        say(f"  {hit['score']:.3f} {hit['external_id']}: {hit['text'][:60]!r}")
    return any(hit["document_id"] == document for hit in hits)


def remove(api: Api, cabinet: int, document: str) -> None:
    """Delete a document and wait until it is gone."""
    query = urllib.parse.urlencode({"cabinet_id": cabinet})
    follow(api, api.call("DELETE", f"/rag/documents/{document}?{query}")["task_id"])


def check(api: Api, cabinet: int) -> None:
    """Make the whole round.

    Raises:
        StepError: some step of it failed.
    """
    word = uuid.uuid4().hex[:8]
    text = _TEXT.format(word=word)
    say(f"1. upload helm-test-{word}.txt into cabinet {cabinet}")
    accepted = upload(api, cabinet, f"helm-test-{word}.txt", text)
    document = accepted["document_id"]
    try:
        say(f"2. follow task {accepted['task_id']}")
        follow(api, accepted["task_id"])
        say("3. search")
        if not found_in(api, cabinet, text.splitlines()[0], document):
            raise StepError("the document has succeeded, and no search finds it")
    finally:
        say(f"4. delete document {document}")
        remove(api, cabinet, document)
    if found_in(api, cabinet, text.splitlines()[0], document):
        raise StepError("the document was deleted, and a search still finds it")


def main(environment: Callable[[str, str], str] = os.environ.get) -> int:
    """Run the test; return the exit status."""
    key = environment("KARTOTEKA_KEY", "")
    url = environment("KARTOTEKA_URL", "")
    if not key:
        say(
            "FAILED: there is no API key. With auth.existingSecret the chart knows none: put one "
            "for everything into a Secret, and set tests.existingSecret and "
            "tests.existingSecretKey."
        )
        return 1
    deadline = time.monotonic() + float(environment("KARTOTEKA_TIMEOUT", "300"))
    say(f"testing {url}")
    try:
        check(Api(url, key, deadline), int(environment("KARTOTEKA_CABINET", "999999999")))
    except StepError as failure:
        say(f"FAILED: {failure}")
        return 1
    say("OK: a document can be uploaded, is indexed, found and deleted")
    return 0


def _advice(status: int) -> str:
    match status:
        case 401:
            return "\n  The key is not in the key file that ingest-api reads. Was it replaced?"
        case 403:
            return "\n  The key needs all scopes, in tests.cabinetId."
        case _:
            return ""


if __name__ == "__main__":
    sys.exit(main())
