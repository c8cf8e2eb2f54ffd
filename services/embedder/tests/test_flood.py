from embedder.domain.flood import Flood, FloodLimit


def test_the_one_after_the_limit_is_refused() -> None:
    flood = Flood(FloodLimit(in_a_row=2))
    reasons = ["unexpected", "embedding_failed", "retries_exhausted"]
    assert [flood.admits(reason) for reason in reasons] == [True, True, False]
    assert not flood.admits("unexpected")


def test_a_success_begins_the_count_anew() -> None:
    flood = Flood(FloodLimit(in_a_row=1))
    assert flood.admits("unexpected")
    flood.succeeded()
    assert flood.admits("unexpected")
    assert flood.in_a_row == 1


def test_verdicts_on_documents_neither_count_nor_end_a_row() -> None:
    flood = Flood(FloodLimit(in_a_row=1))
    assert flood.admits("unexpected")
    assert all(flood.admits(code) for code in ("encrypted", "malformed", "poison", "body_missing"))
    assert not flood.admits("unexpected")
