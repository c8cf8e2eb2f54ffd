import httpx
import pytest
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from kartoteka_contracts.errors import KartotekaError, UnavailableError
from kartoteka_index.failures import attempt


def _answer(status: int) -> UnexpectedResponse:
    return UnexpectedResponse(
        status_code=status, reason_phrase="", content=b"said so", headers=httpx.Headers()
    )


class _Server:
    """Fails as it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        return "answer"


@pytest.mark.parametrize(
    "failure",
    [_answer(500), _answer(503), ResponseHandlingException(httpx.ConnectError("refused"))],
    ids=["500", "503", "refused"],
)
async def test_a_passing_failure_is_tried_again(failure: Exception) -> None:
    server = _Server(failure, failure)
    assert await attempt("search", server) == "answer"
    assert server.calls == 3


async def test_a_failure_that_stays_is_unavailable_after_three_tries() -> None:
    server = _Server(*[_answer(500)] * 9)
    with pytest.raises(UnavailableError, match="search: Qdrant answered 500: said so") as raised:
        await attempt("search", server)
    assert raised.value.code == "index_unavailable"
    assert server.calls == 3


@pytest.mark.parametrize(
    "failure",
    [
        ResponseHandlingException(httpx.ReadTimeout("slow")),
        _answer(401),
        _answer(403),
        _answer(404),
    ],
    ids=["timeout", "401", "403", "404"],
)
async def test_what_an_operator_or_time_repairs_is_unavailable_at_once(failure: Exception) -> None:
    server = _Server(failure)
    with pytest.raises(UnavailableError):
        await attempt("search", server)
    assert server.calls == 1


async def test_a_rate_limit_says_when_to_come_back() -> None:
    server = _Server(ResourceExhaustedResponse("limited", 7))
    with pytest.raises(UnavailableError) as raised:
        await attempt("search", server)
    assert raised.value.retry_after == 7.0


async def test_a_request_that_is_wrong_is_not_retriable() -> None:
    server = _Server(_answer(400))
    with pytest.raises(KartotekaError) as raised:
        await attempt("upsert", server)
    assert (raised.value.code, raised.value.retriable) == ("internal", False)
    assert server.calls == 1


async def test_errors_of_our_own_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        await attempt("search", _Server(ZeroDivisionError()))
