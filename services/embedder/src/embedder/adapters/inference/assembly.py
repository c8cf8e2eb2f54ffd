"""From settings to an engine that only needs to be started."""

from collections.abc import Callable
from dataclasses import dataclass

from embedder.adapters.inference.backend import Backend
from embedder.adapters.inference.engine import Engine
from embedder.adapters.inference.exported_model import ensure, with_prompts
from embedder.adapters.inference.hash_backend import HashBackend, hash_model
from embedder.adapters.inference.meter import InferenceMeter
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.model_source import source_of
from embedder.adapters.inference.openvino_backend import OpenVinoBackend
from embedder.adapters.tokenizer import TokenizerSource, load_tokenizer
from embedder.domain.model import ModelSpec
from kartoteka_runtime.clock import Clock

__all__ = ["PreparedModel", "open_engine", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedModel:
    """A model that can be loaded at once."""

    spec: ModelSpec
    """With the prompts of the settings."""
    tokenizer: TokenizerSource
    """For the chunker's processes and for queries."""
    backend: Backend
    """Not yet loaded."""


def prepare(settings: ModelSettings) -> PreparedModel:
    """Find the model, or have it exported. Blocks: for half a minute where it must be exported.

    Raises:
        ExportedModelError: there is no exported model, and it cannot be made here.
    """
    if settings.backend == "hash":
        return _prepared(settings, hash_model(), "hash", lambda _: HashBackend())
    exported = ensure(settings)
    if settings.backend == "torch":
        return _prepared(settings, exported.spec, exported.tokenizer, lambda _: _torch(settings))

    def openvino(spec: ModelSpec) -> Backend:
        return OpenVinoBackend(
            exported.ir, spec, precision=settings.precision, threads=settings.threads
        )

    return _prepared(settings, exported.spec, exported.tokenizer, openvino)


def open_engine(
    prepared: PreparedModel,
    *,
    meter: InferenceMeter | None = None,
    clock: Clock | None = None,
    expecting: Callable[[], bool] = lambda: False,
) -> Engine:
    """Return an engine, not yet started. Does no I/O but to read the tokenizer."""
    return Engine(
        model=prepared.spec,
        backend=prepared.backend,
        tokenizer=load_tokenizer(prepared.tokenizer),
        meter=meter,
        clock=clock,
        expecting=expecting,
    )


def _prepared(
    settings: ModelSettings,
    spec: ModelSpec,
    source: TokenizerSource,
    backend: Callable[[ModelSpec], Backend],
) -> PreparedModel:
    tokenizer = load_tokenizer(source)
    full = with_prompts(spec, settings, lambda text: tokenizer.encode(text).ids)
    return PreparedModel(spec=full, tokenizer=source, backend=backend(full))


def _torch(settings: ModelSettings) -> Backend:
    from embedder.adapters.inference.torch_backend import (  # noqa: PLC0415 - only where chosen
        TorchBackend,
    )

    return TorchBackend(source_of(settings), threads=settings.threads)
