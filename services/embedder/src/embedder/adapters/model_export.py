"""Makes a model ready for workers: one folder with network, tokenizer and description.

sentence-transformers defines the model; its whole chain, pooling and normalisation included, is
converted, then held against the original. Runs as a process of its own::

    python -m embedder export-model
"""

import hashlib
import importlib.metadata
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from embedder.adapters.inference.exported_model import (
    ExportedModel,
    ExportedModelError,
    ModelKey,
    export_lock,
    find,
    with_prompts,
)
from embedder.adapters.inference.model_settings import ModelSettings
from embedder.adapters.inference.openvino_backend import OpenVinoBackend, cpu_precision
from embedder.adapters.inference.self_check import (
    MINIMUM_COSINE,
    check_texts,
    cosines,
    run_rows,
)
from embedder.adapters.tokenizer import FileTokenizer
from embedder.domain.batching import BatchPolicy
from embedder.domain.model import ModelSpec

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch.nn import Module

__all__ = ["first_that_agrees", "main"]

Form = TypeVar("Form")

_DEFAULT_MAX_TOKENS = 512
_MODEL_FILES = ("modules.json", "config.json")
_PASSAGE_PROMPTS = ("document", "passage")


def main(settings: ModelSettings, say: Callable[[str], None] = print) -> ExportedModel | None:
    """Export the model that the settings name, unless it is in the cache.

    Returns the export; None for the hash backend, which needs none.

    Raises:
        ExportedModelError: the model cannot be loaded or converted, or the result differs from the
            original.
    """
    if settings.backend == "hash":
        say("The hash backend needs no model.")
        return None
    with export_lock(settings):
        found = find(settings)
        if found is not None:
            say(f"{found.spec.name} is in {found.folder}")
            return found
        key = ModelKey.of(settings)
        target = settings.cache_folder / key.folder
        partial = target.with_name(f".partial-{target.name}")
        shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
        partial.mkdir()
        try:
            _export(settings, key, partial, say)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(target, ignore_errors=True)  # one that is there was not whole
        partial.rename(target)
    found = find(settings)
    if found is None:
        raise ExportedModelError(f"the export in {target} cannot be read back")
    say(f"{found.spec.name}: {found.spec.dimension} dimensions, in {found.folder}")
    return found


def _export(
    settings: ModelSettings, key: ModelKey, folder: Path, say: Callable[[str], None]
) -> None:
    place = Path(key.source.location)
    if place.is_absolute() and not any((place / name).is_file() for name in _MODEL_FILES):
        raise ExportedModelError(
            f"{place} holds no model: it has none of {', '.join(_MODEL_FILES)}"
        )
    say(f"Loading {key.source.name} (imports torch: this takes a while)")
    from embedder.adapters.inference.torch_backend import (  # noqa: PLC0415 - not when cached
        load_sentence_transformer,
    )

    try:
        model = load_sentence_transformer(key.source)
    except (OSError, ValueError, ImportError) as error:
        raise ExportedModelError(f"{key.source.location} cannot be loaded: {error}") from error
    tokenizer = _write_tokenizer(model, folder / "tokenizer.json")
    spec = _describe(model, key.source.name, tokenizer)
    result: dict[str, Any] = {}
    if settings.backend == "openvino":
        result = _network(
            model,
            folder / "model.xml",
            lambda ir: _self_check(model, spec, tokenizer, settings, ir),
            longest=spec.max_tokens,
            say=say,
        )
        say(f"{result['texts']} texts, cosine at least {result['cosine_min']:.5f}")
    ExportedModel.write_meta(
        folder,
        key,
        spec,
        tokenizer_sha256=hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest(),
        self_check=result,
        exported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        exporter=importlib.metadata.version("kartoteka-embedder"),
    )


def _write_tokenizer(model: "SentenceTransformer", path: Path) -> FileTokenizer:
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportedModelError("the model's tokenizer has no tokenizer.json form")
    backend.no_truncation()
    backend.no_padding()
    path.write_text(backend.to_str(), encoding="utf-8")
    return FileTokenizer(path)


def _describe(model: "SentenceTransformer", name: str, tokenizer: FileTokenizer) -> ModelSpec:
    dimension = model.get_embedding_dimension()
    if dimension is None:
        raise ExportedModelError("the model does not tell the length of its vectors")
    prefix, suffix = _specials(model)
    prompts = {kind: prompt for kind, prompt in (model.prompts or {}).items() if prompt}
    pad = model.tokenizer.pad_token_id
    spec = ModelSpec(
        name=name,
        dimension=dimension,
        max_tokens=int(model.max_seq_length or _DEFAULT_MAX_TOKENS),
        prefix=prefix,
        suffix=suffix,
        pad=int(pad) if pad is not None else 0,
        query_prompt=prompts.get("query", ""),
        passage_prompt=next((prompts[n] for n in _PASSAGE_PROMPTS if n in prompts), ""),
    )
    return with_prompts(spec, ModelSettings(), lambda text: tokenizer.encode(text).ids)


def _specials(model: "SentenceTransformer") -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what the tokenizer puts around a text."""
    inner = model.tokenizer.backend_tokenizer
    bare = list(inner.encode("a b", add_special_tokens=False).ids)
    whole = list(inner.encode("a b", add_special_tokens=True).ids)
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return tuple(whole[:start]), tuple(whole[start + len(bare) :])
    raise ExportedModelError("the tokenizer does more than put special tokens around a text")


def _network(
    model: "SentenceTransformer",
    path: Path,
    check: Callable[[Path], dict[str, Any]],
    *,
    longest: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the fastest form of the model that passes the check; return what the check says."""
    from embedder.adapters.inference.lean_bert import (  # noqa: PLC0415 - not when cached
        lean_sentence_vectors,
    )
    from embedder.adapters.inference.torch_backend import SentenceVectors  # noqa: PLC0415

    def attempt(module: "Module") -> dict[str, Any]:
        say("Converting")
        for old in (path, path.with_suffix(".bin")):
            old.unlink(missing_ok=True)  # not overwritten: a network may still be reading it
        _convert(module, path, longest=longest)
        say("Comparing with the original")
        return check(path)

    forms: list[tuple[str, Module]] = [("as it is", SentenceVectors(model))]
    lean = lean_sentence_vectors(list(model))
    if lean is not None:
        forms.insert(0, ("lean", lean))
    return first_that_agrees(forms, attempt, say)


def first_that_agrees(
    forms: Sequence[tuple[str, Form]],
    attempt: Callable[[Form], dict[str, Any]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return what the first form that can be converted and agrees gives, with its name.

    Args:
        forms: name and form, the fastest first.
        attempt: converts and compares; raises ExportedModelError.
        say: is told why a form was passed over.

    Raises:
        ExportedModelError: the last form will not do either.
    """
    *faster, last = forms
    for name, form in faster:
        try:
            return {**attempt(form), "form": name}
        except ExportedModelError as error:
            say(f"The {name} form will not do: {error}")
    return {**attempt(last[1]), "form": last[0]}


def _convert(module: "Module", path: Path, *, longest: int) -> None:
    # The converter reports each run to its vendor unless this module is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # noqa: PLC0415 - after the line above, and not when cached
    import torch  # noqa: PLC0415 - not when cached

    # Two rows of unlike length: a trace without padding would leave the mask out.
    ids = torch.ones((2, min(16, longest)), dtype=torch.int64)
    mask = ids.clone()
    mask[1, -3:] = 0
    shape = openvino.PartialShape([-1, -1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's: the self-check is what decides
            network = openvino.convert_model(
                module,
                example_input={"input_ids": ids, "attention_mask": mask},
                input=[
                    (name, shape, openvino.Type.i64) for name in ("input_ids", "attention_mask")
                ],
            )
    except Exception as error:
        raise ExportedModelError(
            "the model cannot be converted; MODEL_BACKEND=torch runs it as it is"
        ) from error
    openvino.save_model(network, path, compress_to_fp16=False)


def _self_check(
    model: "SentenceTransformer",
    spec: ModelSpec,
    tokenizer: FileTokenizer,
    settings: ModelSettings,
    ir: Path,
) -> dict[str, Any]:
    spec = with_prompts(spec, settings, lambda text: tokenizer.encode(text).ids)
    texts = check_texts()
    backend = OpenVinoBackend(ir, spec, precision=settings.precision)
    backend.load()
    worst: list[float] = []
    means: list[float] = []
    for prompt, is_query in ((spec.query_prompt, True), (spec.passage_prompt, False)):
        rows = [
            spec.query(tokenizer.encode(prompt + text).ids)
            if is_query
            else spec.passage(tokenizer.encode(text).ids[: spec.passage_room])
            for text in texts
        ]
        ours = run_rows(backend, spec, rows, BatchPolicy())
        reference = model.encode(
            list(texts), prompt=prompt, normalize_embeddings=True, show_progress_bar=False
        )
        found = cosines(ours, np.asarray(reference, dtype=np.float32))
        worst.append(float(found.min()))
        means.append(float(found.mean()))
        if not worst[-1] >= MINIMUM_COSINE:  # also where it is no number
            raise ExportedModelError(
                f"the converted model differs from the original: cosine {worst[-1]:.5f} for "
                f"{texts[int(found.argmin())][:60]!r}, at least {MINIMUM_COSINE} is needed; "
                "try MODEL_PRECISION=fp32, or MODEL_BACKEND=torch to run it as it is"
            )
    backend.close()
    return {
        "texts": 2 * len(texts),
        "cosine_min": min(worst),
        "cosine_mean": sum(means) / len(means),
        "precision": cpu_precision() if settings.precision == "auto" else settings.precision,
    }


def _command_line(arguments: list[str]) -> int:
    try:
        main(ModelSettings.model_validate_json(arguments[0]) if arguments else ModelSettings())
    except ExportedModelError as error:
        sys.stderr.write(f"{error}\n")
        return os.EX_UNAVAILABLE
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(_command_line(sys.argv[1:]))
