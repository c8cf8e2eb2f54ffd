import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedder.domain.batching import BatchPolicy, fill, padded_length, plan
from embedder.domain.model import ModelSpec

LONGEST = 256
lengths_of_rows = st.lists(st.integers(1, LONGEST), max_size=300)
policies = st.builds(
    BatchPolicy,
    token_budget=st.integers(1, 5000),
    pad_multiple=st.integers(1, 64),
    window_rows=st.just(128),
)


@given(lengths_of_rows, policies)
def test_every_row_is_run_exactly_once(lengths: list[int], policy: BatchPolicy) -> None:
    batches = plan(lengths, policy, longest=LONGEST)

    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(lengths)))


@given(lengths_of_rows, policies)
def test_a_batch_keeps_the_token_budget_unless_it_is_one_row(
    lengths: list[int], policy: BatchPolicy
) -> None:
    for batch in plan(lengths, policy, longest=LONGEST):
        assert batch.rows
        assert len(batch.rows) == 1 or len(batch.rows) * batch.length <= policy.token_budget


@given(lengths_of_rows, policies)
def test_lengths_are_multiples_that_hold_every_row_and_fit_the_model(
    lengths: list[int], policy: BatchPolicy
) -> None:
    for batch in plan(lengths, policy, longest=LONGEST):
        assert batch.length % policy.pad_multiple == 0 or batch.length == LONGEST
        assert max(lengths[row] for row in batch.rows) <= batch.length <= LONGEST


@given(lengths_of_rows, policies)
def test_the_longest_rows_go_first(lengths: list[int], policy: BatchPolicy) -> None:
    order = [lengths[row] for batch in plan(lengths, policy, longest=LONGEST) for row in batch.rows]

    assert order == sorted(lengths, reverse=True)


@given(lengths_of_rows)
def test_no_batch_could_take_a_row_of_the_next(lengths: list[int]) -> None:
    policy = BatchPolicy()
    batches = plan(lengths, policy, longest=LONGEST)

    for batch in batches[:-1]:
        assert (len(batch.rows) + 1) * batch.length > policy.token_budget


@pytest.mark.parametrize("length", [0, 257])
def test_a_row_that_the_model_cannot_take_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="the model takes 1 to 256"):
        padded_length(length, multiple=16, longest=256)


@pytest.mark.parametrize("wrong", ["token_budget", "pad_multiple", "window_rows"])
def test_a_policy_without_room_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BatchPolicy(**{wrong: 0})


def test_padding_is_masked() -> None:
    filled = fill([np.array([7, 8], np.int32), np.array([9], np.int32)], 4, pad=5)

    assert filled.ids.tolist() == [[7, 8, 5, 5], [9, 5, 5, 5]]
    assert filled.mask.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]
    assert filled.ids.flags.c_contiguous


def spec(**changes: object) -> ModelSpec:
    fields: dict[str, object] = {
        "name": "m",
        "dimension": 4,
        "max_tokens": 8,
        "prefix": (101,),
        "suffix": (102,),
        "passage_prompt_ids": (7, 8),
    }
    return ModelSpec(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_passage_stands_between_its_prompt_and_the_specials() -> None:
    tokens = np.array([1, 2], np.int32)

    assert spec().passage(tokens).tolist() == [101, 7, 8, 1, 2, 102]
    assert spec().passage_room == 4


def test_a_passage_that_does_not_fit_is_refused_and_never_cut() -> None:
    with pytest.raises(ValueError, match="a passage of 5 tokens; m takes 4"):
        spec().passage(np.arange(5, dtype=np.int32))


def test_a_query_loses_its_tail_and_keeps_its_specials() -> None:
    assert spec().query(np.arange(9, dtype=np.int32)).tolist() == [101, 0, 1, 2, 3, 4, 5, 102]


def test_a_model_without_specials_sees_something_in_an_empty_text() -> None:
    bare = spec(prefix=(), suffix=(), passage_prompt_ids=(), pad=3)

    assert bare.passage(np.array([], np.int32)).tolist() == [3]


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves no room"):
        spec(passage_prompt_ids=(1, 2, 3, 4, 5, 6))
