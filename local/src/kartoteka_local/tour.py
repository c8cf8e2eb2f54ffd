"""What a ready stack shows a newcomer: addresses, commands to copy, samples, a search."""

import json
import textwrap
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from kartoteka_contracts.ids import CabinetId, document_id
from kartoteka_local.api_client import ApiClient, ApiError
from kartoteka_local.console import Console
from kartoteka_local.home import Home
from kartoteka_local.samples import Samples
from kartoteka_local.stack_file import StackFile

__all__ = ["QUESTION", "Tour"]

QUESTION: Final = "How does the lens of a lighthouse make a beam out of the lamp's light?"
"""Answered by one passage of one sample."""
_HITS: Final = 3
_PASSAGE_WIDTH: Final = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """Shown once the stack is ready."""

    home: Home
    console: Console
    samples: Samples | None
    """None: neither indexed nor searched."""
    cabinet: int
    connect: Callable[[str, str], ApiClient] = ApiClient
    """Opens the API by address and key."""

    async def show(self, stack: StackFile) -> None:
        """Show all of it; a failing step is said, and the stack stays up."""
        self._addresses(stack)
        async with self.connect(stack.api_url, stack.api_key) as api:
            if self.samples is not None:
                self.console.head(f"Sample documents ({self.samples.folder})")
                await self._try(self.samples.index(api, self.console))
            self._commands(stack, await self._try(api.newest_task(self.cabinet)))
            if self.samples is not None:
                self.console.head(f"A sample search: {QUESTION}")
                await self._try(self._search(api))
        self.console.head("Everything is up. Ctrl-C stops it; the data stays for the next start.")

    async def _try(self, step: Awaitable[T]) -> T | None:
        try:
            return await step
        except ApiError as error:
            self.console.warn(f"That did not work: {error}")
            return None

    def _addresses(self, stack: StackFile) -> None:
        say = self.console.say
        self.console.head("Kartoteka is ready")
        say(f"  API        {stack.api_url}")
        say(f"  Docs       {stack.api_url}/docs")
        say(f"  API key    {stack.api_key}")
        say(f"  Kafka      {stack.kafka}")
        say(f"  Qdrant     {stack.qdrant_url}")
        say(f"  Data       {self.home.root}   (logs: {self.home.log('x').parent})")

    def _commands(self, stack: StackFile, task_id: str | None) -> None:
        say, url = self.console.say, stack.api_url
        task = task_id or "$TASK"
        body = json.dumps({"cabinet_id": self.cabinet, "query": QUESTION, "top_k": _HITS})
        quoted = body.replace("'", "'\\''")
        folder = self.samples.folder if self.samples else "local/samples"
        self.console.head("Try it yourself")
        say(f"  KEY='{stack.api_key}'")
        say("  # upload a document")
        say(
            f'  curl -sS -H "X-API-Key: $KEY" -F cabinet_id={self.cabinet} '
            f"-F file=@{folder}/bicycle-care.txt {url}/rag/add-document"
        )
        say("  # upload several at once")
        say(
            f'  curl -sS -H "X-API-Key: $KEY" -F cabinet_id={self.cabinet} '
            f"-F files=@{folder}/bicycle-care.txt -F files=@{folder}/sourdough-bread.md "
            f"{url}/rag/add-documents-batch"
        )
        if task_id is None:
            say("  TASK='the task_id of an upload'")
        say("  # where is it now?")
        say(f'  curl -sS -H "X-API-Key: $KEY" {url}/rag/task/{task}')
        say("  # follow it live, until its end")
        say(f'  curl -sSN -H "X-API-Key: $KEY" {url}/rag/task/{task}/events')
        say("  # all tasks, all documents")
        say(f'  curl -sS -H "X-API-Key: $KEY" "{url}/rag/tasks?cabinet={self.cabinet}"')
        say(f'  curl -sS -H "X-API-Key: $KEY" {url}/rag/cabinets/{self.cabinet}/documents')
        say("  # search")
        say(
            '  curl -sS -H "X-API-Key: $KEY" -H "Content-Type: application/json" '
            f"-d '{quoted}' {url}/rag/search"
        )
        say("  # cancel a task that has not ended; delete the document that was uploaded first")
        say(f'  curl -sS -X DELETE -H "X-API-Key: $KEY" {url}/rag/task/{task}')
        document = document_id(CabinetId(self.cabinet), "bicycle-care.txt")
        say(f'  curl -sS -X DELETE -H "X-API-Key: $KEY" {url}/rag/documents/{document}')

    async def _search(self, api: ApiClient) -> None:
        hits = await api.search(self.cabinet, QUESTION, _HITS)
        if not hits:
            self.console.warn("Nothing was found.")
        for place, hit in enumerate(hits, 1):
            page = f", page {hit.page}" if hit.page is not None else ""
            self.console.say(f"  {place}. {hit.name}{page}   score {hit.score:.3f}")
            passage = textwrap.shorten(hit.text, _PASSAGE_WIDTH, placeholder=" …")
            self.console.say(textwrap.indent(textwrap.fill(passage, 92), "     "))
