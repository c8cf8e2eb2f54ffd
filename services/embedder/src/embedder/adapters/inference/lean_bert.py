"""A BERT encoder written for the compiler: same weights, same numbers, fewer operations.

The library's own module, converted, keeps its residual stream in fp32 and carries masks, positions
and token types through general-purpose operations. This one is what is left for inference on one
text a row. Imported by the export only: it needs torch.
"""

from collections.abc import Sequence
from typing import Final, cast

import torch
from torch import nn
from transformers.models.bert.modeling_bert import BertLayer, BertModel

__all__ = ["LeanSentenceVectors", "lean_sentence_vectors"]

_FAR: Final = 30_000.0
"""Taken from the scores of padding: nothing is left after the softmax, and bf16 can hold it."""


class LeanSentenceVectors(nn.Module):
    """As ``SentenceVectors``, for a model whose transformer is BERT.

    Args:
        bert: the transformer.
        rest: the model's other modules, from pooling on.
    """

    def __init__(self, bert: BertModel, rest: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bert = _LeanBert(bert)
        self.rest = nn.ModuleList(
            _MeanPooling() if _is_mean_pooling(module) else module for module in rest
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return vectors of length 1, whether or not the model normalises by itself."""
        features = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_embeddings": self.bert(input_ids, attention_mask),
        }
        for module in self.rest:
            features = module(features)
        return nn.functional.normalize(features["sentence_embedding"].float(), dim=-1)


def lean_sentence_vectors(modules: Sequence[nn.Module]) -> LeanSentenceVectors | None:
    """Return the lean form of a model; None where its transformer is no plain BERT encoder.

    The weights are copied: the model stays as it is. Whether the two agree is for the caller to
    check, since a configuration may hold more than is read here.
    """
    transformer, *rest = modules
    bert = getattr(transformer, "model", None)
    # Not its subclasses: they compute something else.
    if type(bert) is not BertModel or bert.config.is_decoder:
        return None
    return LeanSentenceVectors(bert, rest).eval()


def _is_mean_pooling(module: nn.Module) -> bool:
    mode = getattr(module, "pooling_mode", None)
    return mode in ("mean", ("mean",), ["mean"]) and getattr(module, "include_prompt", False)


class _MeanPooling(nn.Module):
    """The mean over a row's tokens, as a matrix product.

    As a sum it would tell the compiler to keep all that leads to it in fp32: the whole residual
    stream, layer by layer, for which bf16 is exact enough.
    """

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights = features["attention_mask"].float()[:, None, :]
        total = (weights @ features["token_embeddings"])[:, 0]
        count = weights.sum(dim=-1).clamp(min=1e-9)
        return {**features, "sentence_embedding": total / count}


class _LeanBert(nn.Module):
    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        embeddings = bert.embeddings
        words = embeddings.word_embeddings.weight.detach()
        # Of one text a row, all tokens are of type 0.
        self.words = nn.Parameter(words + embeddings.token_type_embeddings.weight.detach()[0])
        self.positions = nn.Parameter(embeddings.position_embeddings.weight.detach().clone())
        self.norm = embeddings.LayerNorm
        self.layers = nn.ModuleList(
            _LeanLayer(cast("BertLayer", layer)) for layer in bert.encoder.layer
        )
        self.hidden_size: int = bert.config.hidden_size

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        rows, length = input_ids.shape
        bias = ((attention_mask.float() - 1.0) * _FAR)[:, None, None, :]
        # Tokens of all rows are one dimension, apart from where they look at each other.
        tokens = (nn.functional.embedding(input_ids, self.words) + self.positions[:length]).reshape(
            -1, self.hidden_size
        )
        tokens = self.norm(tokens)
        for layer in self.layers:
            tokens = layer(tokens, bias, length)
        out: torch.Tensor = tokens.reshape(rows, length, self.hidden_size)
        return out


class _LeanLayer(nn.Module):
    def __init__(self, layer: BertLayer) -> None:
        super().__init__()
        attention = layer.attention.self
        self.heads: int = attention.num_attention_heads
        self.size: int = attention.attention_head_size
        self.query = _scaled(attention.query, attention.scaling)
        self.key = attention.key
        self.value = attention.value
        self.mix = layer.attention.output.dense
        self.mix_norm = layer.attention.output.LayerNorm
        self.widen = layer.intermediate.dense
        self.activation = layer.intermediate.intermediate_act_fn
        self.narrow = layer.output.dense
        self.narrow_norm = layer.output.LayerNorm

    def forward(self, tokens: torch.Tensor, bias: torch.Tensor, length: int) -> torch.Tensor:
        # Written out: the compiler fuses these five operations into one kernel, whereas it takes
        # the framework's own attention operation apart, and adds a scaling.
        scores = self._split(self.query(tokens), length).transpose(1, 2) @ self._split(
            self.key(tokens), length
        ).permute(0, 2, 3, 1)
        values = self._split(self.value(tokens), length).transpose(1, 2)
        seen = ((scores + bias).softmax(dim=-1) @ values).transpose(1, 2)
        tokens = self.mix_norm(self.mix(seen.reshape(-1, self.heads * self.size)) + tokens)
        wide = self.activation(self.widen(tokens))
        out: torch.Tensor = self.narrow_norm(self.narrow(wide) + tokens)
        return out

    def _split(self, flat: torch.Tensor, length: int) -> torch.Tensor:
        return flat.reshape(-1, length, self.heads, self.size)


def _scaled(linear: nn.Linear, factor: float) -> nn.Linear:
    scaled = nn.Linear(linear.in_features, linear.out_features)
    scaled.weight = nn.Parameter(linear.weight.detach() * factor)
    scaled.bias = nn.Parameter(linear.bias.detach() * factor)
    return scaled
