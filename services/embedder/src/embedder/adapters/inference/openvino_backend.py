"""Runs an exported model with OpenVINO."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from embedder.domain.batching import BatchPolicy, ModelInput
from embedder.domain.model import ModelSpec
from embedder.domain.vectors import Vectors

__all__ = ["OpenVinoBackend", "cpu_precision"]

_BF16_FLAGS: Final = frozenset({"amx_bf16", "avx512_bf16"})
_CPUINFO: Final = Path("/proc/cpuinfo")
_WARM_SHAPES: Final = 16


def cpu_precision(cpuinfo: Path = _CPUINFO) -> Literal["bf16", "fp32"]:
    """Return what this CPU computes fastest without a visible loss.

    OpenVINO's own list of capabilities names bf16 also where it would be emulated, slower than
    fp32; so the CPU's flags decide.
    """
    if platform.system() != "Linux":
        return "fp32"
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return "bf16" if _BF16_FLAGS & set(line.split()) else "fp32"
    return "fp32"


class OpenVinoBackend:
    """One stream of one thread for each core that it may use.

    Args:
        ir: the exported model's XML file.
        spec: what the model is.
        precision: as in the settings; ``auto`` looks at the CPU.
        threads: cores.
        policy: whose shapes are run at load.
    """

    def __init__(
        self,
        ir: Path,
        spec: ModelSpec,
        *,
        precision: Literal["auto", "bf16", "fp32"] = "auto",
        threads: int = 1,
        policy: BatchPolicy | None = None,
    ) -> None:
        self._ir = ir
        self._spec = spec
        self._precision = cpu_precision() if precision == "auto" else precision
        self._threads = threads
        self._policy = policy or BatchPolicy()
        self._requests: list[Any] = []

    @property
    def width(self) -> int:
        """One batch for each thread."""
        return self._threads

    def load(self) -> None:
        """Compile the model and run each padded length once: a tenth of the first call's cost."""
        # Its mere import writes an id to HOME and reports to the vendor, unless this is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino  # noqa: PLC0415 - half a second, which only a process with a model pays

        compiled = openvino.Core().compile_model(
            str(self._ir),
            "CPU",
            {
                # The library pins the threads of every process to the same cores otherwise.
                "ENABLE_CPU_PINNING": False,
                "INFERENCE_NUM_THREADS": self._threads,
                "INFERENCE_PRECISION_HINT": "bf16" if self._precision == "bf16" else "f32",
                "NUM_STREAMS": self._threads,
            },
        )
        self._requests = [compiled.create_infer_request() for _ in range(self._threads)]
        for length in self._usual_lengths():
            self.run([_blank(1, length)])
        longest = self._usual_lengths()[-1]
        rows = max(1, self._policy.token_budget // longest)
        self.run([_blank(rows, longest)] * self._threads)

    def run(self, batches: Sequence[ModelInput]) -> list[Vectors]:
        """Run the batches side by side, one on each stream."""
        running = list(zip(batches, self._requests, strict=False))
        if len(running) != len(batches):
            raise ValueError(f"{len(batches)} batches for {len(self._requests)} streams")
        for batch, request in running:
            request.start_async({0: batch.ids, 1: batch.mask}, share_inputs=True)
        for _, request in running:
            request.wait()
        # Copied: the request's memory is overwritten by its next batch.
        return [
            np.array(request.get_output_tensor(0).data, dtype=np.float32, order="C")
            for _, request in running
        ]

    def close(self) -> None:
        """Let go of the compiled model."""
        self._requests = []

    def _usual_lengths(self) -> list[int]:
        multiple = self._policy.pad_multiple
        lengths = [*range(multiple, self._spec.max_tokens, multiple), self._spec.max_tokens]
        every = -(-len(lengths) // _WARM_SHAPES)
        return lengths[::-every][::-1]


def _blank(rows: int, length: int) -> ModelInput:
    ones = np.ones((rows, length), dtype=np.int64)
    return ModelInput(ids=ones, mask=ones)
