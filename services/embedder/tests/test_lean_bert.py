"""The lean form of BERT against the library's own, on small random models."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from embedder.adapters.inference.lean_bert import lean_sentence_vectors


class MockTransformer(nn.Module):
    """What the library's module of that name is here: a holder of the network."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        hidden = self.model(
            input_ids=features["input_ids"], attention_mask=features["attention_mask"]
        ).last_hidden_state
        return {**features, "token_embeddings": hidden}


class MockPooling(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.pooling_mode = mode
        self.include_prompt = True

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tokens, weights = features["token_embeddings"], features["attention_mask"][..., None]
        mean = (tokens * weights).sum(dim=1) / weights.sum(dim=1)
        pooled = mean if self.pooling_mode == "mean" else tokens[:, 0]
        return {**features, "sentence_embedding": pooled}


def small_bert(
    kind: type[BertModel] = BertModel, *, activation: str = "gelu", is_decoder: bool = False
) -> BertModel:
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=50,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=32,
        initializer_range=0.5,
        hidden_act=activation,
        is_decoder=is_decoder,
    )
    bert = kind(config)
    bert.train(mode=False)
    return bert


def padded_batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(1, 50, (4, 16), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    mask[2, 1:] = 0
    return ids, mask


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("activation", ["gelu", "relu", "gelu_new"])
def test_it_says_what_the_library_says(pooling: str, activation: str) -> None:
    modules = [MockTransformer(small_bert(activation=activation)), MockPooling(pooling)]
    ids, mask = padded_batch()
    lean = lean_sentence_vectors(modules)
    assert lean is not None

    with torch.inference_mode():
        features = {"input_ids": ids, "attention_mask": mask}
        for module in modules:
            features = module(features)
        expected = nn.functional.normalize(features["sentence_embedding"], dim=-1)

        torch.testing.assert_close(lean(ids, mask), expected, atol=1e-5, rtol=1e-4)


def test_what_stands_in_the_padding_does_not_matter() -> None:
    lean = lean_sentence_vectors([MockTransformer(small_bert()), MockPooling("mean")])
    assert lean is not None
    ids, mask = padded_batch()
    other = torch.where(mask == 1, ids, 49 - ids)

    with torch.inference_mode():
        torch.testing.assert_close(lean(ids, mask), lean(other, mask), atol=1e-6, rtol=0)


def test_the_model_it_was_made_from_is_unchanged() -> None:
    bert = small_bert()
    before = {name: weight.clone() for name, weight in bert.state_dict().items()}

    lean_sentence_vectors([MockTransformer(bert), MockPooling("mean")])

    for name, weight in bert.state_dict().items():
        assert torch.equal(weight, before[name]), name


class OtherBert(BertModel):  # type: ignore[no-untyped-call] # of its base
    pass


@pytest.mark.parametrize(
    "network",
    [nn.Linear(2, 2), small_bert(OtherBert), small_bert(is_decoder=True)],
    ids=["no BERT", "a kind of BERT", "decoder"],
)
def test_another_network_has_no_lean_form(network: nn.Module) -> None:
    assert lean_sentence_vectors([MockTransformer(network), MockPooling("mean")]) is None
