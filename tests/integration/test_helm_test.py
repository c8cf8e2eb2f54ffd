"""The script behind `helm test`, on a real stack: it finds what is well, and says what is not."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from kartoteka_testkit.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SCRIPT = Path(__file__).resolve().parents[2] / "charts" / "kartoteka" / "files" / "helm_test.py"
CABINET = "999999999"


async def helm_test(url: str, key: str, *, seconds: int = 60) -> tuple[int, str]:
    """Run it as its Pod does; return the exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(SCRIPT),
        env={
            "PATH": os.environ["PATH"],
            "KARTOTEKA_URL": url,
            "KARTOTEKA_KEY": key,
            "KARTOTEKA_CABINET": CABINET,
            "KARTOTEKA_TIMEOUT": str(seconds),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_test_of_a_release_passes_fails_and_leaves_nothing(tmp_path: Path) -> None:
    async with Stack(tmp_path) as stack:
        url = stack.api_urls[0]
        key = stack.client.http.headers["X-API-Key"]

        status, said = await helm_test(url, key)
        assert status == 0, said
        assert said.splitlines()[-1].startswith("OK")
        assert await stack.client.found("lighthouse keeper", cabinet=int(CABINET)) == []

        status, said = await helm_test(url, "")
        assert status == 1
        assert "tests.existingSecret" in said

        status, said = await helm_test(url, f"{key[:-1]}x")
        assert status == 1
        assert "answered 401" in said

        stack.embedders[0].stop()
        status, said = await helm_test(url, key, seconds=4)
        assert status == 1
        assert "is still 'queued'" in said
        assert "component=embedder" in said


async def test_an_api_that_is_away_is_waited_for_and_named() -> None:
    status, said = await helm_test("http://127.0.0.1:9", "ktk_x", seconds=2)
    assert status == 1
    assert "http://127.0.0.1:9/rag/add-document" in said
    assert "Traceback" not in said
