import pytest

from ingest_api.domain.admission import UploadGate
from kartoteka_contracts.errors import UnavailableError


def test_one_upload_too_many_is_refused_and_told_when_to_come_back() -> None:
    gate = UploadGate(uploads=2, announced_bytes=100)
    with gate.admitted(1), gate.admitted(1):
        with pytest.raises(UnavailableError) as caught, gate.admitted(1):
            pass
        assert caught.value.code == "overloaded"
        assert caught.value.retry_after > 0
    with gate.admitted(1):
        pass


def test_bytes_count_together() -> None:
    gate = UploadGate(uploads=9, announced_bytes=100)
    with gate.admitted(60), pytest.raises(UnavailableError), gate.admitted(60):
        pass
    assert gate.announced_bytes == 0


def test_a_single_upload_may_be_larger_than_all_together() -> None:
    gate = UploadGate(uploads=9, announced_bytes=100)
    with gate.admitted(1000):
        assert gate.uploads == 1


def test_a_place_is_given_back_after_a_failure() -> None:
    gate = UploadGate(uploads=1, announced_bytes=100)
    with pytest.raises(ValueError, match="oops"), gate.admitted(1):
        raise ValueError("oops")
    assert gate.uploads == 0
